"""Keys that an erased person shared with the living: the living are heard, and the key does not come back with them."""

from __future__ import annotations

from typing import Any

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.holdings import find_person
from jingzhe.app.privacy import Erasures
from jingzhe.consent.asking import may
from jingzhe.identity.keys import Key
from jingzhe.identity.people import find
from jingzhe.identity.rules import rules_from, save_rules
from tests.app.test_privacy import NOW, Shop, bare, found_in, track

__all__ = ["bare"]

ANN, BOB, PHONE = "login-ann-10293", "login-bob-56473", "13712345678"


@pytest.fixture
def household(bare: Shop) -> Shop:
    """Two with one telephone: the rules let only one login have it. Then the one who has it is erased."""
    save_rules(bare.state, rules_from({"kinds": {"login": {"single": 1}}}))
    for mark, login in enumerate((ANN, BOB)):
        traits = {"phone": PHONE, "email_opt_in": True}
        bare.put({"type": "identify", "userId": login, "traits": traits, "messageId": f"first{mark}"})
        assert bare.drain().calls == 1
    assert find(bare.state, Key("phone", PHONE)) == find_person(bare.workspace, ANN, "login")
    erasures = Erasures(bare.workspace)
    erasures.run(erasures.ask(find_person(bare.workspace, ANN, "login"), MACHINE, "request").erasure_id)
    return bare


def test_the_living_one_is_heard_and_the_number_does_not_come_back(household: Shop) -> None:
    shop, bob = household, find_person(household.workspace, BOB, "login")
    assert found_in(shop.home, ANN, PHONE) == set()
    assert PHONE not in shop.opened()
    assert may(shop.state, bob, "email", "marketing", at=NOW).allowed
    page = {"url": f"https://shop.example/?tel={PHONE}", "title": "home"}
    traits = {"phone": f"+86 {PHONE}", "notes": ["call", f"at {PHONE}"], "n": int(PHONE), "email_opt_in": False}
    shop.put(
        {"type": "identify", "userId": BOB, "traits": traits, "messageId": "w", "context": {"page": page}},
        track("Order Completed", "o", None, properties={"order_id": "o-1", "phone": PHONE, "colour": "red"},
              context={"traits": {"phone": PHONE, "member_id": "MEM-998877"}}),
    )  # fmt: skip
    drained = shop.drain()
    assert (drained.calls, drained.erased) == (2, 0)
    assert may(shop.state, bob, "email", "marketing", at=NOW).reason == "withdrawn"
    assert find(shop.state, Key("phone", PHONE)) is None
    held = shop.opened()
    assert PHONE not in held
    assert all(word in held for word in ("o-1", "red", "notes", "home"))


def test_only_the_strongest_key_or_all_of_them_make_a_call_the_erased_ones(household: Shop) -> None:
    shop = household
    calls: list[tuple[dict[str, Any], int]] = [
        ({"userId": ANN}, 0), ({"userId": ANN, "context": {"traits": {"email": "new@example.com"}}}, 0),
        ({"userId": None, "context": {"traits": {"phone": PHONE}}}, 0),
        ({"userId": None, "context": {"traits": {"phone": PHONE}}, "anonymousId": "cookie-1"}, 0),
        ({"userId": None, "context": {"traits": {"phone": PHONE, "member_id": "MEM-998877"}}}, 1),
        ({"type": "identify", "userId": "null", "anonymousId": "0", "traits": {"phone": PHONE}}, 0),
        ({"userId": "login-cat-77777", "context": {"traits": {"phone": PHONE}}}, 1),
    ]  # fmt: skip
    for number, (said, taken) in enumerate(calls):
        shop.put({**track("Product Viewed", f"v{number}"), **said})
        drained = shop.drain()
        assert (drained.calls, drained.erased) == (taken, 1 - taken), said
    assert PHONE not in shop.opened()
