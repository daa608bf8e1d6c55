"""Whose a key is after merges were undone: the graph says so, to look-up, page, export and erasure alike."""

from __future__ import annotations

import contextlib
import random
import time
from collections import defaultdict
from contextlib import closing
from typing import Any

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.holdings import find_person, holdings, subject_of
from jingzhe.app.people import People
from jingzhe.app.privacy import Erasures
from jingzhe.core.errors import IdentityError
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain, find
from tests.app.test_privacy import Shop, bare, found_in, track

__all__ = ["bare"]


BY = By("li", "somebody else's card")
MEMBER, LOGIN = Key("member", "MEM-000-7351"), Key("login", "login-ann-9034")


def of_member(mark: str) -> dict[str, object]:
    """Returns an order under the member's number alone."""
    bought = {"order_id": f"order-{mark}", "revenue": 7}
    return track("Order Completed", mark, None, properties=bought, context={"traits": {"member_id": MEMBER.value}})


def parted(shop: Shop) -> None:
    """Has a login and a member's number meet, undoes that, and has the number shop again."""
    shop.put(
        {"type": "identify", "userId": LOGIN.value, "traits": {"member_id": MEMBER.value}, "messageId": "m1"},
        track("Order Completed", "m2", LOGIN.value, properties={"order_id": "order-m2", "revenue": 5}),
    )
    shop.drain()
    shop.workspace.refresh()
    undo(shop.state, [(LOGIN, MEMBER)], BY, clock=shop.workspace.warehouse.clock)
    shop.put(of_member("m3"))
    shop.drain()
    shop.workspace.refresh()


def test_after_an_undo_a_key_leads_to_whom_the_graph_says(bare: Shop) -> None:
    parted(bare)
    with closing(People(bare.workspace)) as people:
        (ann,), (other,) = people.find(*LOGIN), people.find(*MEMBER)
        assert ann != other
        assert {find_person(bare.workspace, MEMBER.value, kind) for kind in ("member", "")} == {other}
        shown = {one: {(key.kind, key.value) for key in people.person(one).identities} for one in (ann, other)}
    assert shown == {ann: {tuple(LOGIN)}, other: {tuple(MEMBER)}}
    for one, key in ((ann, LOGIN), (other, MEMBER)):
        assert subject_of(bare.workspace, one).keys == (tuple(key),)
        held = holdings(bare.workspace, one)
        assert [(row["kind"], row["stored"]) for row in held.state["keys"]] == [tuple(key)]
        assert held.tables["identities"]["value"].to_pylist() == [key.value]


def test_erasing_one_of_two_who_were_parted_leaves_the_other_alone(bare: Shop) -> None:
    parted(bare)
    erasures = Erasures(bare.workspace)
    done = erasures.run(erasures.ask(find_person(bare.workspace, *reversed(LOGIN)), MACHINE, "r").erasure_id)
    assert done.done["marked"]["keys"] == {"login": 1}
    bare.put(of_member("m4"), track("Product Viewed", "m5", LOGIN.value))
    drained = bare.drain()
    assert (drained.calls, drained.erased) == (1, 1)
    assert find_person(bare.workspace, MEMBER.value, "member") != done.person_id
    assert found_in(bare.home, LOGIN.value) == set()


def test_erasing_the_other_takes_what_was_filed_before_they_were_parted(bare: Shop) -> None:
    parted(bare)
    erasures = Erasures(bare.workspace)
    erasures.run(erasures.ask(find_person(bare.workspace, *reversed(MEMBER)), MACHINE, "r").erasure_id)
    assert found_in(bare.home, MEMBER.value) == set()
    assert MEMBER.value not in bare.opened()
    orders = bare.workspace.sql("SELECT order_id FROM events")["order_id"].to_pylist()
    assert orders == ["order-m2"]
    bare.put(of_member("m4"), track("Product Viewed", "m5", LOGIN.value))
    drained = bare.drain()
    assert (drained.calls, drained.erased) == (1, 1)
    time.sleep(0.3)  # longer than a publication is taken for the newest
    with closing(People(bare.workspace)) as people:
        assert people.find(*MEMBER) == []
        assert len(people.find(*LOGIN)) == 1


POOL = {
    "login": [f"login-{name}-48213" for name in ("ann", "bob", "cat", "dan")],
    "member": [f"MEM-{number}-{number}" for number in (70011, 70012, 70013, 70014)],
    "email": [f"{name}.secret@example.com" for name in ("ann", "bob", "cat", "dan")],
    "phone": [f"1371234560{number}" for number in range(4)],
}


def carrying(keys: dict[str, str], mark: str, call: str = "track") -> dict[str, Any]:
    """Returns a call with some keys."""
    traits = {("member_id" if kind == "member" else kind): value for kind, value in keys.items() if kind != "login"}
    if call == "identify":
        body: dict[str, Any] = {"type": "identify", "traits": traits, "messageId": mark}
    else:
        body = track("Order Completed", mark, None, context={"traits": traits}, properties={"order_id": f"o-{mark}"})
    return {**body, "userId": keys.get("login")}


