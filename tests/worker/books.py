"""Balances the books: what was sent against what is in the lake, in quarantine, counted, and in the profiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect import refused_events
from jingzhe.collect.counting import ACCEPTED, DUPLICATE, REFUSED, counted
from jingzhe.collect.draining import Drain
from jingzhe.collect.write_keys import list_sources
from jingzhe.core.clock import Clock, SystemClock
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox
from tests.worker.sales import keys, mendable, number_in, patch, person, revenue, wrong
from tests.worker.sending import Clients

SHOP = "shop"
"""The source of the clients; SDKs have others."""
_FACTS = """
SELECT CAST(json_extract_string(properties, '$.n') AS BIGINT) AS n, events.event_id, events.person_id, revenue,
       event_details.user_id AS customer, anonymous_id AS browser, event_details.source
FROM event_details LEFT JOIN events USING (event_id)"""
Row = dict[str, Any]


def opened(home: Path, url: str, clock: Clock | None = None) -> Workspace:
    return open_workspace(home, clock=clock, state_url=url, memory_limit_mb=300, threads=1)


def balance(home: Path, url: str, clients: Clients, *, last: bool = False, as_of: date | None = None) -> None:
    """Drains what waits, then makes sure that everything sent is where it belongs, once, and nothing else is there.

    Args:
        home: folder of the project; nothing but clients that are sent away may be at work in it.
        url: of the state store; empty for SQLite.
        clients: who sent.
        last: True to compute all profiles anew, and compare; False to replay what is quarantined: it is left in the
            inbox, for whoever drains next.
        as_of: day of the profiles; None for today.
    """
    with clients.held(), opened(home, url) as workspace, open_inbox(workspace.settings) as inbox:
        drained(drain_of(workspace, inbox), inbox)
        as_of = workspace.refresh(as_of=as_of).as_of
        found = workspace.sql(_FACTS).to_pylist()
        facts = {row["n"]: row for row in found}
        assert len(found) == len(facts) == len({row["event_id"] for row in found}), "something is there twice"
        refused = quarantined(workspace.warehouse.state)
        _everything_once(clients, facts, refused)
        _whose(clients, found)
        _counted(workspace, clients, found, refused)
        _profiles(workspace, found)
        if last:
            _computed_anew(workspace, as_of)
        else:
            again(workspace, inbox, clients, refused)


def drained(drain: Drain, inbox: Inbox) -> None:
    """Drains until nothing waits."""
    for _ in range(1000):
        if not drain.run().rows and not inbox.depth().rows:
            return
    raise AssertionError("the inbox does not become empty")


def arrived(workspace: Workspace) -> set[int]:
    """Returns the numbers of everything that is in the lake or in quarantine at the moment."""
    # In this order: what is replayed meanwhile leaves the quarantine and comes into the lake.
    aside = quarantined(workspace.warehouse.state)
    return aside.keys() | set(workspace.sql(_FACTS)["n"].to_pylist())


def quarantined(state: State) -> dict[int, refused_events.Quarantined]:
    """Returns the events in quarantine by their numbers, each of which stands there once."""
    rows = refused_events.list_quarantined(state, limit=10**9)
    found = {number_in(row.body): row for row in rows}
    assert len(rows) == len(found), "something is in quarantine twice"
    return found


def _everything_once(
    clients: Clients, facts: Mapping[int, Row], refused: Mapping[int, refused_events.Quarantined]
) -> None:
    there, aside = facts.keys(), refused.keys()
    assert there | aside <= clients.sent, "something was never sent"
    assert clients.acknowledged <= there | aside, "something acknowledged is lost"
    bad = {number for number in clients.own if wrong(number)}
    # What was sent twice is never corrected, so that nothing comes back after it was.
    assert clients.mended <= there, "something that was mended is lost"
    assert not clients.mended & aside, "something that was mended is still in quarantine"
    assert there & bad == clients.mended, "something wrong has become a fact"
    assert aside <= bad - clients.mended, "something good is in quarantine"
    for number in aside & clients.own:
        assert refused[number].reason == wrong(number)
    for number, row in facts.items():
        assert row["revenue"] == revenue(number), row


def _whose(clients: Clients, found: list[Row]) -> None:
    """Compares people with the keys that were sent: a browser is a person's if any event names both."""
    for row in found:
        if row["n"] in clients.own:
            user, browser = keys(row["n"])
            assert {row["customer"], row["browser"]} <= {user, browser, None}, row
            assert row["customer"] or row["browser"], row
    signed_in = {row["browser"] for row in found if row["customer"]}
    by_name: dict[str, set[int]] = {}
    for row in found:
        alone = row["customer"] is None and row["browser"] not in signed_in
        by_name.setdefault(row["browser"] if alone else _owner(row), set()).add(row["person_id"])
    assert all(len(numbers) == 1 for numbers in by_name.values()), "one person has two numbers"
    assert len(set().union(*by_name.values())) == len(by_name), "two people have one number"


