"""Rules by hand: checked, kept by version, nothing personal in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jingzhe.core.errors import IdentityError, NoDataError, SettingError
from jingzhe.identity.rules import load_rules, save_rules
from jingzhe.identity.ruling import change_rules, never_join, restore_rules, rules_now, versions
from jingzhe.store.state import State
from tests.identity.stories import tell, who

SHOP = "02079460018"


def test_a_shops_own_number_joins_nobody_and_is_kept_as_a_hash(state: State) -> None:
    change_rules(state, {"region": "GB"}, based_on=0)
    kept = never_join(state, "phone", SHOP)
    assert (kept.version, len(kept.rules.never_hashed["phone"])) == (2, 1)
    assert "2079460018" not in json.dumps(rules_now(state).rules.document())
    told = tell(state, [f"login=A phone={SHOP}", "login=B phone=+442079460018", f"phone={SHOP}"])
    assert told.people.tolist() == [1, 2, 0]
    assert told.unusable["phone"] == 3
    assert who(state, f"phone={SHOP}") is None
    never_join(state, "login", "Kiosk")
    assert tell(state, ["login=kiosk"], begin=10).people.tolist() == [0]


def test_what_the_library_saves_is_hashed_too(state: State) -> None:
    rules = load_rules(state)
    save_rules(state, type(rules)(never_of={"email": frozenset({"shop@example.com"})}))
    assert "shop@example" not in json.dumps(load_rules(state).document())
    assert tell(state, ["email=Shop@Example.com"]).people.tolist() == [0]


def test_every_change_is_a_version_and_an_earlier_one_can_return(state: State) -> None:
    assert (rules_now(state).version, rules_now(state).rules.kind("phone").single) == (0, 3)
    first = change_rules(state, {"kinds": {"phone": {"single": 1}}}, based_on=0)
    change_rules(state, {"kinds": {"badge": {"strength": 45, "single": 2}}}, based_on=first.version)
    with pytest.raises(IdentityError, match="version 2 holds"):
        change_rules(state, {}, based_on=1)
    assert restore_rules(state, 1).version == 3
    assert load_rules(state).kind("phone").single == 1
    assert restore_rules(state, 0).rules.kind("phone").single == 3
    assert [one.version for one in versions(state)] == [4, 3, 2, 1]
    with pytest.raises(NoDataError, match="no such version"):
        restore_rules(state, 9)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kinds": {"phone": {"single": "one"}}}, "no rules"),
        ({"kinds": {"phone": {"sinlge": 1}}}, "no rules"),
        ({"kinds": {"phone": {"single": 0}}}, "1 or more"),
        ({"kinds": {"phone": {"personal": False}}}, "is fixed"),
        ({"kinds": {"device": {"merges": True}}}, "is fixed"),
        ({"kinds": {"openid/wx1": {"single": 2}}}, "whatever the app"),
        ({"kinds": {"Badge": {}}}, "no kind of key"),
        ({"kinds": {"badge": {"normaliser": "shout"}}}, "no way of writing"),
        ({"never": ["13912345678"]}, "needs its kind"),
        ({"never": ["me@example.com"]}, "needs its kind"),
        ({"never_of": {"fax": ["1"]}}, "not known"),
        ({"never_of": {"customer": ["C1"]}}, "kind itself"),
        ({"never_of": {"phone": ["hello"]}}, "no value of the kind"),
        ({"never_hashed": {"login": ["0" * 32]}}, "Hashes are of personal kinds"),
        ({"colour": "red"}, "no rules"),
    ],
)
def test_rules_that_make_no_sense_change_nothing(state: State, given: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingError, match=why):
        change_rules(state, given, based_on=0)
    assert rules_now(state).version == 0


def test_what_is_stored_stays_readable(state: State) -> None:
    change_rules(state, {"kinds": {"badge": {"strength": 45}}}, based_on=0)
    tell(state, ["badge=7", "phone=13912345678"])
    with pytest.raises(SettingError, match="cannot go"):
        restore_rules(state, 0)
    with pytest.raises(SettingError, match="is fixed"):
        change_rules(state, {"kinds": {"badge": {"personal": True}}}, based_on=1)
    with pytest.raises(SettingError, match="region"):
        change_rules(state, {"kinds": {"badge": {"strength": 45}}, "region": "GB"}, based_on=1)
    assert change_rules(state, {"kinds": {"badge": {"strength": 30, "single": 1}}}, based_on=1).version == 2