class History:
    """People who meet, are merged and parted again, at random.

    Args:
        shop: where.
        seed: of the choices.
    """

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.chance, self.sent = shop, random.Random(seed), 0  # noqa: S311 - of tests

    def owner(self, kind: str, value: str) -> int | None:
        return find(self.shop.state, Key(kind, value))

    def people(self) -> dict[int, list[tuple[str, str]]]:
        """Returns the keys of everybody."""
        found: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for kind, values in POOL.items():
            for value in values:
                owner = self.owner(kind, value)
                if owner is not None:
                    found[owner].append((kind, value))
        return found

    def mark(self) -> str:
        self.sent += 1
        return f"mark{self.sent}"

    def meet(self) -> None:
        """Sends a few calls that carry one to three keys each."""
        calls = []
        for _ in range(5):
            kinds = self.chance.sample(sorted(POOL), self.chance.choice((1, 2, 2, 3)))
            keys = {kind: self.chance.choice(POOL[kind]) for kind in kinds}
            calls.append(carrying(keys, self.mark(), self.chance.choice(("track", "identify"))))
        self.shop.put(*calls)
        self.shop.drain()

    def join(self) -> None:
        """Merges two people by hand, where there are two."""
        known = sorted(self.people())
        if len(known) > 1:
            one, other = self.chance.sample(known, 2)
            merge(self.shop.state, one, other, BY, clock=self.shop.workspace.warehouse.clock)

    def part(self) -> None:
        """Takes a join back, where one can be."""
        joins = [join for person in sorted(self.people()) for join in explain(self.shop.state, person)]
        self.chance.shuffle(joins)
        for join in joins:
            with contextlib.suppress(IdentityError):  # held together by other evidence, or of two people already
                undo(self.shop.state, [join.numbers], BY, clock=self.shop.workspace.warehouse.clock)
                return

    def run(self, steps: int) -> None:
        self.meet()
        for _ in range(steps):
            self.chance.choice((self.meet, self.meet, self.join, self.part, self.part, self.shop.workspace.refresh))()


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 15))])
def test_whatever_came_before_only_the_erased_one_is_gone(bare: Shop, seed: int) -> None:
    history = History(bare, seed)
    history.run(10)
    before = history.people()
    person = history.chance.choice(sorted(before))
    erasures = Erasures(bare.workspace)
    erasures.run(erasures.ask(person, MACHINE, "request").erasure_id)
    gone = [value for _, value in before[person]]
    held = bare.opened()
    assert found_in(bare.home, *gone) == set()
    assert [value for value in gone if value in held] == []
    others = [key for one, keys in before.items() if one != person for key in keys]
    bare.put(*(carrying({kind: value}, history.mark()) for kind, value in others))
    drained = bare.drain()
    assert (drained.calls, drained.erased, drained.quarantined) == (len(others), 0, 0)
    assert {key: history.owner(*key) for key in others} == {
        key: one for one, keys in before.items() if one != person for key in keys
    }
    bare.put(*(carrying(dict([key]), history.mark()) for key in before[person]))
    assert bare.drain().erased == len(gone)


def test_events_under_an_account_go_with_it_though_they_were_filed_under_another(bare: Shop) -> None:
    mail, account = "ann.geheim@example.com", "login-bob-7788"
    bare.put({"type": "identify", "anonymousId": "cookie-ann-1", "traits": {"email": mail}, "messageId": "e1"})
    bare.drain()
    bought = {"order_id": "order-e3", "revenue": 50, "products": [{"product_id": "tea-secret", "price": 50}]}
    mine = {**carrying({"email": mail}, "e4"), "properties": {"order_id": "order-e4", "revenue": 3}}
    bare.put(
        {"type": "identify", "userId": account, "traits": {"email": mail}, "messageId": "e2"},
        track("Order Completed", "e3", account, properties=bought),
        mine,
    )
    bare.drain()
    bare.workspace.refresh()
    ann = find_person(bare.workspace, mail, "email")
    assert [key for key, _ in subject_of(bare.workspace, ann).values] == ["cookie", "email", "login"]
    undo(bare.state, [(Key("login", account), Key("email", mail))], BY, clock=bare.workspace.warehouse.clock)
    bare.workspace.refresh()
    bob = find_person(bare.workspace, account, "login")
    assert bob != ann
    assert subject_of(bare.workspace, bob).keys == (("login", account),)
    assert [value for kind, value in subject_of(bare.workspace, ann).values if kind != "email"] == ["cookie-ann-1"]
    erasures = Erasures(bare.workspace)
    erasures.run(erasures.ask(bob, MACHINE, "request").erasure_id)
    assert found_in(bare.home, account) == set()
    assert bare.workspace.sql("SELECT order_id FROM events").to_pylist() == [{"order_id": "order-e4"}]
    assert bare.workspace.sql("SELECT * FROM items").to_pylist() == []
    bare.workspace.refresh()
    time.sleep(0.3)  # longer than a publication is taken for the newest
    with closing(People(bare.workspace)) as people:
        profile = people.person(ann).profile
        assert profile is not None
        assert (profile["purchases"], profile["monetary"]) == (1, 3.0)
