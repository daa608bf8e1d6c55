"""What clients' names of events mean, changed by whoever may: each change stands in the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import NotThereError, RefusedValueError
from jingzhe.collect import naming
from jingzhe.collect.activities import spelled
from jingzhe.core.clock import Clock
from jingzhe.store.state import State

Origin = Literal["project", "import", "default"]
_LONGEST = 200


@dataclass(frozen=True)
class EventName:
    """What one name means.

    Args:
        name: as clients write it, in lower case with ``_`` for spaces.
        canonical: what it is called in the lake.
        activity: one of the closed vocabulary.
        origin: ``project`` where it was said for live events, ``import`` where it was said for imports, else
            ``default``.
    """

    name: str
    canonical: str
    activity: str
    origin: Origin


class EventNames:
    """The table of names of a project.

    Args:
        state: where it is kept.
        clock: what time it is.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def all(self, *, own_only: bool = False) -> list[EventName]:
        """Returns what is known, by name.

        Args:
            own_only: only what the project itself has said.
        """
        said, own = naming.own_meanings(self._state), naming.names_of(self._state).own
        known = {} if own_only else {name: ("default", meaning) for name, meaning in naming.DEFAULTS.items()}
        known |= {name: ("project" if name in said else "import", meaning) for name, meaning in own.items()}
        return [
            EventName(name, meaning.name, meaning.activity, origin)  # type: ignore[arg-type]
            for name, (origin, meaning) in sorted(known.items())
        ]

    def get(self, name: str) -> EventName:
        """Returns what a name means, also where nobody has said anything of it.

        Args:
            name: as a client writes it.
        """
        plain = _plain(name)
        known = {one.name: one for one in self.all()}
        if plain in known:
            return known[plain]
        meaning = naming.names_of(self._state).meaning("track", plain)
        if meaning is None:
            raise NotThereError("This name means nothing", field="name")
        return EventName(plain, meaning.name, meaning.activity, "default")

    def put(self, by: Actor, name: str, canonical: str, activity: str) -> EventName:
        """Says what a name means from now on; what is in the lake keeps its meaning.

        Args:
            by: who says it.
            name: as clients write it.
            canonical: what it is called in the lake.
            activity: one of the closed vocabulary.

        Raises:
            RefusedValueError: a name is empty or too long.
            SettingError: there is no such activity.
        """
        plain, called = _plain(name), _plain(canonical)
        with self._state.writing() as connection:
            naming.set_meaning(self._state, plain, called, activity, connection=connection)
            details = {"canonical": called, "activity": activity}
            audit.record(connection, self._clock.now(), by, "event-name.set", plain, details=details)
        return EventName(plain, called, activity, "project")

    def forget(self, by: Actor, name: str) -> EventName:
        """Lets a name mean what it does by default again; returns that.

        Raises:
            NotThereError: the project has no meaning of its own for it.
        """
        plain = _plain(name)
        with self._state.writing() as connection:
            if plain not in naming.own_meanings(self._state):
                raise NotThereError("The project has no meaning of its own for this name", field="name")
            naming.forget_meaning(self._state, plain, connection=connection)
            audit.record(connection, self._clock.now(), by, "event-name.forgotten", plain)
        return self.get(plain)


def _plain(name: str) -> str:
    plain = spelled(name)
    if not plain or len(plain) > _LONGEST or not plain.isprintable():
        raise RefusedValueError(f"A name has 1 to {_LONGEST} visible characters", field="name")
    return plain
