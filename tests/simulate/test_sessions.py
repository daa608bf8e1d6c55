from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.simulate.arrays import Stream, generator
from jingzhe.simulate.season import DAY_SECONDS
from jingzhe.simulate.sessions import ACTIVITIES, PURCHASE, REFUND, Kind, Sessions, expand
from jingzhe.store import facts


def test_the_script_keeps_to_the_vocabulary() -> None:
    assert set(ACTIVITIES) <= set(facts.ACTIVITIES)


@given(
    visits=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2 * DAY_SECONDS), st.sampled_from(list(Kind))),
        max_size=30,
    ),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_events_stay_in_order_and_on_their_day_however_close_visits_are(
    visits: list[tuple[int, int, Kind]], seed: int
) -> None:
    columns = np.array(visits, dtype=np.int64).reshape(-1, 3).T
    sessions = Sessions(columns[0], columns[1], columns[2], columns[2] * 0, columns[2] * 0 - 1).in_order()
    expanded = expand(sessions, generator(seed, Stream.SESSIONS))
    person = sessions.person[expanded.session]
    assert ((np.diff(expanded.second) >= 0) | (np.diff(person) > 0)).all()
    assert (expanded.second // DAY_SECONDS == (sessions.second // DAY_SECONDS)[expanded.session]).all()
    assert (expanded.second[expanded.last] == sessions.second).all()
    last = expanded.step[expanded.last]
    assert (last[sessions.kind <= Kind.TILL] == PURCHASE).all()
    assert (last[sessions.kind == Kind.REFUND] == REFUND).all()
    assert (expanded.step == PURCHASE).sum() == (sessions.kind <= Kind.TILL).sum()
