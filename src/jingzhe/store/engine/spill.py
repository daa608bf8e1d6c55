"""Folders for what does not fit into memory: one per session, found and removed again when its process was killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jingzhe.core.errors import EngineError

_PREFIX = "spill-"

if sys.platform != "win32":
    import fcntl


@contextmanager
def spill_folder(parent: Path) -> Iterator[Path]:
    """Makes a folder that is removed at the end; removes those that killed processes left in ``parent``.

    Raises:
        EngineError: it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        folder, handle = _made(parent)
    except OSError as error:
        raise EngineError(
            f"The work folder cannot be used: {error.strerror}",
            hint="Check the free space and the rights on it.",
            folder=parent,
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _made(parent: Path) -> tuple[Path, int | None]:
    """Makes a folder and locks it for as long as this process lives; the kernel gives the lock back, even to a kill."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        if sys.platform == "win32":
            return folder, None
        # Another process may take it for abandoned, and remove it, at any moment before it is locked.
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():
            return folder, handle
        os.close(handle)


def _remove_abandoned(parent: Path) -> None:
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(folder, os.O_RDONLY)
        except OSError:
            continue  # its owner has just removed it
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue  # its owner lives
        finally:
            os.close(handle)
