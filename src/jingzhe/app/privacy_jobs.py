"""Export and erasure as jobs; an erasure whose job was interrupted is taken up again by the worker."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jingzhe.app.holdings import Holdings, holdings, write_export
from jingzhe.app.made_files import placed
from jingzhe.app.privacy import Erasures
from jingzhe.app.workspace import Workspace
from jingzhe.core.errors import JingzheError, NoDataError
from jingzhe.core.failures import told
from jingzhe.core.log import Log

Found = TypeVar("Found")

FOLDER = "person-exports"
KEPT = timedelta(days=7)
"""How long the file of an export stands."""
_NAME = re.compile(r"[0-9a-f]{32}\Z")
_TAKE_UP_SECONDS = 60.0


def export_path(workspace: Workspace, name: str) -> Path:
    """Returns where the export of that name stands.

    Raises:
        NoDataError: there can be none of that name.
    """
    if not _NAME.match(name):
        raise NoDataError("There is no such export")
    return Path(workspace.settings.home).absolute() / FOLDER / f"{name}.zip"


def export(person_id: int, name: str, workspace: Workspace) -> dict[str, Any]:
    """Writes everything that is held of a person into one file; returns what the job tells."""
    path = export_path(workspace, name)
    oldest = (workspace.warehouse.clock.now() - KEPT).timestamp()
    for old in path.parent.glob("*"):
        if old.stat().st_mtime < oldest:
            old.unlink(missing_ok=True)
    held, size = export_to(workspace, person_id, path)
    return {"person_id": held.subject.person_id, "size_bytes": size}


def export_to(workspace: Workspace, person_id: int, path: Path) -> tuple[Holdings, int]:
    """Writes everything that is held of a person into a file; returns that, and the size in bytes.

    Raises:
        BusyError: people were erased again and again meanwhile.
        NoDataError: nothing is known of such a person, or not any more.
    """

    def make(part: Path) -> tuple[Holdings, int]:
        held = holdings(workspace, person_id)
        write_export(held, part)
        return held, part.stat().st_size

    return placed(workspace.warehouse, path, make)


def erase(erasure_id: str, workspace: Workspace) -> dict[str, Any]:
    """Does an erasure that was asked for; returns what the job tells."""
    return {"erasure_id": Erasures(workspace).run(erasure_id).erasure_id}


def take_up(workspace: Workspace, log: Log, ending: threading.Event) -> None:
    """Finishes erasures whose process died, now and then, until it is told to end.

    Args:
        workspace: of the project.
        log: is told what was finished, and what could not be yet.
        ending: ends it.
    """
    erasures = Erasures(workspace)
    while not ending.is_set():
        # The first one first; one by one, for one that cannot be finished holds up no other.
        for one in reversed(_attempted(erasures.all, log) or []):
            if one.is_whole or ending.is_set():
                continue
            done = _attempted(partial(erasures.run, one.erasure_id), log, erasure=one.erasure_id)
            if done is not None:
                log.info("erasure finished", erasure=done.erasure_id)
        ending.wait(_TAKE_UP_SECONDS)


def _attempted(work: Callable[[], Found], log: Log, **about: str) -> Found | None:
    """Returns what comes of it; None where it failed, which is told."""
    try:
        return work()
    except JingzheError as error:
        log.warning("an erasure waits", code=error.code, **about)
    except Exception as error:  # noqa: BLE001 - it is tried again, and a keeper is told
        log.error("an erasure fails", error=told(error), **about)
    return None
