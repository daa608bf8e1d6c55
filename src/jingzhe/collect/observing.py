"""The seam to identity: keys that were seen together, in columns, and what is answered.

This part does not know how people are told apart; the wiring gives a function that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jingzhe.collect.wire.call import AROUND, Call, Key

NOBODY = 0
"""The person of keys that are nobody's."""
_CHANNEL = AROUND.index("channel")
_STATING = frozenset({"unbind", "alias", "merge"})
_SAME = {"alias": ["login", "cookie"], "merge": ["login", "login"]}
"""The keys of calls that may name two logins of one person: an alias does not say what its former id is."""


class Stated(NamedTuple):
    """What a call says of its keys beyond that they were seen together.

    Args:
        place: of the call among the others.
        what: ``apart``: the keys are not those any more whose they were; ``same``: the first is who the second was, if
            that is a login.
        keys: of which it says so.
    """

    place: int
    what: Literal["apart", "same"]
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Observed:
    """Keys of many calls, in the order in which they count.

    Args:
        batch_id: of the drain; the same again is the same observation.
        columns: kind of the keys, and the key of each call, None where it has none of that kind; a kind may stand
            twice.
        at_us: when, UTC microseconds.
        events: ids of the calls, as text.
        stated: what calls say beyond that, in order; it holds for them and for what comes after.
    """

    batch_id: str
    columns: tuple[tuple[str, list[str | None]], ...]
    at_us: NDArray[np.int64]
    events: Sequence[str]
    stated: tuple[Stated, ...] = ()


Resolve = Callable[[Observed], NDArray[np.int64]]
"""Returns the person of each call, NOBODY where its keys are nobody's."""


def observed(batch_id: str, calls: Sequence[Call], at_us: Sequence[int], ids: Sequence[int]) -> Observed:
    """Returns keys of calls as columns.

    Keys that a call takes away from somebody were not seen together: only the first of them stands there, by itself.

    Args:
        batch_id: of the drain.
        calls: their keys stand the strongest first.
        at_us: when each happened, UTC microseconds.
        ids: of the calls.
    """
    columns: dict[tuple[str, int], list[str | None]] = {}
    count = len(calls)
    stated: list[Stated] = []
    for place, call in enumerate(calls):
        several = call.keys
        if call.kind in _STATING and (said := _stated(place, call)) is not None:
            stated.append(said)
            several = several if said.what == "same" else several[:1]
        kinds: list[str] = []
        for kind, value in several:
            name = (kind, kinds.count(kind) if kinds else 0)
            kinds.append(kind)
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * count
            column[place] = value
    return Observed(
        batch_id,
        tuple((kind, values) for (kind, _), values in columns.items()),
        np.array(at_us, np.int64),
        [str(one) for one in ids],
        tuple(stated),
    )


def _stated(place: int, call: Call) -> Stated | None:
    if call.kind == "unbind":
        return Stated(place, "apart", call.keys)
    # Only a server knows what it says: a browser's SDK names whoever was signed in before on a device that is shared.
    said = call.keys[:2]
    if [key.kind for key in said] == _SAME[call.kind] and said[0] != said[1] and call.around[_CHANNEL] == "server":
        return Stated(place, "same", said)
    return None
