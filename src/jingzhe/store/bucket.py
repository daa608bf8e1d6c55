"""A lake's root in an object store that speaks S3: requests with bounded waiting, errors that say what to look at.

Needed of the store: listing right after writing, and ``PUT`` with ``If-None-Match: *`` (Amazon's since 2024, MinIO's,
Ceph's …): it is what lets exactly one of two writers have a version of the Delta log.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from jingzhe.core.errors import LakeError, SettingError
from jingzhe.store.near import Cache, Near

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_FAILURES = (BaseError, OSError)
"""What the client raises."""
_SIGNING = frozenset(
    {
        "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region", "aws_endpoint_url",
        "aws_virtual_hosted_style_request", "aws_unsigned_payload", "aws_skip_signature", "aws_conditional_put",
        "aws_checksum_algorithm", "aws_server_side_encryption", "aws_sse_kms_key_id", "aws_sse_bucket_key_enabled",
        "aws_request_payer",
    }
)  # fmt: skip
_CLIENT = frozenset({"aws_allow_http", "allow_invalid_certificates", "proxy_url", "timeout", "connect_timeout"})
_RETRYING = frozenset({"max_retries", "retry_timeout"})
OPTIONS = _SIGNING | _CLIENT | _RETRYING
"""Names of the options, in delta-rs's words; upper case is allowed."""
_SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "proxy_url")
_PATIENCE = {"timeout": "30s", "connect_timeout": "5s", "max_retries": "3", "retry_timeout": "30s"}
"""A request may take this long (a range of 16 MB, at 0.5 MB/s and more), a failure be tried again for this long."""
_QUICK = {"timeout": "5s", "connect_timeout": "3s", "max_retries": "1", "retry_timeout": "5s"}
"""For the first request: one who has mistyped the address wants to know at once."""
_RANGE_BYTES = 16 * 2**20
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_URL = re.compile(r"s3://([a-z0-9][a-z0-9._-]*)((?:/[A-Za-z0-9_][A-Za-z0-9._=-]*)*)/?")

_RIGHTS = "It must be allowed to list the bucket and to get, put and delete objects under the prefix."
_KEYS = "Check aws_access_key_id and aws_secret_access_key among lake_options."
_ADDRESS = "Check aws_endpoint_url among lake_options, and that this machine can reach it."
_HTTP = 'Use https, or set aws_allow_http = "true" among lake_options where the network is trusted.'
_MEANINGS = (
    ("nosuchbucket", "there is no such bucket", "Check lake_url and aws_endpoint_url, or make the bucket."),
    ("invalidaccesskeyid", "the access key is not known there", _KEYS),
    ("signaturedoesnotmatch", "the secret key does not fit the access key", _KEYS),
    ("expiredtoken", "the session token has expired", "Set a fresh aws_session_token among lake_options."),
    ("accessdenied", "the access key lacks a right", _RIGHTS),
    ("requesttimetooskewed", "this machine's clock is wrong", "Set the clock; requests are signed with the time."),
    ("permanentredirect", "the bucket is in another region", "Check aws_region among lake_options."),
    ("authorizationheadermalformed", "the region is wrong", "Check aws_region among lake_options."),
    ("403 forbidden", "the store refuses this access key", f"{_KEYS} {_RIGHTS}"),
    ("401 unauthorized", "the store refuses this access key", _KEYS),
    ("url scheme is not allowed", "the endpoint is http, which is not encrypted", _HTTP),
    ("badscheme", "the endpoint is http, which is not encrypted", _HTTP),
    ("dns error", "no machine is known by the endpoint's name", _ADDRESS),
    ("failed to lookup address", "no machine is known by the endpoint's name", _ADDRESS),
    ("connection refused", "nothing listens at the endpoint", _ADDRESS),
    ("certificate", "the endpoint's certificate is not trusted",
     "Add the issuer to this machine's certificates, or check aws_endpoint_url."),
    ("timed out", "the endpoint does not answer", _ADDRESS),
    ("timedout", "the endpoint does not answer", _ADDRESS),
    ("client error (connect)", "the endpoint cannot be reached", _ADDRESS),
    ("kind: connect", "the endpoint cannot be reached", _ADDRESS),
    ("slowdown", "the store asks for fewer requests", "Try again later."),
    ("503 service unavailable", "the store is overloaded or down", "Try again later."),
    ("not found", "an object is not there",
     "Files of an old publication may have been vacuumed meanwhile; ask again."),
)  # fmt: skip


