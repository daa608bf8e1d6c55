"""An event at which the drain fails for a reason nobody foresaw is set aside; all others go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.calls import Normalised
from jingzhe.collect.isolating import UNFORESEEN, culprits
from jingzhe.collect.observing import Observed
from jingzhe.collect.refused_events import list_quarantined, replay
from jingzhe.collect.wire import segment
from jingzhe.core.errors import StateError
from jingzhe.core.failures import told
from tests.collect.live import FirstKey, Live, live, track
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with live(tmp_path, url) as found:
        yield found


@given(st.lists(st.booleans(), max_size=300))
def test_all_that_fail_by_themselves_are_found(wrong: list[bool]) -> None:
    bad, asked = np.array(wrong, bool), 0

    def attempt(chosen: NDArray[np.bool_]) -> None:
        nonlocal asked
        asked += 1
        if (chosen & bad).any():
            raise ValueError

    assert (culprits(len(bad), attempt, attempts=10_000) == bad).all()
    found = culprits(len(bad), attempt, attempts=20)
    assert (found | ~bad).all()  # with few attempts more is set aside, never less
    assert asked <= 10_000


def test_a_failure_without_any_event_or_of_the_machine_is_no_events_fault() -> None:
    def failing(chosen: NDArray[np.bool_]) -> None:
        raise KeyError(int(chosen.sum()))

    with pytest.raises(KeyError, match="0"):
        culprits(8, failing)

    def full(chosen: NDArray[np.bool_]) -> None:
        if chosen.any():
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        culprits(8, full)


def test_what_is_told_holds_no_value() -> None:
    try:
        int("13800001234")
        int("li@example.com")
    except ValueError as error:
        said = told(error)
    assert said.startswith("ValueError at test_isolating.py:")
    assert "li@" not in said


@dataclass
class Choking:
    """Says whose calls are, and fails at some as a part would that has a fault."""

    at: set[str]
    beside: FirstKey

    def __call__(self, seen: Observed) -> NDArray[np.int64]:
        if any(value in self.at for _, values in seen.columns for value in values):
            raise ZeroDivisionError("u3 must not be told")
        return self.beside(seen)


def test_an_event_at_which_a_part_fails_holds_up_no_other(shop: Live) -> None:
    choking = Choking({"u3", "u8"}, FirstKey())
    shop.drain.resolve = choking
    shop.segment(*(track(userId=f"u{one}", messageId=f"m{one}") for one in range(10)), {"type": "track"})
    done = shop.drain.run()
    assert (done.calls, done.quarantined, done.events) == (8, 3, 11)
    assert done.unforeseen == (told_place(done.unforeseen),)
    assert shop.rows("SELECT count(*) AS n FROM events") == [{"n": 8}]
    aside = list_quarantined(shop.warehouse.state, reason=UNFORESEEN)
    assert sorted(body.split('"userId": "')[1][:2] for body in (one.body for one in aside)) == ["u3", "u8"]
    assert all("u3" not in one.detail for one in aside)
    assert shop.drain.run().rows == 0
    # The fault is mended, and what was set aside comes back as it was, once.
    choking.at.clear()
    assert replay(shop.warehouse.state, shop.inbox, clock=shop.clock, reason=UNFORESEEN) == 2
    assert shop.drain.run().calls == 2
    assert shop.rows("SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events") == [{"n": 10, "ids": 10}]


def told_place(said: tuple[str, ...]) -> str:
    (one,) = said
    assert one.startswith("ZeroDivisionError at test_isolating.py:")
    return one


@dataclass
class Hearing:
    """Hears of consents, and cannot write down some of them."""

    wrong: str

    def erased(self, calls: Normalised) -> NDArray[np.bool_]:
        return np.zeros(len(calls), bool)

    def stripped(self, calls: Normalised) -> Normalised:
        return calls

    def names_erased(self, *_: Any, **__: Any) -> bool:
        return False

    def any_erased(self) -> bool:
        return False

    def customers(self, *_: Any, **__: Any) -> NDArray[np.bool_]:
        return np.zeros(0, bool)

    def text_names_erased(self, *_: Any, **__: Any) -> bool:
        return False

    def heard(self, calls: Normalised, *_: Any, **__: Any) -> Any:
        def write(connection: Connection, now: Any) -> None:
            if any(call.user_id == self.wrong for call in calls.calls):
                raise LookupError(self.wrong)

        return write


def test_a_row_that_cannot_be_written_beside_the_publication_is_found_as_well(shop: Live) -> None:
    shop.drain.minding = Hearing("u2")
    shop.segment(*(track(userId=f"u{one}", messageId=f"m{one}") for one in range(4)))
    done = shop.drain.run()
    assert (done.calls, done.quarantined) == (3, 1)
    assert shop.rows("SELECT count(*) AS n FROM events") == [{"n": 3}]
    assert [one.reason for one in list_quarantined(shop.warehouse.state)] == [UNFORESEEN]


def test_a_store_that_fails_sets_nothing_aside(shop: Live) -> None:
    def gone(seen: Observed) -> NDArray[np.int64]:
        raise StateError("The state store cannot be reached")

    people = shop.drain.resolve
    shop.drain.resolve = gone
    shop.segment(track())
    with pytest.raises(StateError):
        shop.drain.run()
    assert list_quarantined(shop.warehouse.state) == []
    shop.drain.resolve = people
    assert shop.drain.run().calls == 1


def test_a_batch_whose_events_cannot_be_told_apart_is_kept_whole(shop: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.segment(track(userId="u1", messageId="m1"), track(userId="u2", messageId="m2"))
    with monkeypatch.context() as patched:
        patched.setattr(segment, "events", broken)
        shop.segment(track(userId="u3", messageId="m3"))
        done = shop.drain.run()
    assert (done.calls, done.quarantined, len(done.unforeseen)) == (0, 2, 1)
    replay(shop.warehouse.state, shop.inbox, clock=shop.clock)
    assert shop.drain.run().calls == 3


def test_an_event_that_cannot_be_read_holds_up_no_other(shop: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = segment.decode

    def choking(raw: bytes, envelope: Any) -> Any:
        if b'"u1"' in raw:
            raise IndexError
        return decode(raw, envelope)

    with monkeypatch.context() as patched:
        patched.setattr(segment, "decode", choking)
        shop.segment(track(userId="u1", messageId="m1"), track(userId="u2", messageId="m2"))
        done = shop.drain.run()
    assert (done.calls, done.quarantined) == (1, 1)
    replay(shop.warehouse.state, shop.inbox, clock=shop.clock)
    assert shop.drain.run().calls == 1


def broken(*_: Any) -> Any:
    raise AttributeError
