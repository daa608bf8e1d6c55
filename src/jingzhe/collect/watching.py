"""Tells how far one long statement of the engine is, from a thread beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.engine import LocalSession

_SECONDS = 0.25


@contextmanager
def watched(session: LocalSession, progress: Progress, total: int | None) -> Iterator[None]:
    """Advances ``progress`` while the statements within run.

    Args:
        session: runs them.
        progress: is told rows, as a share of ``total``.
        total: rows that are expected; None: nothing can be told.
    """
    if not total or isinstance(progress, Silent):
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS):
            percent = session.percent_done()
            if percent > 0:
                progress.advance(int(total * percent / 100))

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
