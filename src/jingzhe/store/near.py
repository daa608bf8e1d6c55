"""Files of the lake where an engine can read them: where they stand, or copied near from an object store.

A file of the lake never changes under its name, so a copy is never stale. Copies stand in one folder that processes
share. Each session has hard links to those it reads, in a folder of its own: what is dropped from the shared folder
for its size stays for as long as a session reads it, and a killed session leaves nothing that the next one does not
remove. A file is fetched into the session's folder and linked into the shared one when it is whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jingzhe.core.errors import LakeError
from jingzhe.store.engine.spill import spill_folder

if TYPE_CHECKING:
    from jingzhe.store.bucket import Bucket


class Reach(Protocol):
    """What one session of an engine has at hand."""

    def at_hand(self, paths: Iterable[str]) -> bool:
        """Tells whether files can be read without fetching any."""
        ...

    def fetch(self, paths: Iterable[str]) -> None:
        """Brings files near.

        Raises:
            LakeError: they cannot be read or kept.
        """
        ...

    def local(self, path: str) -> str:
        """Returns where on this machine a file of the lake is to be read or written."""
        ...

    def far(self, prefix: str) -> tuple[str, str] | None:
        """Returns the beginning of local paths and what stands for it in the lake's; None where they are the same.

        Args:
            prefix: a path of the lake.
        """
        ...

    def send(self, path: str) -> None:
        """Brings a file that was written at :meth:`local` to its place in the lake.

        Raises:
            LakeError: it cannot be written.
        """
        ...


class Near(Protocol):
    """Where the sessions of an engine read the lake's files."""

    def session(self) -> AbstractContextManager[Reach]:
        """Opens what one session has at hand."""
        ...

    def settle(self, live: Collection[str]) -> None:
        """Drops copies of files that the newest publication does not have: people may have been erased from them."""
        ...


class Direct:
    """Files are read and written where they stand."""

    @contextmanager
    def session(self) -> Iterator[Direct]:
        """Opens what one session has at hand."""
        yield self

    def settle(self, live: Collection[str]) -> None:
        """Does nothing: there are no copies."""

    def at_hand(self, paths: Iterable[str]) -> bool:
        """Returns True."""
        del paths
        return True

    def fetch(self, paths: Iterable[str]) -> None:
        """Does nothing."""

    def local(self, path: str) -> str:
        """Returns ``path``."""
        return path

    def far(self, prefix: str) -> tuple[str, str] | None:
        """Returns None."""
        del prefix
        return None

    def send(self, path: str) -> None:
        """Does nothing."""


@dataclass(frozen=True)
class Cache:
    """Copies of an object store's files on this machine, shared by its processes.

    Args:
        bucket: where the lake stands.
        folder: where the copies stand, on a file system with hard links.
        limit_bytes: how much is kept; what sessions are reading comes on top.
    """

    bucket: Bucket
    folder: Path
    limit_bytes: int

    @contextmanager
    def session(self) -> Iterator[Copies]:
        """Opens what one session has at hand; its links are removed at the end.

        Raises:
            EngineError: the folder cannot be used.
        """
        with spill_folder(self.folder) as own:
            yield Copies(self, own)

    @property
    def shared(self) -> Path:
        """Returns the folder of this lake's copies."""
        # Lakes differ by endpoint too: two stores may each have a bucket of one name.
        identity = f"{self.bucket.options.get('aws_endpoint_url', '')} {self.bucket.root}"
        return self.folder / f"lake-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    def settle(self, live: Collection[str]) -> None:
        """Drops copies of files that are not among ``live``."""
        kept = {self.copy(path) for path in live}
        for file in _files_in(self.shared):
            if file not in kept:
                file.unlink(missing_ok=True)

    def copy(self, path: str) -> Path:
        """Returns where the copy of a file of the lake stands."""
        return self.shared / path.removeprefix(f"{self.bucket.root}/")

    def trim(self) -> None:
        """Drops copies, those not used for longest first, until the rest is no larger than the limit."""
        found = []
        for file in _files_in(self.folder):
            with suppress(FileNotFoundError):  # another process trims as well
                known = file.stat()
                found.append((known.st_mtime_ns, known.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= self.limit_bytes:
                break
            file.unlink(missing_ok=True)
            total -= size


class Copies:
    """A session's links to copies, and files on their way out.

    Args:
        cache: the shared copies.
        folder: the session's own, beside them.
    """

    def __init__(self, cache: Cache, folder: Path) -> None:
        self._cache = cache
        self._folder = folder
        self._root = f"{cache.bucket.root}/"

    def at_hand(self, paths: Iterable[str]) -> bool:
        """Tells whether the session has files already."""
        return all(Path(self.local(path)).exists() for path in paths)

    def fetch(self, paths: Iterable[str]) -> None:
        """Links files that have been copied before, and copies the others."""
        missing: dict[str, Path] = {}
        with self._explained():
            for path in paths:
                own = Path(self.local(path))
                if not own.exists() and not self._linked(path, own):
                    own.parent.mkdir(parents=True, exist_ok=True)
                    missing[path] = own.with_name(f"{own.name}.part")
            if missing:
                self._cache.bucket.get(missing)
                for path, part in missing.items():
                    part.rename(self.local(path))
                    self._share(path)
                self._cache.trim()

    def local(self, path: str) -> str:
        """Returns where the session has a file of the lake; paths outside the lake stay."""
        return str(self._folder / path.removeprefix(self._root)) if path.startswith(self._root) else path

    def far(self, prefix: str) -> tuple[str, str] | None:
        """Returns the session's folder and the lake's root."""
        return (f"{self._folder}/", self._root) if prefix.startswith(self._root) else None

    def send(self, path: str) -> None:
        """Uploads a file and keeps it as a copy; paths outside the lake stay."""
        if path.startswith(self._root):
            self._cache.bucket.put(Path(self.local(path)), path)
            with self._explained():
                self._share(path)
                self._cache.trim()

    def _linked(self, path: str, own: Path) -> bool:
        copy = self._cache.copy(path)
        try:
            own.parent.mkdir(parents=True, exist_ok=True)
            own.hardlink_to(copy)
        except FileNotFoundError:
            return False
        # The newer, the longer it is kept; another process may have dropped the copy, but not the link.
        os.utime(own)
        return True

    def _share(self, path: str) -> None:
        copy = self._cache.copy(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was quicker with the same file
            copy.hardlink_to(self.local(path))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"Copies of the lake's files cannot be kept: {error.strerror or error}",
                hint="Check the free space and the rights on lake_cache_folder; its file system must know hard links.",
                folder=self._cache.folder,
            ) from error


def _files_in(folder: Path) -> Iterator[Path]:
    """Gives the copies in a folder, not what sessions have of their own."""
    below = [folder] if folder.name.startswith("lake-") else folder.glob("lake-*")
    for one in below:
        yield from (path for path in one.rglob("*") if path.is_file())
