"""What is asked about everybody, over stored profiles and scores: nothing is computed anew, nothing is written.

One session is kept open on the publication of the moment and opened anew when that has changed, at most once in a
while: it keeps everybody's row, which takes seconds for a million people.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date

from jingzhe.app import models as fitted
from jingzhe.app.views import View, stored_view
from jingzhe.app.workspace import Workspace
from jingzhe.core.errors import EngineError, LakeError, NoDataError
from jingzhe.profile.refresh import DOCUMENT as REFRESH
from jingzhe.store.warehouse import oldest_readable


@dataclass(frozen=True)
class Standing:
    """An open view and what it is of.

    Args:
        view: as of the day of the stored profiles.
        publication: number of the publication.
    """

    view: View
    publication: int


class Figures:
    """Keeps a view open between questions; they are answered one after the other. Close it.

    Args:
        workspace: of the project.
        fresh_seconds: how old the answers may be where the project has changed since.
    """

    def __init__(self, workspace: Workspace, *, fresh_seconds: float = 60.0) -> None:
        self._workspace = workspace
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._standing: tuple[float, Standing] | None = None

    def close(self) -> None:
        """Gives the view back."""
        with self._lock:
            self._standing = None
            self._held.close()

    @contextmanager
    def view(self) -> Iterator[Standing]:
        """Lends the view.

        Raises:
            NoDataError: there are no profiles or scores yet.
        """
        with self._lock:
            try:
                yield self._current()
            except (LakeError, EngineError):
                # Its files may be gone: the next question opens another.
                self._standing = None
                raise

    def _current(self) -> Standing:
        warehouse = self._workspace.warehouse
        known = self._standing
        # Of a publication that was vacuumed, as after an erasure, nothing is shown any more.
        stands = known is not None and known[1].publication >= oldest_readable(warehouse.state)
        if known is not None and stands and time.monotonic() - known[0] < self._fresh_seconds:
            return known[1]
        latest = warehouse.state.latest()
        document = warehouse.state.document(*REFRESH)
        trained = fitted.latest(warehouse)
        if latest is None or document is None or trained is None or "scores" not in latest.tables:
            raise NoDataError("Nothing has been computed yet", hint="Bring the project up to date: jingzhe update")
        if known is None or known[1].publication != latest.seq:
            self._standing = None
            self._held.close()
            day = date.fromisoformat(document.body["as_of"])
            opened = stored_view(warehouse, trained.models, day, self._workspace.basis)
            known = 0.0, Standing(self._held.enter_context(opened), latest.seq)
        self._standing = time.monotonic(), known[1]
        return known[1]