@dataclass(frozen=True)
class Bucket:
    """A prefix in a bucket; made by :func:`bucket_at`.

    Args:
        root: ``s3://bucket/prefix``.
        options: how to reach the store, complete, names in lower case.
        workers: requests at once.
    """

    root: str
    options: Mapping[str, str] = field(repr=False)
    workers: int = 8

    @cached_property
    def _store(self) -> S3Store:
        client: dict[str, Any] = {name: value for name, value in self.options.items() if name in _CLIENT}
        allowed = client.pop("aws_allow_http", "false").lower() == "true"
        return S3Store(
            self.root.split("/")[2],
            config=cast("S3Config", {name: value for name, value in self.options.items() if name in _SIGNING}),
            client_options=cast("ClientConfig", {**client, "allow_http": allowed}),
            retry_config={
                "max_retries": int(self.options["max_retries"]),
                "retry_timeout": timedelta(seconds=_seconds("retry_timeout", self.options["retry_timeout"])),
            },
        )

    def check(self) -> None:
        """Asks for a list of what stands under the root, once and for a few seconds.

        Raises:
            LakeError: the store does not answer, or refuses.
        """
        limits = {name: min(value, self.options[name], key=_number) for name, value in _QUICK.items()}
        quick = replace(self, options={**self.options, **limits})
        with self._explained("used"):
            next(iter(quick._store.list(f"{self._key(self.root)}/", chunk_size=1)), None)  # noqa: SLF001 - its own kind

    def prepare(self) -> None:
        """Writes one name twice, the second time on condition that it is not there.

        Raises:
            LakeError: the store takes both.
        """
        key = self._key(f"{self.root}/_probe-{uuid.uuid4().hex}")
        with self._explained("prepared"):
            self._store.put(key, b"", mode="create")
            try:
                self._store.put(key, b"", mode="create")
            except AlreadyExistsError:
                return
            finally:
                self._store.delete(key)
        raise LakeError(
            "The lake's object store does not refuse the second of two writers",
            hint="It must honour PUT with If-None-Match: *. Use a newer version of it, or another store.",
            lake=self.root,
        )

    def listed(self, folder: str) -> list[str]:
        """Returns every object below a folder, by its path within it."""
        prefix = f"{self._key(folder)}/"
        with self._explained("listed"):
            found = [entry["path"] for chunk in self._store.list(prefix) for entry in chunk]
        return sorted(path.removeprefix(prefix) for path in found)

    def present(self, paths: Sequence[str]) -> list[bool]:
        """Tells which objects are there."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._is_there, paths))

    def _is_there(self, path: str) -> bool:
        with self._explained("read"):
            try:
                self._store.head(self._key(path))
            except FileNotFoundError:
                return False
        return True

    def read(self, paths: Sequence[str]) -> list[bytes]:
        """Returns the content of small objects, several asked for at once."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._content, paths))

    def _content(self, path: str) -> bytes:
        with self._explained("read"):
            return bytes(self._store.get(self._key(path)).bytes())

    def remove(self, paths: Iterable[str]) -> None:
        """Removes objects, many in one request."""
        if keys := [self._key(path) for path in paths]:
            with self._explained("cleaned"):
                self._store.delete(keys)

    def get(self, files: Mapping[str, Path]) -> None:
        """Copies objects into files, in ranges, several at once; a failure may leave files that are not whole.

        Args:
            files: by path, where to put it.

        Raises:
            LakeError: the store fails, or an object is not there.
            OSError: a file cannot be written.
        """
        with ThreadPoolExecutor(self.workers // 2) as pool:
            sizes = list(pool.map(self._size, files))
            for (path, file), size in zip(files.items(), sizes, strict=True):
                with file.open("wb") as out:
                    copy = partial(self._copy, path, size, out.fileno())
                    for _ in pool.map(copy, range(0, size, _RANGE_BYTES)):
                        pass
                    # What is found later under the file's name must be whole, also after a loss of power.
                    os.fsync(out.fileno())

    def put(self, file: Path, path: str) -> None:
        """Copies a file into an object, which appears when it is whole.

        Raises:
            LakeError: the store fails.
        """
        with self._explained("written"):
            self._store.put(self._key(path), file, max_concurrency=self.workers // 2)

    def reason(self, error: Exception) -> tuple[str, str]:
        """Returns what an error means, and what to do."""
        said = str(error).lower()
        for needle, meaning, hint in _MEANINGS:
            if needle in said:
                return meaning, hint
        return self._without_secrets(_first_lines(str(error))), f"{_ADDRESS} {_RIGHTS}"

    def near(self, folder: Path, limit_bytes: int) -> Near:
        """Returns copies on this machine."""
        return Cache(self, folder, limit_bytes)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            meaning, hint = self.reason(error)
            places = {"lake": self.root, "endpoint": self.options.get("aws_endpoint_url")}
            # The client's own error would carry the store's words, which may tell keys, to every log.
            raise LakeError(f"The lake cannot be {what}: {meaning}", hint=hint, **places) from None

    def _size(self, path: str) -> int:
        with self._explained("read"):
            return int(self._store.head(self._key(path))["size"])

    def _copy(self, path: str, size: int, handle: int, start: int) -> None:
        length = min(_RANGE_BYTES, size - start)
        with self._explained("read"):
            part = self._store.get_range(self._key(path), start=start, length=length)
        os.pwrite(handle, part, start)

    def _key(self, path: str) -> str:
        return path.split("/", 3)[3] if path.count("/") > 2 else ""

    def _without_secrets(self, text: str) -> str:
        for name in _SECRETS:
            if secret := self.options.get(name):
                text = text.replace(secret, f"({name})")
        return text


def bucket_at(url: str, options: Mapping[str, str]) -> Bucket:
    """Returns the lake's root at ``url``.

    Args:
        url: ``s3://bucket/prefix``.
        options: what :data:`OPTIONS` names; what is not given is taken from the environment's ``AWS_*``.

    Raises:
        SettingError: the URL or an option cannot be used; says which, never its value.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise SettingError(
            "The lake's URL cannot be used",
            hint="Write s3://bucket/prefix in letters, digits and . _ = -; keys stand among lake_options.",
        )
    given = {name.lower(): value for name, value in options.items()}
    for name in sorted(given.keys() - OPTIONS):
        raise SettingError(
            f"There is no lake option {name!r}", hint=f"There are: {', '.join(sorted(OPTIONS))}.", field="lake_options"
        )
    around = {name: os.environ[name.upper()] for name in OPTIONS if name[:4] == "aws_" and name.upper() in os.environ}
    known = {**_PATIENCE, **around, **given}
    _checked(known)
    return Bucket(f"s3://{found[1]}{found[2]}", {"aws_region": "us-east-1", "aws_conditional_put": "etag", **known})


def _checked(options: Mapping[str, str]) -> None:
    _seconds("timeout", options["timeout"])
    _seconds("connect_timeout", options["connect_timeout"])
    _seconds("retry_timeout", options["retry_timeout"])
    if not options["max_retries"].isdecimal():
        raise SettingError("The lake option 'max_retries' is no whole number", field="lake_options")
    unsigned = options.get("aws_skip_signature", "false").lower() == "true"
    missing = [name for name in ("aws_access_key_id", "aws_secret_access_key") if not options.get(name)]
    if missing and not unsigned:
        # Without keys the client would ask an address that no setting names (a cloud's metadata) for some.
        raise SettingError(
            f"The lake's object store needs {' and '.join(missing)}",
            hint="Set them among lake_options, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, "
            'or aws_skip_signature = "true" for a store that takes requests without a signature.',
            field="lake_options",
        )


def _seconds(name: str, value: str) -> float:
    found = _SECONDS.fullmatch(value)
    if found is None:
        raise SettingError(f"The lake option {name!r} is no time", hint="Write seconds: 30s.", field="lake_options")
    return float(found[1])


def _number(value: str) -> float:
    return float(value.rstrip("s"))


def _first_lines(text: str) -> str:
    """Returns an error's message without colours, arrows and the store's own document."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n\nDebug source", 1)[0].split("<?xml", 1)[0]
    return " ".join(plain.replace("↳", ":").split())[:300]
