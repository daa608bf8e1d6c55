"""Who is held out: as large a share as asked, the same for ever, and following the surviving person."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain
from jingzhe.measure.holdout import Assigned, assign, assigned, assignments_of, draw, make
from jingzhe.store.state import State
from tests.consent.conftest import NOON, met

HOUR = timedelta(hours=1)
EVERYBODY = pa.array(range(1, 20_001))


@pytest.fixture(autouse=True)
def salts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives experiments the same salts each time: of those made by chance, some stray further than is allowed here."""
    numbers = iter(range(1, 100))
    monkeypatch.setattr("jingzhe.measure.holdout.secrets.token_hex", lambda size: f"{next(numbers):0{2 * size}x}")


def people(state: State, clock: FixedClock, count: int) -> list[int]:
    return [met(state, clock, ("login", f"u{number}")) for number in range(count)]


def part(state: State, person: int, clock: FixedClock) -> None:
    """Undoes the one merge of a person."""
    (join,) = [one for one in explain(state, person) if one.outcome == "merged"]
    undo(state, [join.numbers], By("account:a", "two people"), clock=clock)


def groups(table: pa.Table) -> dict[int, bool]:
    return dict(zip(table["person_id"].to_pylist(), table["control"].to_pylist(), strict=True))


def test_the_share_is_held_out_and_the_same_people_again_get_the_same(state: State, clock: FixedClock) -> None:
    make(state, "spring", 0.1, clock=clock, actor="account:a")
    first = assign(state, "spring", EVERYBODY, clock=clock)
    held = groups(first)
    # Four standard deviations of a binomial.
    assert abs(sum(held.values()) - 2000) < 4 * np.sqrt(20_000 * 0.1 * 0.9)
    clock.moment += HOUR
    assert assign(state, "spring", EVERYBODY, clock=clock).equals(first)
    assert assigned(state, "spring", EVERYBODY).equals(first)
    assert set(first["mixed"].to_pylist()) == {False}
    assert assigned(state, "spring", pa.array([20_001])).num_rows == 0


def test_control_groups_of_two_experiments_are_independent(state: State, clock: FixedClock) -> None:
    held = []
    for name in ("spring", "summer"):
        make(state, name, 0.5, clock=clock, actor="account:a")
        held.append(np.array(list(groups(assign(state, name, EVERYBODY, clock=clock)).values())))
    both = int((held[0] & held[1]).sum())
    assert abs(both - 5000) < 4 * np.sqrt(20_000 * 0.25 * 0.75)


def test_a_share_of_nothing_holds_nobody_out_and_of_all_everybody(state: State, clock: FixedClock) -> None:
    for name, share in (("nobody", 0.0), ("everybody", 1.0)):
        make(state, name, share, clock=clock, actor="account:a")
        assert set(groups(assign(state, name, EVERYBODY, clock=clock)).values()) == {share == 1.0}


def test_the_assignment_follows_the_surviving_person_and_comes_back_when_a_merge_is_undone(
    state: State, clock: FixedClock
) -> None:
    li, wang = people(state, clock, 2)
    make(state, "spring", 1.0, clock=clock, actor="account:a")
    assign(state, "spring", pa.array([wang]), clock=clock)
    clock.moment += HOUR
    survivor = merge(state, li, wang, By("account:a", "the same card"), clock=clock)
    known = [Assigned("spring", True, NOON, mixed=False)]
    assert assignments_of(state, li) == assignments_of(state, wang) == known
    # Nothing new is decided for somebody who is held out under one of their numbers.
    [again] = assign(state, "spring", pa.array([li, wang]), clock=clock).to_pylist()
    assert (again["person_id"], again["control"], again["mixed"]) == (survivor, True, False)
    assert assignments_of(state, li) == known
    part(state, li, clock)
    assert [one.assigned_at for one in assignments_of(state, wang)] == [NOON]
    assert [one.assigned_at for one in assignments_of(state, li)] == [NOON + HOUR]


def test_who_was_assigned_as_one_keeps_it_when_they_turn_out_to_be_two(state: State, clock: FixedClock) -> None:
    li, wang = people(state, clock, 2)
    merge(state, li, wang, By("account:a", "the same card"), clock=clock)
    make(state, "spring", 0.5, clock=clock, actor="account:a")
    [one] = groups(assign(state, "spring", pa.array([li]), clock=clock)).values()
    clock.moment += HOUR
    part(state, li, clock)
    for person in (li, wang):
        assert assignments_of(state, person) == [Assigned("spring", one, NOON, mixed=False)]


def test_numbers_that_were_assigned_different_things_are_mixed_and_the_first_holds(
    state: State, clock: FixedClock
) -> None:
    numbers = people(state, clock, 30)
    make(state, "spring", 0.5, clock=clock, actor="account:a")
    held = groups(assign(state, "spring", pa.array(numbers), clock=clock))
    yes = next(number for number in numbers if held[number])
    no = next(number for number in numbers if not held[number])
    merge(state, yes, no, By("account:a", "the same card"), clock=clock)
    [row] = assign(state, "spring", pa.array([no]), clock=clock).to_pylist()
    assert row["mixed"]
    [shown] = assignments_of(state, yes)
    assert (shown.control, shown.mixed) == (row["control"], True)
    part(state, yes, clock)
    assert groups(assigned(state, "spring", pa.array(numbers))) == held
    assert not any(assigned(state, "spring", pa.array(numbers))["mixed"].to_pylist())


def test_the_hash_is_even_and_fixed() -> None:
    drawn = draw("salt", np.arange(100_000))
    # Kolmogorov-Smirnov against the uniform distribution, at 1 in 1,000 (1.95 / sqrt(n)).
    assert np.abs(np.sort(drawn) - np.arange(100_000) / 100_000).max() < 1.95 / np.sqrt(100_000)
    assert 0 <= drawn.min() <= drawn.max() < 1
    assert np.array_equal(drawn[:10], draw("salt", np.arange(10)))
    assert not np.array_equal(drawn[:10], draw("pepper", np.arange(10)))


def test_what_cannot_be_an_experiment_is_refused(state: State, clock: FixedClock) -> None:
    make(state, "spring", 0.1, clock=clock, actor="account:a")
    for name, share in (("spring", 0.1), ("Spring!", 0.1), ("", 0.1), ("x", 1.5), ("y", float("nan"))):
        with pytest.raises(SettingError):
            make(state, name, share, clock=clock, actor="account:a")
    for name in ("winter", "x' OR '1'='1"):
        with pytest.raises(NoDataError):
            assign(state, name, EVERYBODY, clock=clock)
        with pytest.raises(NoDataError):
            assigned(state, name, EVERYBODY)
