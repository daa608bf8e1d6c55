"""The seam to identity: keys that were seen together, in columns, and what is answered.

This part does not know how people are told apart; the wiring gives a function that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jingzhe.collect.wire.call import Key

NOBODY = 0
"""The person of keys that are nobody's."""


@dataclass(frozen=True)
class Observed:
    """Keys of many calls, in the order in which they count.

    Args:
        batch_id: of the drain; the same again is the same observation.
        columns: kind of the keys, and the key of each call, None where it has none of that kind; a kind may stand
            twice.
        at_us: when, UTC microseconds.
        events: ids of the calls, as text.
    """

    batch_id: str
    columns: tuple[tuple[str, list[str | None]], ...]
    at_us: NDArray[np.int64]
    events: Sequence[str]


Resolve = Callable[[Observed], NDArray[np.int64]]
"""Returns the person of each call, NOBODY where its keys are nobody's."""


def observed(batch_id: str, keys: Sequence[tuple[Key, ...]], at_us: Sequence[int], ids: Sequence[int]) -> Observed:
    """Returns keys of calls as columns.

    Args:
        batch_id: of the drain.
        keys: of each call, the strongest first.
        at_us: when each happened, UTC microseconds.
        ids: of the calls.
    """
    columns: dict[tuple[str, int], list[str | None]] = {}
    count = len(keys)
    for place, several in enumerate(keys):
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
    )
