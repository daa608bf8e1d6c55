"""Lists do not bring back people who were erased, nor name them in proposals."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.holdings import find_person
from jingzhe.app.linking import Proposed, propose
from jingzhe.app.privacy import Erasures
from jingzhe.identity import linking
from jingzhe.identity.keys import Key
from jingzhe.identity.people import find
from tests.app.test_privacy import Shop, bare, found_in

__all__ = ["bare"]

pytest.importorskip("splink", reason="splink is an extra: pip install 'jingzhe[link]'")

EMAIL, SURNAME = "zhang.geheim@example.com", "geheimnis"
COLUMNS = {"first": "name", "surname": "name", "born": "birthday", "email": "email"}


def people() -> pa.Table:
    """Returns a list with some people twice, one of them with an e-mail that will be erased."""
    chance = random.Random(1)  # noqa: S311 - of tests
    rows = []
    for number in range(200):
        first, surname = f"{chance.choice('abcdef')}nn{chance.randrange(40)}", f"sur{chance.randrange(60)}"
        born = f"19{chance.randrange(50, 99)}-0{chance.randrange(1, 9)}-1{chance.randrange(9)}"
        rows.append((first, surname, born, f"p{number}@ex.com"))
        if number % 3 == 0:
            rows.append((first, surname, born, f"p{number}@ex.com" if number % 2 else f"q{number}@ex.com"))
    rows += [("zhang", SURNAME, "1980-01-11", EMAIL)] * 2
    return pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))


def names(shop: Shop) -> bool:
    return any(EMAIL in str(one.evidence) for one in linking.listed(shop.state))


def brought(shop: Shop, source: str) -> Proposed:
    return propose(shop.workspace, people(), COLUMNS, source=source, keys={"email": "email"})


def test_a_list_does_not_bring_back_whom_it_names(bare: Shop) -> None:
    bare.put({"type": "identify", "userId": "login-zhang", "traits": {"email": EMAIL}, "messageId": "1"})
    bare.drain()
    # Without keys each line is a person of its own, so the pair that names the e-mail is proposed.
    propose(bare.workspace, people(), COLUMNS, source="first.csv")
    assert names(bare)
    assert found_in(bare.home, EMAIL) == set(), "evidence is sealed"
    before = brought(bare, "again.csv")
    assert before.left_out == 0
    erasures = Erasures(bare.workspace)
    erasures.run(erasures.ask(find_person(bare.workspace, EMAIL, "email"), MACHINE, "request").erasure_id)
    assert not names(bare)
    assert EMAIL not in bare.opened()
    for source in ("again.csv", "new.csv", "new.csv"):
        after = brought(bare, source)
        assert after.left_out == 2
        assert len(after.waiting) > 10
        assert not names(bare)
        assert find(bare.state, Key("email", EMAIL)) is None
