"""Wires what calls state of their keys to the identity graph, among what was seen before and after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.collect.observing import NOBODY, Observed, Stated
from jingzhe.core.clock import Clock
from jingzhe.core.errors import IdentityError
from jingzhe.identity.adopting import homes_of
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By
from jingzhe.identity.stating import Same, pass_over, separate, unite
from jingzhe.store.state import State

WHO = "events"
"""Who decides, in the list of decisions, what an event states."""


@dataclass(frozen=True)
class InTurn:
    """Resolves calls of which some state something of their keys.

    Args:
        resolve: says whose calls are that state nothing.
        state: of the project.
        clock: what time it is.
    """

    resolve: Callable[[Observed], NDArray[np.int64]]
    state: State
    clock: Clock

    def __call__(self, seen: Observed) -> NDArray[np.int64]:
        """Returns the person of each call.

        The calls are cut where one takes a key away from somebody, so that what comes before and after counts in its
        order. That two logins are one is said when a part is through: facts are filed the same, and it costs no cut.
        """
        same, homes = self._of_logins(seen), np.zeros(len(seen.events), np.int64)
        begin = 0
        for said in self._of_known([said for said in seen.stated if said.what == "apart"], seen):
            homes[begin : said.place] = self._part(seen, same, begin, said.place)
            begin = said.place
            event = seen.events[said.place]
            why = f"Event {event} takes these ids away from whoever had them"
            keys = [Key(*key) for key in said.keys]
            separate(self.state, keys, By(WHO, why), once=_once(event), clock=self.clock)
        homes[begin:] = self._part(seen, same, begin, len(homes))
        return homes

    def _part(self, seen: Observed, same: Sequence[Stated], begin: int, end: int) -> NDArray[np.int64]:
        """Resolves some calls, then says which logins are one by them."""
        if begin == end:
            return np.zeros(0, np.int64)
        mine = [said for said in same if begin <= said.place < end]
        former = {(said.place, *said.keys[1]) for said in mine}
        kinds = {kind for _, kind, _ in former}
        columns = tuple(
            (kind, _without(kind, values[begin:end], begin, former) if kind in kinds else values[begin:end])
            for kind, values in seen.columns
        )
        batch_id = f"{seen.batch_id} calls {begin}-{end}"
        homes = self.resolve(Observed(batch_id, columns, seen.at_us[begin:end], seen.events[begin:end]))
        if mine:
            self._unite(seen, mine, batch_id)
        return homes

    def _unite(self, seen: Observed, said: Sequence[Stated], batch_id: str) -> None:
        places = [one.place for one in said]
        one, other = ([statement.keys[place].value for statement in said] for place in (0, 1))
        same = Same(one, other, seen.at_us[places], [seen.events[place] for place in places])
        try:
            unite(self.state, same, batch_id=f"{batch_id} same", clock=self.clock)
        except IdentityError:
            # As where calls are resolved again after what is known has changed.
            again = f"{batch_id} same again {self.clock.now().isoformat()}"
            unite(self.state, same, batch_id=again, clock=self.clock)

    def _of_logins(self, seen: Observed) -> list[Stated]:
        """Returns the statements that two logins are one: those whose former id is a login, as far as is known."""
        said = [one for one in seen.stated if one.what == "same"]
        if not said:
            return []
        met = {value for kind, values in seen.columns if kind == "login" for value in values}
        known = self._known(Key("login", one.keys[1].value) for one in said)
        return [
            one for one in said
            if one.keys[1].kind == "login" or one.keys[1].value in met or Key("login", one.keys[1].value) in known
        ]  # fmt: skip

    def _of_known(self, said: Sequence[Stated], seen: Observed) -> list[Stated]:
        """Returns the statements that take a key away which is known by then; the others are noted and passed over."""
        if not said:
            return []
        wanted = {Key(*key) for one in said for key in one.keys}
        known, first = self._known(wanted), _first_places(seen, wanted)
        held = [any(key in known or first[key] < one.place for key in map(Key._make, one.keys)) for one in said]
        passed = [_once(seen.events[one.place]) for one, holds in zip(said, held, strict=True) if not holds]
        if passed:
            pass_over(self.state, passed, clock=self.clock)
        return [one for one, holds in zip(said, held, strict=True) if holds]

    def _known(self, keys: Iterable[Key]) -> set[Key]:
        """Returns those of some keys that the graph knows."""
        by_kind: dict[str, list[str]] = defaultdict(list)
        for kind, value in set(keys):
            by_kind[kind].append(value)
        found: set[Key] = set()
        for kind, values in by_kind.items():
            homes = homes_of(self.state, kind, pa.array(values, pa.string()))
            found |= {Key(kind, values[place]) for place in np.flatnonzero(homes != NOBODY).tolist()}
        return found


def _once(event: str) -> str:
    return f"event {event}"


def _without(
    kind: str, values: Sequence[str | None], begin: int, former: set[tuple[int, str, str]]
) -> list[str | None]:
    """Returns keys of one kind without the former ids, which stand at their places in all calls."""
    return [
        None if value is not None and (place, kind, value) in former else value
        for place, value in enumerate(values, begin)
    ]


def _first_places(seen: Observed, wanted: set[Key]) -> dict[Key, int]:
    """Returns where each of some keys stands first among the calls."""
    first = dict.fromkeys(wanted, len(seen.events))
    kinds = {key.kind for key in wanted}
    for kind, values in seen.columns:
        if kind in kinds:
            for place, value in enumerate(values):
                key = Key(kind, value) if value is not None else None
                if key in first:
                    first[key] = min(first[key], place)
    return first
