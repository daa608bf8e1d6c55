"""The rules over random stories, and the two ways of working against each other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.core.errors import IdentityError, SettingError
from jingzhe.identity import known, working
from jingzhe.identity.checking import differences
from jingzhe.identity.deciding import decisions
from jingzhe.identity.keys import Kind
from jingzhe.identity.numbering import numbered
from jingzhe.identity.overrides import touched
from jingzhe.identity.rules import Rules, rules_from, save_rules
from jingzhe.store.state import State, bulk
from jingzhe.store.state.identity_tables import identity_override
from tests.identity.conftest import Fresh
from tests.identity.stories import dump, groups, tell, tell_cut, who

RULES = Rules(
    kinds={
        "login": Kind("login", "plain", 100, single=1, shared_after=None),
        "phone": Kind("phone", "plain", 80, single=2, shared_after=4),
        "card": Kind("card", "plain", 50, shared_after=6),
        "device": Kind("device", "plain", 20, merges=False, shared_after=3),
        "cookie": Kind("cookie", "plain", 10, merges=False, shared_after=None),
    }
)
words = st.one_of(
    st.sampled_from([f"login={c}" for c in "ABCD"]),
    st.sampled_from([f"phone={c}" for c in "pqrst"]),
    st.sampled_from([f"card={c}" for c in "klm"]),
    st.sampled_from([f"device=d{c}" for c in "123"]),
    st.sampled_from([f"cookie=c{c}" for c in "1234"]),
    st.sampled_from(["login=0", "phone=null", "device=undefined"]),
)
lines = st.lists(st.lists(words, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=30)
cuts = st.lists(st.integers(0, 30), max_size=8)


def logins_of(keys: frozenset[str]) -> set[str]:
    return {key for key in keys if key.startswith("login=")}


@given(lines, cuts)
@settings(max_examples=40, deadline=None)
def test_limits_hold_and_junk_joins_nobody_after_any_story(fresh: Fresh, told: list[str], cut: list[int]) -> None:
    with fresh() as state:
        tell_cut(state, told, cut, rules=RULES)
        for keys in groups(state):
            kinds = Counter(key.split("=")[0] for key in keys)
            assert kinds["login"] <= 1, "two logins never share a person"
            assert kinds["phone"] <= 2
            assert not keys & {"login=0", "phone=null", "device=undefined"}
        assert differences(state, rules=RULES).num_rows == 0, "the batch computation says the same"


@given(lines, cuts)
@settings(max_examples=40, deadline=None)
def test_how_a_story_is_cut_into_batches_changes_nothing(fresh: Fresh, told: list[str], cut: list[int]) -> None:
    # Numbers of changes follow the batches.
    apart = ("identity_batch", "identity_touched", "identity_number", "identity_decision")
    with fresh() as whole, fresh() as pieces, fresh() as singles:
        homes = tell_cut(whole, told, [], rules=RULES)
        assert tell_cut(pieces, told, cut, rules=RULES) == homes
        assert tell_cut(singles, told, range(len(told)), rules=RULES) == homes
        assert dump(whole, but=apart) == dump(pieces, but=apart) == dump(singles, but=apart)


@given(lines, cuts)
@settings(max_examples=40, deadline=None)
def test_the_short_cut_equals_one_by_one(fresh: Fresh, told: list[str], cut: list[int]) -> None:
    original = working.work
    with fresh() as quick, fresh() as slow:
        homes = tell_cut(quick, told, cut, rules=RULES)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("jingzhe.identity.resolving.work", lambda *given: original(*given, one_by_one=True))
            assert tell_cut(slow, told, cut, rules=RULES) == homes
        assert dump(quick) == dump(slow)


@given(lines, cuts)
@settings(max_examples=40, deadline=None)
def test_how_the_rows_are_packed_changes_nothing(fresh: Fresh, told: list[str], cut: list[int]) -> None:
    with fresh() as few, fresh() as many:
        homes = tell_cut(few, told, cut, rules=RULES)
        with pytest.MonkeyPatch.context() as patched:
            # Every batch leaves runs, and those blocks, as a million keys do.
            for name, value in {"_ROWS": 2, "_BLOCKS": 2, "_SPAN": 4, "_SMALL": 3, "_LARGE": 12}.items():
                patched.setattr(f"jingzhe.store.state.packed.{name}", value)
            assert tell_cut(many, told, cut, rules=RULES) == homes
            packed_small = dump(many)
        assert packed_small == dump(few)


@given(lines)
@settings(max_examples=40, deadline=None)
def test_the_same_batch_again_changes_nothing(fresh: Fresh, told: list[str]) -> None:
    with fresh() as state:
        first = tell(state, told, rules=RULES)
        before = dump(state)
        again = tell(state, told, rules=RULES)
        assert again.replayed
        assert again.homes.tolist() == first.homes.tolist()
        assert again.people.tolist() == first.people.tolist()
        assert dump(state) == before


def test_another_batch_under_a_used_id_is_refused(state: State) -> None:
    tell(state, ["login=A"])
    with pytest.raises(IdentityError, match="other observations"):
        tell(state, ["login=B"])
    assert who(state, "login=B") is None


def test_a_shared_device_never_joins_two_logins(state: State) -> None:
    told = tell(state, ["device=d", "device=d login=A", "device=d", "device=d login=B", "device=d", "login=A"])
    anonymous, a, still_a, b, now_b, again = told.people.tolist()
    assert anonymous == a == still_a == again, "what happened before signing in is hers too"
    assert b == now_b != a, "later anonymous events go to the last login"


def test_an_anonymous_person_becomes_whoever_signs_in(state: State) -> None:
    told = tell(state, ["cookie=c1", "cookie=c2", "login=A cookie=c1", "login=A cookie=c2", "cookie=c2"])
    assert len(set(told.people.tolist())) == 1
    assert told.merges == 1
    assert told.homes.tolist()[:2] == [1, 2], "facts stay filed where they were"


def test_over_the_limit_a_key_stays_apart(state: State) -> None:
    phones = [f"login=A phone=1391234000{n}" for n in range(4)]
    told = tell(state, [*phones, "phone=13912340003"])
    assert told.people.tolist() == [1, 1, 1, 1, 2]


def test_one_openid_per_app(state: State) -> None:
    tell(state, ["login=A openid/wx1=o1", "login=A openid/wx2=o2", "login=A openid/wx1=o3"])
    assert who(state, "openid/wx1=o1") == who(state, "openid/wx2=o2") == who(state, "login=A")
    assert who(state, "openid/wx1=o3") != who(state, "login=A")


def test_a_telephone_that_everybody_gives_belongs_to_nobody(state: State) -> None:
    save_rules(state, rules_from({"kinds": {"phone": {"shared_after": 3}}, "region": "GB"}))
    cards = [f"till_card=c{n} phone=02079460018" for n in range(6)]
    told = tell(state, [*cards, "phone=02079460018"])
    assert told.homes.tolist()[:3] == [1, 1, 1], "facts of before stay with whom the telephone had founded"
    assert told.people.tolist()[6] == 0
    assert who(state, "phone=02079460018") is None
    assert len({who(state, f"till_card=c{n}") for n in range(6)} - {1, None}) == 6, "the fourth made it nobody's"
    (split,) = decisions(state)
    assert (split.action, split.who) == ("split", "rules")
    assert split.why == "phone was seen with more than 3 others"


def test_without_a_usable_key_there_is_nobody(state: State) -> None:
    told = tell(state, ["login=0 device=00000000-0000", "login=A"])
    assert told.people.tolist() == [0, 1]
    assert told.junk == 2


def test_nothing_at_all(state: State) -> None:
    assert tell(state, []).homes.tolist() == []


def test_an_unknown_kind_changes_nothing(state: State) -> None:
    before = dump(state)
    with pytest.raises(SettingError, match="fax"):
        tell(state, ["login=A fax=1"])
    assert dump(state) == before


@pytest.mark.parametrize("nearly_all", [0, 10_000])
def test_who_stands_for_whom_is_looked_up_or_read_through(
    state: State, monkeypatch: pytest.MonkeyPatch, nearly_all: int
) -> None:
    monkeypatch.setattr(known, "_NEARLY_ALL", nearly_all)
    moved = {2: 1, 5: 3, 9: 3, 70: 1}
    with state.writing() as connection:
        assert known.now_of(connection, np.array([4, 2, 4])).tolist() == [4, 2, 4], "nobody stands for anybody"
        rows = [(old, new, 0) for old, new in moved.items()]
        bulk.insert(connection, identity_override, ("old_person", "new_person", "moved_us"), rows)
        for asked in ([70, 5, 4, 5, 0, 900], [900, 71], [3], [2], []):
            now = known.now_of(connection, np.array(asked, np.int64))
            assert now.tolist() == [moved.get(person, person) for person in asked]


def test_people_of_touched_rows_are_told(state: State) -> None:
    tell(state, ["login=A", "member=m", "till_card=t"])
    assert touched(state, 0).people.num_rows == 0, "new people are news by their facts"
    tell(state, ["login=A member=m"], begin=3)
    found = touched(state, 0)
    assert found.people["person_id"].to_pylist() == [1, 2]
    assert found.overrides.select(["old_person", "new_person"]).to_pylist() == [{"old_person": 2, "new_person": 1}]
    assert touched(state, found.through).people.num_rows == 0


@given(lines, cuts)
@settings(max_examples=40, deadline=None)
def test_keys_that_meet_at_one_number_are_told_apart(fresh: Fresh, told: list[str], cut: list[int]) -> None:
    original = numbered
    with fresh() as plain, fresh() as crowded:
        tell_cut(plain, told, cut, rules=RULES)
        with pytest.MonkeyPatch.context() as patched:
            # Eight numbers for everything: nearly every key meets another. 0 is none: it says that no key joined one.
            crowding = "jingzhe.identity.observations.numbered"
            patched.setattr(crowding, lambda texts, secret: original(texts, secret) % 8 + 1)
            tell_cut(crowded, told, cut, rules=RULES)
        assert groups(crowded) == groups(plain)


def test_a_long_story_in_words(state: State) -> None:
    """What happens, and whose it is when its batch is over."""
    monday = [
        ("cookie=web1", 1), ("cookie=web1 device=pad", 1), ("login=ann cookie=web1", 1), ("device=pad", 1),
    ]  # fmt: skip
    tuesday = [
        ("login=bob device=pad", 2), ("device=pad", 2), ("cookie=web1", 1),
        ("till_card=77 phone=13912345678", 1), ("login=ann phone=13912345678", 1), ("till_card=77", 1),
    ]  # fmt: skip
    wednesday = [
        ("login=bob phone=13912345678", 2), ("phone=13912345678", 1), ("email=Ann@Example.com login=ann", 1),
        ("email=ann@example.COM", 1), ("device=pad cookie=web1", 2), ("member=m1", 2), ("member=m1 login=bob", 2),
    ]  # fmt: skip
    for begin, day in ((0, monday), (100, tuesday), (200, wednesday)):
        told = tell(state, [line for line, _ in day], begin=begin)
        assert dict(zip([line for line, _ in day], told.people.tolist(), strict=True)) == dict(day)
