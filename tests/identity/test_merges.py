from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.core.errors import IdentityError
from jingzhe.identity.checking import differences
from jingzhe.identity.merges import By, allow_again, decisions, keep_apart, merge, undo
from jingzhe.identity.overrides import overrides, touched
from jingzhe.identity.people import explain, keys_of
from jingzhe.identity.rules import save_rules
from jingzhe.store.state import State
from tests.identity.conftest import Fresh
from tests.identity.stories import CLOCK, NOON, dump, groups, key, tell, tell_cut, who
from tests.identity.test_components import FREE, by_networkx, cuts, graphs

ANN = By("ann", "two sisters with one telephone")
PHONE = "13912345678"


def apart(state: State, *pairs: tuple[str, str]) -> tuple[int, ...]:
    return undo(state, [(key(a), key(b)) for a, b in pairs], ANN, clock=CLOCK).people


def test_undoing_a_merge_gives_everybody_their_own_back(state: State) -> None:
    told = tell(state, ["login=A", "member=m", "till_card=t member=m", f"login=A phone={PHONE}"])
    joined = tell(state, [f"phone={PHONE} member=m", "member=m email=m@x.org", "email=m@x.org"], begin=10)
    assert len({*told.people.tolist()[:1], *joined.people.tolist()}) == 1
    assert apart(state, (f"phone={PHONE}", "member=m")) == (1, 2)
    assert who(state, "login=A") == who(state, f"phone={PHONE}") == 1
    assert who(state, "member=m") == who(state, "till_card=t") == who(state, "email=m@x.org") == 2
    assert overrides(state).num_rows == 0, "facts of before the merge are the second person's again"
    later = tell(state, ["member=m", "email=m@x.org", f"phone={PHONE}", f"phone={PHONE} member=m"], begin=20)
    assert later.people.tolist() == [2, 2, 1, 2], "the same evidence does not join them again"
    assert touched(state, 0).people["person_id"].to_pylist() == [1, 2]


def test_other_evidence_joins_them_again(state: State) -> None:
    tell(state, ["login=A", "member=m", "login=A member=m"])
    apart(state, ("login=A", "member=m"))
    assert who(state, "member=m") == 2
    tell(state, [f"login=A phone={PHONE}", f"phone={PHONE} member=m"], begin=10)
    assert who(state, "member=m") == 1


def test_a_key_without_a_person_of_its_own_gets_a_new_one(state: State) -> None:
    tell(state, [f"login=A phone={PHONE}", f"phone={PHONE} email=e@x.org", "device=d login=A"])
    assert apart(state, ("login=A", f"phone={PHONE}")) == (1, 2)
    assert who(state, f"phone={PHONE}") == who(state, "email=e@x.org") == 2, "what came through it goes with it"
    assert who(state, "device=d") == 1


def test_what_a_device_brought_is_taken_back(state: State) -> None:
    tell(state, ["cookie=c", "login=A", "login=A cookie=c"])
    assert who(state, "cookie=c") == 1
    assert set(apart(state, ("login=A", "cookie=c"))) == {1, 2}
    assert who(state, "login=A") == 2
    assert tell(state, ["cookie=c", "login=A cookie=c", "login=B cookie=c", "cookie=c"], begin=10).people.tolist() == [
        1, 2, 1, 1,
    ]  # fmt: skip


def test_evidence_that_holds_them_together_too_is_told(state: State) -> None:
    tell(state, ["login=A member=m", f"login=A phone={PHONE}", f"phone={PHONE} member=m"])
    before = dump(state)
    with pytest.raises(IdentityError, match="other evidence"):
        apart(state, ("login=A", "member=m"))
    assert dump(state) == before
    assert len(apart(state, ("login=A", "member=m"), (f"phone={PHONE}", "member=m"))) == 2


def test_every_join_is_explained(state: State) -> None:
    tell(state, ["login=A device=d", f"member=m phone={PHONE}", f"login=A phone={PHONE}", "login=B device=d"])
    joins = explain(state, 1)
    told = [(join.a.value, join.b.kind, join.outcome, join.event, join.kept, join.lost) for join in joins]
    assert told == [
        ("A", "device", "same", "e0", None, None),
        ("m", "phone", "joined", "e1", None, None),
        ("A", "phone", "merged", "e2", 1, 2),
    ]
    assert joins[2].at.minute == 2
    moved = explain(state, 3)
    assert [(join.a.value, join.outcome) for join in moved] == [("B", "moved")]
    undo(state, [joins[2].numbers], ANN, clock=CLOCK)
    assert who(state, f"phone={PHONE}") == 2


