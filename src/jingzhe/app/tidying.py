"""What ends by itself and is to be removed some day: sessions, failed attempts, kept answers, old refused events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from jingzhe.access.repeats import Repeats
from jingzhe.access.sessions import Sessions
from jingzhe.app.workspace import Workspace
from jingzhe.collect import refused_events
from jingzhe.store.state import State, documents

CLOCK_DOCUMENT = ("clock", "tidied")
_FORWARD = timedelta(days=2)
_BACK = timedelta(minutes=5)
_STEADY = timedelta(days=1)


@dataclass(frozen=True)
class Tidied:
    """How much was removed.

    Args:
        sessions: that had ended.
        answers: to repeated requests, that are no longer given.
        refused_events: that had stood in quarantine for long enough.
    """

    sessions: int
    answers: int
    refused_events: int

    @property
    def anything(self) -> bool:
        """Tells whether anything was."""
        return bool(self.sessions or self.answers or self.refused_events)


def tidy(workspace: Workspace) -> Tidied:
    """Removes what has ended; nothing that still holds is touched, and nothing at all before the clock is steady.

    Raises:
        BusyError: another transaction held the state store for too long.
        StateError: it cannot be reached.
    """
    state, clock = workspace.warehouse.state, workspace.warehouse.clock
    if not _clock_is_steady(state, clock.now()):
        return Tidied(0, 0, 0)
    sessions = Sessions(state, clock).clean()
    answers = Repeats(state, clock).clean()
    with state.writing() as connection:
        refused = refused_events.forget_old(connection, clock.now())
    return Tidied(sessions, answers, refused)


def _clock_is_steady(state: State, now: datetime) -> bool:
    """Tells whether the clock has gone without a jump for a day, as far as the times of tidying up show.

    By a clock that jumps ahead everything that is kept for a while would be too old, and gone for good.
    """
    known = state.document(*CLOCK_DOCUMENT)
    since = now
    if known is not None:
        last = datetime.fromisoformat(known.body["last"])
        if -_BACK <= now - last <= _FORWARD:
            since = datetime.fromisoformat(known.body["steady_since"])
    with state.writing() as connection:
        documents.drop(connection, *CLOCK_DOCUMENT)
        body = {"last": now.isoformat(), "steady_since": since.isoformat()}
        state.put_document(*CLOCK_DOCUMENT, body, connection=connection)
    return now - since >= _STEADY
