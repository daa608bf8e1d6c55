"""The key file: one key a line, the newest last, readable by nobody else.

It stands apart from state store and lake, so that whoever gets hold of a copy of those cannot read what is sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from jingzhe.core.errors import SealError

FILE_NAME = "seal.keys"
_BYTES = 32
_HEAD = """\
# Jingzhe 惊蛰: the keys that seal personal data. Without them what is sealed cannot be read by anybody.
# Keep a copy in another place than the data. The last line seals, all lines open. 请另行备份,切勿与数据放在一起。
"""


@dataclass(frozen=True)
class Key:
    """One key.

    Args:
        made_at: when it was made, as the file says.
        secret: 256 bits.
    """

    made_at: str
    secret: bytes = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """Returns what tells the key from others and says nothing of it: 64 bits of a hash."""
        return hashlib.sha256(b"jingzhe seal key\0" + self.secret).hexdigest()[:16]

    @cached_property
    def key_id(self) -> bytes:
        """Returns what stands in front of everything sealed with it: the first four bytes of the fingerprint."""
        return bytes.fromhex(self.fingerprint[:8])

    def nonce(self, content: bytes, length: int) -> bytes:
        """Returns a nonce that is the same for the same content, and random to whoever has not the key.

        Args:
            content: what is to be sealed, and where it stands.
            length: of the nonce, bytes.
        """
        own = hmac.digest(self.secret, b"jingzhe seal nonce", "sha256")
        return hmac.digest(own, content, "sha256")[:length]


@dataclass(frozen=True)
class KeyFile:
    """Where the keys of a project stand.

    Args:
        path: of the file.
        own: True where the project makes it; False where somebody mounts it, who then minds who may read it.
    """

    path: Path
    own: bool

    def read(self) -> tuple[Key, ...]:
        """Returns the keys, the newest last; none where there is no file.

        Raises:
            SealError: the file cannot be read, is no key file, or is readable by others.
        """
        if self.own and self.path.is_file() and os.name == "posix":
            open_to = stat.S_IMODE(self.path.stat().st_mode) & 0o077
            if open_to:
                raise SealError(
                    "Others than its owner may read the key file", hint=f"chmod 600 {self.path}", file=self.path
                )
        return read_keys(self.path) if self.path.exists() else ()

    def make(self, now: datetime) -> tuple[Key, ...]:
        """Makes the file with a first key where it is not there; returns the keys in it.

        Of several processes that do so at once one makes it, and all have the same.

        Args:
            now: when.

        Raises:
            SealError: it cannot be written.
        """
        part = self._written((_new(now),))
        try:
            # Unlike a rename it never takes the place of a file that another process has made meanwhile.
            os.link(part, self.path)
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            part.unlink(missing_ok=True)
        return self.read()

    def add(self, now: datetime) -> tuple[Key, ...]:
        """Adds a key, which seals from now on; returns all keys.

        Args:
            now: when.

        Raises:
            SealError: the file cannot be read or written.
        """
        keys = (*self.read(), _new(now))
        part = self._written(keys)
        try:
            part.replace(self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._unwritable(error) from error
        return keys

    def _written(self, keys: Sequence[Key]) -> Path:
        """Writes keys beside the file, durably, and returns where."""
        lines = "".join(f"{key.made_at} {base64.b64encode(key.secret).decode('ascii')}\n" for key in keys)
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - opened by number
                file.write(_HEAD + lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._unwritable(error) from error
        return part

    def _unwritable(self, error: OSError) -> SealError:
        return SealError(
            f"The key file cannot be written: {error.strerror}",
            hint="Give this account the right to write there, or set seal_key_file.",
            file=self.path,
        )


def read_keys(path: Path) -> tuple[Key, ...]:
    """Returns the keys of a file, the newest last.

    Raises:
        SealError: it cannot be read, or is no key file.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(
            "The key file cannot be read", hint="Restore it, or give this account the right to read it.", file=path
        ) from error
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            keys.append(_key(line, path, number))
    if not keys:
        raise SealError("The key file holds no key", hint="Restore it from its copy.", file=path)
    return tuple(keys)


def _key(line: str, path: Path, number: int) -> Key:
    made_at, _, written = line.strip().rpartition(" ")
    try:
        secret = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _BYTES:
        # Not the line: it may be most of a key. And not from the decoder's error, which holds it.
        raise SealError(
            "A line of the key file is no key", hint="Each line: when it was made, a space, 256 bits in base64.",
            file=path, line=number,
        )  # fmt: skip
    return Key(made_at.strip(), secret)


def _new(now: datetime) -> Key:
    return Key(now.astimezone(UTC).isoformat(timespec="seconds"), secrets.token_bytes(_BYTES))
