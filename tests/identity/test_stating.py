from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.identity.checking import differences
from jingzhe.identity.merges import By, decisions, keep_apart, undo
from jingzhe.identity.overrides import overrides
from jingzhe.identity.people import explain
from jingzhe.identity.stating import Same, pass_over, separate, unite
from jingzhe.store.state import State
from tests.identity.conftest import Fresh
from tests.identity.stories import CLOCK, NOON, dump, groups, key, tell, who

SHOP = By("events", "said by the shop's server")
PHONE = "phone=13912345678"


def leave(state: State, *keys: str, once: str = "1") -> None:
    separate(state, [key(one) for one in keys], SHOP, once=once, clock=CLOCK)


def joined(state: State, one: str, other: str, batch: str) -> bool:
    said = Same([one], [other], np.array([round(NOON.timestamp() * 1e6)]), [f"event {batch}"])
    return unite(state, said, batch_id=batch, clock=CLOCK) == 1


def test_a_key_that_is_taken_away_is_somebody_elses(state: State) -> None:
    tell(state, ["login=A email=e@x.org", f"login=A {PHONE}", "login=A cookie=c", "login=A email=e@x.org cookie=c"])
    leave(state, "email=e@x.org")
    assert who(state, "login=A") == who(state, PHONE) == who(state, "cookie=c") == 1
    assert who(state, "email=e@x.org") == 2
    later = tell(state, ["login=A email=e@x.org", f"{PHONE} email=e@x.org", "login=B email=e@x.org"], begin=10)
    assert later.people.tolist() == [1, 1, 2], "what it was taken away from does not join it again, others do"
    assert who(state, "login=B") == who(state, "email=e@x.org") == 2
    (decision,) = decisions(state)
    assert (decision.action, decision.who, decision.details["from"]) == ("unbind", "events", 1)
    assert differences(state).num_rows == 0


def test_who_has_nothing_but_the_key_keeps_it(state: State) -> None:
    tell(state, ["email=e@x.org", "login=A"])
    before = dump(state, but=("identity_batch", "identity_number"))
    leave(state, "email=e@x.org", "email=never@seen.org", "email=no address", "login=null")
    assert dump(state, but=("identity_batch", "identity_number")) == before


def test_a_history_that_began_with_the_key_stays_with_who_has_more(state: State) -> None:
    tell(state, ["email=e@x.org", "login=A email=e@x.org", "email=e@x.org cookie=c"])
    leave(state, "email=e@x.org")
    assert who(state, "login=A") == who(state, "cookie=c") == 1
    assert who(state, "email=e@x.org") == 2


def test_people_whom_the_key_alone_had_made_one_come_apart(state: State) -> None:
    tell(state, ["login=A", "email=e@x.org", "member=m", "login=A email=e@x.org", "member=m email=e@x.org"])
    assert who(state, "member=m") == 1
    leave(state, "email=e@x.org")
    assert [who(state, one) for one in ("login=A", "email=e@x.org", "member=m")] == [1, 2, 3]
    assert overrides(state).num_rows == 0, "everybody has their facts back"
    assert differences(state).num_rows == 0


def test_a_browser_can_be_taken_away(state: State) -> None:
    tell(state, ["cookie=c", "login=A cookie=c", "cookie=c"])
    leave(state, "cookie=c")
    assert tell(state, ["cookie=c", "login=A cookie=c", "cookie=c"], begin=10).people.tolist() == [2, 1, 2]
    tell(state, ["cookie=d", "login=B", "login=B cookie=d"], begin=20)
    leave(state, "cookie=d", once="2")
    assert (who(state, "cookie=d"), who(state, "login=B")) == (3, 4), "it has its history back"
    assert differences(state).num_rows == 0


def test_a_statement_counts_once(state: State) -> None:
    tell(state, ["login=A email=e@x.org"])
    leave(state, "email=e@x.org", once="event 7")
    tell(state, ["login=B email=e@x.org"], begin=10)
    leave(state, "email=e@x.org", once="event 7")
    assert who(state, "email=e@x.org") == who(state, "login=B") == 2
    leave(state, "email=e@x.org", once="event 8")
    assert who(state, "email=e@x.org") == 3


def test_a_statement_that_was_passed_over_counts_never(state: State) -> None:
    pass_over(state, ["event 7", "event 7"], clock=CLOCK)
    pass_over(state, ["event 7", "event 8"], clock=CLOCK)
    tell(state, ["login=A email=e@x.org"])
    leave(state, "email=e@x.org", once="event 7")
    assert who(state, "email=e@x.org") == 1


def test_two_logins_that_are_said_to_be_one(state: State) -> None:
    phones = [f"login={one} phone=138{number}1234567" for one in ("old", "new") for number in range(3)]
    tell(state, ["login=old", "login=new", *phones, "login=old cookie=c", "login=new cookie=c"])
    assert who(state, "login=new") == 2, "a device that is shared joins nobody"
    assert joined(state, "new", "old", "1")
    assert not joined(state, "new", "old", "1")
    assert not joined(state, "new", "old", "2")
    assert who(state, "login=old") == who(state, "login=new") == 1
    assert differences(state).num_rows == 0
    (join,) = [join for join in explain(state, 1) if join.rule == "alias"]
    assert (join.outcome, join.event) == ("merged", "event 1")
    undo(state, [join.numbers], SHOP, clock=CLOCK)
    assert not joined(state, "new", "old", "3"), "who took it back knows better"
    assert [who(state, one) for one in ("login=old", "login=new")] == [1, 2]


def test_what_people_keep_apart_no_statement_joins(state: State) -> None:
    tell(state, ["login=old", "login=new"])
    keep_apart(state, 1, 2, SHOP, clock=CLOCK)
    assert not joined(state, "new", "old", "1")


KEYS = ("login=A", "login=B", "member=m", "member=n", "email=e@x.org", "email=f@x.org", "cookie=c", "device=d")
LINES = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(LINES, max_size=6), st.sampled_from(KEYS)), min_size=1, max_size=4))
def test_after_anything_the_key_is_alone_and_the_batch_computation_says_the_same(
    fresh: Fresh, story: list[tuple[list[str], str]]
) -> None:
    with fresh() as state:
        for number, (lines, gone) in enumerate(story):
            tell(state, lines, begin=10 * number)
            leave(state, gone, once=f"event {number}")
            together = next((group for group in groups(state) if gone in group), frozenset())
            strong = {one for one in together - {gone} if not one.startswith(("cookie", "device"))}
            assert strong == set(), "nobody who has signed in has it any more"
            assert differences(state).num_rows == 0
