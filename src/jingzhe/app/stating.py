"""Wires what calls state of their keys to the identity graph: each statement in its turn among what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jingzhe.collect.observing import Observed, Stated
from jingzhe.core.clock import Clock
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By
from jingzhe.identity.people import find
from jingzhe.identity.stating import separate, unite
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
        """Returns the person of each call, as if they and what they state came one after another."""
        homes = np.zeros(len(seen.events), np.int64)
        begin = 0
        for said in seen.stated:
            homes[begin : said.place] = self._rows(seen, begin, said.place)
            begin = said.place
            if said.what == "apart":
                self._apart(said, seen.events[said.place])
            elif (former := Key("login", said.keys[1].value)) and find(self.state, former) is not None:
                homes[begin : begin + 1] = self._rows(seen, begin, begin + 1, without=said.keys[1])
                begin += 1
                self._same(Key(*said.keys[0]), former, seen.events[said.place])
        homes[begin:] = self._rows(seen, begin, len(homes))
        return homes

    def _rows(
        self, seen: Observed, begin: int, end: int, *, without: tuple[str, str] | None = None
    ) -> NDArray[np.int64]:
        if begin == end:
            return np.zeros(0, np.int64)
        columns = tuple(
            (kind, [None if (kind, value) == without else value for value in values[begin:end]])
            for kind, values in seen.columns
        )
        batch_id = f"{seen.batch_id} calls {begin}-{end}"
        return self.resolve(Observed(batch_id, columns, seen.at_us[begin:end], seen.events[begin:end]))

    def _apart(self, said: Stated, event: str) -> None:
        why = f"Event {event} takes these ids away from whoever had them"
        keys = [Key(*key) for key in said.keys]
        separate(self.state, keys, By(WHO, why), once=f"event {event}", clock=self.clock)

    def _same(self, one: Key, other: Key, event: str) -> None:
        why = f"Event {event} says that one login is the other one's former one"
        unite(self.state, one, other, By(WHO, why), rule="alias", clock=self.clock)
