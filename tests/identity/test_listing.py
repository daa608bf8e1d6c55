"""Merges that hold: listed, explained, taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jingzhe.core.errors import IdentityError, NoDataError
from jingzhe.identity.deciding import By
from jingzhe.identity.listing import Wanted, get_merge, list_merges, undo_merge
from jingzhe.identity.merges import merge
from jingzhe.store.state import State
from tests.identity.stories import CLOCK, NOON, key, tell, who

ANN = By("ann", "two sisters with one telephone")
PHONE = "13912345678"


def test_merges_are_listed_by_page_and_filter(state: State) -> None:
    tell(state, ["login=A", "member=m", "till_card=t", "login=B", "member=n"])
    tell(state, ["login=A member=m", "till_card=t member=m", "login=B member=n"], begin=10)
    merge(state, 1, 4, ANN, clock=CLOCK)
    listed, end = list_merges(state)
    assert end is None
    assert {(one.merge_id, one.person_id) for one in listed} == {(2, 1), (3, 1), (4, 1), (5, 1)}
    by_id = {one.merge_id: one for one in listed}
    assert (by_id[2].outcome, by_id[2].rule, by_id[2].event) == ("merged", "seen together", "e10")
    assert [(one.kind, one.value, one.hashed) for one in by_id[2].keys] == [
        ("login", "A", False),
        ("member", "m", False),
    ]
    assert by_id[2].seen_at == NOON + timedelta(minutes=10)
    first, after = list_merges(state, limit=3)
    second, end = list_merges(state, after=after, limit=3)
    assert [len(first), len(second), end] == [3, 1, None]
    assert sorted(one.merge_id for one in (*first, *second)) == [2, 3, 4, 5]

    def found(wanted: Wanted) -> set[int]:
        return {one.merge_id for one in list_merges(state, wanted)[0]}

    assert found(Wanted(rule="by hand")) == {4}
    assert found(Wanted(kind="till_card")) == {3}
    assert found(Wanted(person=5)) == {2, 3, 4, 5}
    assert found(Wanted(since=NOON + timedelta(seconds=1))) == set()
    assert found(Wanted(until=NOON + timedelta(seconds=1))) == {2, 3, 4, 5}


def test_a_merge_is_explained_with_both_sides(state: State) -> None:
    tell(state, ["login=A", f"member=m phone={PHONE}", "login=A member=m", f"login=A phone={PHONE}"])
    told = get_merge(state, 2)
    assert [(one.kind, one.hashed) for one in told.theirs] == [("phone", True), ("member", False)] or [
        (one.kind, one.hashed) for one in told.theirs
    ] == [("member", False), ("phone", True)]
    assert PHONE not in str(told)
    assert [one.value for one in told.others] == ["A"]
    assert [(join.a.kind, join.b.kind, join.event) for join in told.between] == [
        ("login", "member", "e2"), ("login", "phone", "e3"),
    ]  # fmt: skip
    assert told.decision is None
    with pytest.raises(NoDataError, match="No merge"):
        get_merge(state, 1)


def test_a_merge_is_undone_as_a_whole_where_other_evidence_holds_it(state: State) -> None:
    tell(state, ["login=A", f"member=m phone={PHONE}", "login=A member=m", f"login=A phone={PHONE}"])
    with pytest.raises(IdentityError, match="other evidence"):
        undo_merge(state, 2, ANN, clock=CLOCK)
    assert undo_merge(state, 2, ANN, clock=CLOCK, everything=True).people == (1, 2)
    assert who(state, f"phone={PHONE}") == who(state, "member=m") == 2
    assert list_merges(state) == ([], None)
    later = tell(state, [f"login=A phone={PHONE}", "member=m"], begin=10)
    assert later.people.tolist() == [1, 2], "the same evidence does not join them, later facts go to each"
    with pytest.raises(NoDataError, match="No merge"):
        undo_merge(state, 2, ANN, clock=CLOCK)


def test_whom_they_had_taken_over_goes_with_them(state: State) -> None:
    tell(state, ["login=A", "member=m", "till_card=t", "till_card=t member=m", "login=A till_card=t"])
    assert undo_merge(state, 2, ANN, clock=CLOCK, everything=True).people == (1, 2)
    assert who(state, "till_card=t") == who(state, "member=m") == 2
    assert [(one.merge_id, one.person_id) for one in list_merges(state)[0]] == [(3, 2)]
    merged = merge(state, 1, 2, ANN, clock=CLOCK)
    assert merged == 1
    told = get_merge(state, 2)
    assert told.decision is not None
    assert (told.decision.who, told.decision.why) == (ANN.who, ANN.why)
    assert {one.value for one in told.theirs} == {"m", "t"}


def test_a_claim_is_undone_when_the_device_follows_another_by_now(state: State) -> None:
    tell(state, ["login=B", "login=A", "cookie=c", "login=A cookie=c", "login=B cookie=c"])
    (claim,) = list_merges(state)[0]
    assert claim.outcome == "claimed"
    assert set(undo_merge(state, claim.merge_id, ANN, clock=CLOCK).people) == {2, 3}
    assert who(state, "cookie=c") == 1
    assert key("cookie=c").kind == "cookie"