@given(graphs, cuts, st.data())
@settings(max_examples=50, deadline=None)
def test_what_is_left_is_the_graph_without_the_pair(
    fresh: Fresh, edges: list[tuple[int, int]], cut: list[int], data: st.DataObject
) -> None:
    a, b = data.draw(st.sampled_from(edges))
    with fresh() as state:
        tell_cut(state, [f"k=n{x} k=n{y}" for x, y in edges], cut, rules=FREE)
        save_rules(state, FREE)
        graph: nx.Graph[int] = nx.Graph([edge for edge in edges if set(edge) != {a, b}])
        graph.add_nodes_from(node for edge in edges for node in edge)
        if nx.has_path(graph, a, b):
            with pytest.raises(IdentityError, match="held together"):
                apart(state, (f"k=n{a}", f"k=n{b}"))
            assert groups(state) == by_networkx(edges)
            return
        apart(state, (f"k=n{a}", f"k=n{b}"))
        left = {frozenset(f"k=n{node}" for node in group) for group in nx.connected_components(graph)}
        assert groups(state) == left
        assert differences(state).num_rows == 0
        before = groups(state)
        tell_cut_again = tell(state, [f"k=n{x} k=n{y}" for x, y in edges], begin=1000, rules=FREE)
        assert groups(state) == before, "the same story again joins nobody"
        assert tell_cut_again.merges == 0
        merged = merge(state, who(state, f"k=n{a}") or 0, who(state, f"k=n{b}") or 0, ANN, clock=CLOCK)
        assert who(state, f"k=n{a}") == who(state, f"k=n{b}") == merged
        assert groups(state) == by_networkx(edges)
        assert differences(state).num_rows == 0


def test_merging_by_hand_passes_the_limits_and_can_be_undone(state: State) -> None:
    tell(state, ["login=A", "login=B", "cookie=c"])
    assert merge(state, 2, 1, ANN, clock=CLOCK) == 1
    assert who(state, "login=B") == 1
    assert merge(state, 3, 1, ANN, clock=CLOCK) == 1
    assert who(state, "cookie=c") == 1
    with pytest.raises(IdentityError, match="one person already"):
        merge(state, 2, 1, ANN, clock=CLOCK)
    assert apart(state, ("login=A", "login=B")) == (1, 2)
    assert apart(state, ("login=A", "cookie=c")) == (1, 3)
    assert [decision.action for decision in decisions(state)] == ["undo", "undo", "merge", "merge"]
    assert {(one.who, one.why, one.at) for one in decisions(state)} == {(*ANN, NOON)}


def test_kept_apart_holds_through_others(state: State) -> None:
    tell(state, ["login=A", "member=m", "till_card=t"])
    keep_apart(state, 1, 2, ANN, clock=CLOCK)
    tell(state, ["till_card=t member=m", "login=A till_card=t", "login=A member=m"], begin=10)
    assert who(state, "till_card=t") == who(state, "member=m") == 2
    assert who(state, "login=A") == 1
    with pytest.raises(IdentityError, match="kept apart"):
        merge(state, 1, 3, ANN, clock=CLOCK)
    allow_again(state, 1, 3, ANN, clock=CLOCK)
    with pytest.raises(IdentityError, match="not kept apart"):
        allow_again(state, 1, 3, ANN, clock=CLOCK)
    assert merge(state, 1, 3, ANN, clock=CLOCK) == 1
    with pytest.raises(IdentityError, match="one person now"):
        keep_apart(state, 1, 2, ANN, clock=CLOCK)


def test_a_decision_needs_who_and_why(state: State) -> None:
    tell(state, ["login=A", "login=B"])
    before = dump(state)
    with pytest.raises(IdentityError, match="who decides and why"):
        merge(state, 1, 2, By("ann", " "), clock=CLOCK)
    assert dump(state) == before


def test_nobody_and_strangers_are_told(state: State) -> None:
    tell(state, ["login=A", "login=B"])
    with pytest.raises(IdentityError, match="Nobody has this number"):
        keys_of(state, 99)
    with pytest.raises(IdentityError, match="never seen"):
        apart(state, ("login=A", "login=Z"))
    with pytest.raises(IdentityError, match="not of one person"):
        apart(state, ("login=A", "login=B"))
