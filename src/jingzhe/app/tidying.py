"""What ends by itself and is to be removed some day: sessions, failed attempts, kept answers, old refused events."""

from __future__ import annotations

from dataclasses import dataclass

from jingzhe.access.repeats import Repeats
from jingzhe.access.sessions import Sessions
from jingzhe.app.workspace import Workspace
from jingzhe.collect import refused_events


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
    """Removes what has ended; nothing that still holds is touched.

    Raises:
        BusyError: another transaction held the state store for too long.
        StateError: it cannot be reached.
    """
    state, clock = workspace.warehouse.state, workspace.warehouse.clock
    sessions = Sessions(state, clock).clean()
    answers = Repeats(state, clock).clean()
    with state.writing() as connection:
        refused = refused_events.forget_old(connection, clock.now())
    return Tidied(sessions, answers, refused)
