"""Keys that were seen with too many: what they alone had joined is split, what one event showed together stays."""

from __future__ import annotations

import pytest

from jingzhe.core.errors import IdentityError, NoDataError
from jingzhe.identity.checking import differences
from jingzhe.identity.deciding import By, decisions
from jingzhe.identity.merges import undo
from jingzhe.identity.overrides import overrides, touched
from jingzhe.identity.rules import rules_from, save_rules
from jingzhe.identity.ruling import never_join
from jingzhe.identity.shared import list_shared, split_shared
from jingzhe.store.state import State
from tests.identity.stories import CLOCK, key, tell, who

PHONE = "02079460018"
ANN = By("ann", "the shop's own telephone")


@pytest.fixture
def british(state: State) -> State:
    """A store in which three others are too many for a telephone."""
    save_rules(state, rules_from({"kinds": {"phone": {"shared_after": 3}}, "region": "GB"}))
    return state


def test_people_with_facts_of_their_own_have_them_back(british: State) -> None:
    assert tell(british, [f"till_card=c{n}" for n in range(3)]).people.tolist() == [1, 2, 3]
    joined = tell(british, [f"till_card=c{n} phone={PHONE}" for n in range(3)], begin=10)
    assert joined.people.tolist() == [1, 1, 1]
    later = tell(british, [f"till_card=c9 phone={PHONE}", *(f"till_card=c{n}" for n in range(3))], begin=20)
    assert later.people.tolist() == [4, 1, 2, 3]
    assert overrides(british).num_rows == 0, "all their facts are theirs again"
    assert set(touched(british, 0).people["person_id"].to_pylist()) >= {1, 2, 3}
    assert differences(british).num_rows == 0


def test_what_one_event_showed_together_stays_together(british: State) -> None:
    tell(british, [f"phone={PHONE} email=a@x.org till_card=a", f"phone={PHONE} email=b@x.org"])
    assert who(british, "till_card=a") == who(british, "email=b@x.org")
    told = tell(british, [f"phone={PHONE} email=c@x.org till_card=c", f"phone={PHONE} record=list:1"], begin=10)
    assert who(british, f"phone={PHONE}") is None
    assert who(british, "till_card=a") == who(british, "email=a@x.org")
    assert who(british, "till_card=c") == who(british, "email=c@x.org")
    assert len({who(british, f"email={one}@x.org") for one in "abc"}) == 3
    assert told.people.tolist()[1] != told.people.tolist()[0]
    assert differences(british).num_rows == 0
    pair = (key("email=a@x.org"), key("till_card=a"))
    undo(british, [pair], ANN, clock=CLOCK)
    assert who(british, "till_card=a") != who(british, "email=a@x.org"), "and can be undone like any join"
    assert [one.action for one in decisions(british)] == ["undo", "split"]


def test_a_value_that_never_joins_is_split_off_where_that_is_asked(state: State) -> None:
    phone = "13912345678"
    tell(state, ["login=A", "member=m", f"login=A phone={phone}", f"member=m phone={phone}"])
    assert who(state, "login=A") == who(state, "member=m") == 1
    never_join(state, "phone", phone)
    assert who(state, "member=m") == 1, "what it has joined stays"
    told: list[str] = []
    never_join(state, "phone", phone, split=ANN, telling=lambda _, decision: told.append(decision.action))
    assert (who(state, "login=A"), who(state, "member=m"), told) == (1, 2, ["split"])
    assert tell(state, [f"login=A phone={phone}", f"member=m phone={phone}"], begin=10).people.tolist() == [1, 2]
    assert differences(state).num_rows == 0
    (listed,) = list_shared(state)[0]
    assert (listed.key.kind, listed.hang) == ("phone", 1)


def test_people_of_older_stores_are_listed_and_split_by_hand(british: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jingzhe.identity.resolving.dissolve", lambda *_: [])
    tell(british, [f"phone={PHONE} till_card=c{n}" for n in range(5)] + ["login=A"])
    monkeypatch.undo()
    assert who(british, "till_card=c0") == who(british, "till_card=c1") == who(british, "till_card=c2") == 1
    (listed,), end = list_shared(british)
    assert (listed.hang, listed.partners, end) == (4, 4, None)
    assert listed.key.hashed
    assert differences(british).num_rows > 0
    assert len(split_shared(british, listed.key.number, ANN, clock=CLOCK)) == 4
    assert len({who(british, f"till_card=c{n}") for n in range(5)} - {1}) == 5
    assert differences(british).num_rows == 0
    with pytest.raises(IdentityError, match="Nobody hangs"):
        split_shared(british, listed.key.number, ANN, clock=CLOCK)
    with pytest.raises(NoDataError, match="no such key"):
        split_shared(british, 1, ANN, clock=CLOCK)
    with pytest.raises(IdentityError, match="who decides and why"):
        split_shared(british, listed.key.number, By("ann", ""), clock=CLOCK)


@pytest.mark.parametrize(("kind", "count"), [("email", 60), ("till_card", 80), ("record", 80)])
def test_with_the_rules_that_ship_a_shops_telephone_glues_no_strangers(state: State, kind: str, count: int) -> None:
    names = [f"{kind}=guest{n}@x.org" for n in range(count)]
    tell(state, [f"{name} phone=13912345678" for name in names])
    assert len({who(state, name) for name in names}) == count
    assert who(state, "phone=13912345678") is None
    told = tell(state, [*names, f"{names[0]} phone=13912345678"], begin=1000)
    assert len(set(told.people.tolist())) == count, "later facts go to each"
    assert differences(state).num_rows == 0
