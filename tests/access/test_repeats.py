from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from jingzhe.access.actor import MACHINE, NOBODY
from jingzhe.access.errors import RefusedValueError, RepeatedKeyError, StillRunningError
from jingzhe.access.repeats import DEAD_AFTER, KEPT_FOR, Answer, Repeats
from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from tests.access.conftest import NOON

DONE = Answer(201, "application/json", b'{"done": true}')


@pytest.fixture
def repeats(state: State, clock: FixedClock) -> Repeats:
    return Repeats(state, clock)


def test_the_second_request_gets_the_first_answer_for_a_day(repeats: Repeats, clock: FixedClock) -> None:
    name, known = repeats.begin(MACHINE, "POST /a", "k", b"{}")
    assert known is None
    repeats.end(name, DONE)
    assert repeats.begin(MACHINE, "POST /a", "k", b"{}") == (name, DONE)
    clock.moment = NOON + KEPT_FOR - timedelta(seconds=1)
    assert repeats.begin(MACHINE, "POST /a", "k", b"{}")[1] == DONE
    clock.moment = NOON + KEPT_FOR
    assert repeats.begin(MACHINE, "POST /a", "k", b"{}")[1] is None


def test_another_content_is_refused_and_another_caller_or_route_is_another_request(repeats: Repeats) -> None:
    name, _ = repeats.begin(MACHINE, "POST /a", "k", b"{}")
    with pytest.raises(RepeatedKeyError):
        repeats.begin(MACHINE, "POST /a", "k", b'{"more": 1}')
    repeats.end(name, DONE)
    with pytest.raises(RepeatedKeyError):
        repeats.begin(MACHINE, "POST /a", "k", b'{"more": 1}')
    for actor, route, key in ((NOBODY, "POST /a", "k"), (MACHINE, "POST /b", "k"), (MACHINE, "POST /a", "l")):
        assert repeats.begin(actor, route, key, b'{"more": 1}')[1] is None


def test_while_the_first_is_under_way_the_second_is_told_so(repeats: Repeats, clock: FixedClock) -> None:
    name, _ = repeats.begin(MACHINE, "POST /a", "k", b"{}")
    clock.moment = NOON + DEAD_AFTER - timedelta(seconds=1)
    with pytest.raises(StillRunningError):
        repeats.begin(MACHINE, "POST /a", "k", b"{}")
    clock.moment = NOON + DEAD_AFTER
    assert repeats.begin(MACHINE, "POST /a", "k", b"{}") == (name, None)


def test_what_was_not_carried_out_may_be_sent_again(repeats: Repeats) -> None:
    name, _ = repeats.begin(MACHINE, "POST /a", "k", b"{}")
    repeats.forget(name)
    assert repeats.begin(MACHINE, "POST /a", "k", b'{"mended": 1}') == (name, None)


def test_of_many_at_once_one_is_carried_out(repeats: Repeats) -> None:
    def send(_: int) -> bool:
        try:
            return repeats.begin(MACHINE, "POST /a", "k", b"{}")[1] is None
        except StillRunningError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(24))) == 1


def test_old_answers_are_removed(repeats: Repeats, clock: FixedClock) -> None:
    name, _ = repeats.begin(MACHINE, "POST /a", "k", b"{}")
    repeats.end(name, DONE)
    assert repeats.clean() == 0
    clock.moment = NOON + KEPT_FOR
    assert repeats.clean() == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(repeats: Repeats, key: str) -> None:
    with pytest.raises(RefusedValueError):
        repeats.begin(MACHINE, "POST /a", key, b"{}")
