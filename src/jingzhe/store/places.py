"""Where the lake stands: a folder of this machine, or a prefix in a bucket of an object store.

Both are the same few acts (list, look, remove, and what an error means), so that the lake has one way of doing things.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jingzhe.core.errors import SettingError
from jingzhe.store.near import Direct, Near

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Place(Protocol):
    """Somewhere that keeps files; paths are whole, the root included."""

    @property
    def root(self) -> str:
        """Returns the place itself, without a slash at its end."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Returns what delta-rs must be told to reach it; holds secrets."""
        ...

    @property
    def workers(self) -> int:
        """Returns how many requests are worth making at once."""
        ...

    def check(self) -> None:
        """Makes sure, within seconds, that the place answers.

        Raises:
            LakeError: it does not; says what to look at.
        """
        ...

    def prepare(self) -> None:
        """Makes sure, before the first table is made, that of two writers of one version only one succeeds.

        Raises:
            LakeError: the place cannot promise that.
        """
        ...

    def listed(self, folder: str) -> list[str]:
        """Returns every file below a folder, by its path within it, in order; none where there is no such folder."""
        ...

    def present(self, paths: Sequence[str]) -> list[bool]:
        """Tells which files are there."""
        ...

    def read(self, paths: Sequence[str]) -> list[bytes]:
        """Returns the content of small files, in order."""
        ...

    def remove(self, paths: Iterable[str]) -> None:
        """Removes files; those that are not there are passed over."""
        ...

    def reason(self, error: Exception) -> tuple[str, str]:
        """Returns what an error of a file or of the Delta log means, and what to do; never a secret."""
        ...

    def near(self, folder: Path, limit_bytes: int) -> Near:
        """Returns how an engine that reads local files gets at those of the place.

        Args:
            folder: for copies, where they are needed.
            limit_bytes: how much of them is kept.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """A folder of this machine.

    Args:
        root: its absolute path.
        options: none are needed.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    workers: int = 1

    def check(self) -> None:
        """Does nothing: the folder is made by whoever writes first."""

    def prepare(self) -> None:
        """Does nothing: a file system lets one of two have a name."""

    def listed(self, folder: str) -> list[str]:
        """Returns every file below a folder."""
        inside = Path(folder)
        return sorted(path.relative_to(inside).as_posix() for path in inside.rglob("*") if path.is_file())

    def present(self, paths: Sequence[str]) -> list[bool]:
        """Tells which files are there."""
        return [Path(path).is_file() for path in paths]

    def read(self, paths: Sequence[str]) -> list[bytes]:
        """Returns the content of small files."""
        return [Path(path).read_bytes() for path in paths]

    def remove(self, paths: Iterable[str]) -> None:
        """Removes files."""
        for path in paths:
            Path(path).unlink(missing_ok=True)

    def reason(self, error: Exception) -> tuple[str, str]:
        """Returns what an error means, and what to do."""
        return str(error), "Check the free space and the rights on the lake's folder."

    def near(self, folder: Path, limit_bytes: int) -> Near:
        """Returns the files themselves."""
        del folder, limit_bytes
        return Direct()


def place_of(url: str, options: Mapping[str, str] | None = None) -> Place:
    """Returns the place that ``url`` names.

    Args:
        url: a folder of this machine, or ``s3://bucket/prefix``.
        options: how to reach an object store; see :class:`jingzhe.store.bucket.Bucket`.

    Raises:
        SettingError: it cannot be used.
    """
    found = _SCHEME.match(url)
    if found is None:
        return Folder(_absolute(url))
    if found[1] != "s3":
        raise SettingError(
            f"A lake cannot stand at {found[1]}://",
            hint="Use a folder, or s3://bucket/prefix with the endpoint of a store that speaks S3.",
        )
    from jingzhe.store.bucket import bucket_at  # noqa: PLC0415 - loads the client, which a folder does not need

    return bucket_at(url, options or {})


def _absolute(place: str) -> str:
    root = str(Path(place).absolute())
    if _PERCENT.search(root):
        # delta-rs takes %41 in a folder's name for an A when it reads, but not when it writes.
        raise SettingError(
            "The lake's folder has a percent sign followed by two hexadecimal digits in its name",
            hint="Use a folder without it.",
            folder=root,
        )
    return root.rstrip("/")


def folder_of(root: str, name: str) -> str:
    """Returns the folder of the table ``name``."""
    return f"{root}/{name}"
