"""A store with a row for each key and each pair becomes one with packed runs; nothing that it says is lost."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import command
from sqlalchemy import Connection

from jingzhe.core.clock import FixedClock
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, undo
from jingzhe.identity.observations import Coder
from jingzhe.identity.people import explain, keys_of
from jingzhe.identity.rules import project_salt, save_rules
from jingzhe.store.state import State
from jingzhe.store.state.database import connect
from jingzhe.store.state.migrate import _config
from tests.identity.stories import CLOCK, tell, who
from tests.identity.test_components import FREE

BEFORE = "0006"
NAMES = ("n1", "n2", "n3", "n4")


def test_rows_of_before_are_carried_over(state_url: str, clock: FixedClock) -> None:
    told = ["k=n1 k=n2", "k=n3 k=n4", "k=n2 k=n3"]
    database = connect(state_url)
    with database.writing() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    with State(database, clock=clock) as old, old.writing() as connection:
        _write_as_before(connection, _numbers(old, connection))
    with State.open(state_url, clock=clock) as state:
        save_rules(state, FREE)
        assert {who(state, f"k={name}") for name in NAMES} == {1}
        assert sorted((row.value, row.person_id, row.partners, row.event) for row in keys_of(state, 1)) == [
            ("n1", 1, 1, "e0"), ("n2", 1, 1, "e0"), ("n3", 2, 2, "e1"), ("n4", 2, 1, "e1"),
        ]  # fmt: skip
        joins = [(one.a.value, one.b.value, one.outcome, one.rule, one.event, one.lost) for one in explain(state, 1)]
        assert joins == [
            ("n1", "n2", "joined", "seen together", "e0", None),
            ("n3", "n4", "joined", "seen together", "e1", None),
            ("n2", "n3", "merged", "by card", "e2", 2),
        ]
        assert tell(state, told, begin=10, rules=FREE).merges == 0, "what was seen is known"
        wrong = [join.numbers for join in explain(state, 1) if join.outcome == "merged"]
        undo(state, wrong, By("ann", "two sisters"), clock=CLOCK)
        assert [who(state, f"k={name}") for name in NAMES] == [1, 1, 2, 2]


def _numbers(old: State, connection: Connection) -> dict[str, int]:
    """Returns the numbers that the keys have under the store's own salt."""
    coder = Coder(FREE, project_salt(old, connection))
    found = {name: coder.stored(Key("k", name)) for name in NAMES}
    return {name: stored[1] for name, stored in found.items() if stored is not None}


def _write_as_before(connection: Connection, number: dict[str, int]) -> None:
    keys: list[tuple[Any, ...]] = [
        ("n1", 1, None, 1, "e0"), ("n2", 1, "n1", 1, "e0"), ("n3", 2, None, 2, "e1"), ("n4", 2, "n3", 1, "e1"),
    ]  # fmt: skip
    into_keys = sa.text(
        "INSERT INTO identity_key (key_id, kind, value, person_id, joined_to, partners, seen_us, event) "
        "VALUES (:key_id, 'k', :value, :person, :joined, :partners, :seen, :event)"
    )
    for value, person, joined, partners, event in keys:
        row = {"key_id": number[value], "value": value, "person": person, "partners": partners, "event": event}
        connection.execute(into_keys, {**row, "joined": number.get(joined), "seen": int(event[1:]) * 1_000_000})
    connection.execute(
        sa.text(
            "INSERT INTO identity_edge (person_id, a, b, outcome, rule, kept, lost, seen_us, event) "
            "VALUES (1, :a, :b, 'merged', 'by card', 1, 2, 2000000, 'e2')"
        ),
        {"a": number["n2"], "b": number["n3"]},
    )
    connection.execute(sa.text("INSERT INTO identity_override (old_person, new_person, moved_us) VALUES (2, 1, 5)"))
    connection.execute(sa.text("INSERT INTO identity_number (name, last) VALUES ('person', 2)"))