def _owner(row: Row) -> str:
    return str(row["customer"] or f"u{person(row['n'])}")


def _counted(
    workspace: Workspace, clients: Clients, found: list[Row], refused: Mapping[int, refused_events.Quarantined]
) -> None:
    """Compares what is counted with what was sent; where no answer was lost, exactly."""
    state = workspace.warehouse.state
    names = {one.source_id: one.name for one in list_sources(state)}
    with state.reading() as connection:
        rows = counted(connection, since=date(1970, 1, 1), until=date(9999, 12, 31))
    by: dict[str, Counter[str]] = {name: Counter() for name in names.values()}
    for row in rows:
        by[names[row.source_id]][row.outcome] += row.events
    for name, counts in by.items():
        assert counts[ACCEPTED] == sum(row["source"] == name for row in found), (name, counts)
    total = by[SHOP].total()
    assert clients.kept <= total <= clients.kept + clients.doubtful, (clients.kept, clients.doubtful, by[SHOP])
    bad = sum(count for outcome, count in by[SHOP].items() if outcome.startswith(REFUSED))
    assert bad + by[SHOP][DUPLICATE] + by[SHOP][ACCEPTED] == total
    assert bad >= len(refused) + len(clients.mended)
    assert not any(outcome.startswith(REFUSED) for name, counts in by.items() if name != SHOP for outcome in counts)


def _profiles(workspace: Workspace, found: list[Row]) -> None:
    """Compares the profiles with sums of the facts."""
    expected: dict[int, tuple[int, float]] = {}
    for row in found:
        purchases, spend = expected.get(row["person_id"], (0, 0.0))
        expected[row["person_id"]] = purchases + 1, spend + row["revenue"]
    rows = workspace.sql("SELECT person_id, purchases, spend FROM profiles").to_pylist()
    assert {row["person_id"]: (row["purchases"], row["spend"]) for row in rows} == expected


def _computed_anew(workspace: Workspace, as_of: date | None) -> None:
    everybody = "SELECT * FROM profiles ORDER BY person_id"
    before = workspace.sql(everybody).to_pylist()
    assert workspace.refresh(full=True, as_of=as_of).full
    after = workspace.sql(everybody).to_pylist()
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        different = {name for name in one if not _alike(one[name], other[name])}
        assert not different, [(name, one[name], other[name]) for name in different]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def again(
    workspace: Workspace, inbox: Inbox, clients: Clients, refused: Mapping[int, refused_events.Quarantined]
) -> None:
    """Corrects some events in quarantine and replays them, with some that are still wrong, which will come back."""
    state, clock = workspace.warehouse.state, SystemClock()
    good = {
        number
        for number in refused
        if mendable(number) and number in clients.acknowledged and number not in clients.repeated
    }
    for number in good:
        refused_events.amend(state, refused[number].quarantine_id, patch(number, refused[number].protocol))
    others = sorted(refused.keys() - good)[:20]
    for numbers, mended in ((good, True), (set(others), False)):
        if numbers:
            ids = [refused[number].quarantine_id for number in numbers]
            assert refused_events.replay(state, inbox, clock=clock, numbers=ids) == len(numbers)
            clients.replayed(numbers, mended=mended)
