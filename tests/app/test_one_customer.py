"""A customer who is known by a file and by live events is one person, whichever came first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.people import People
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.draining import Drain
from jingzhe.collect.received import Received, packed
from jingzhe.collect.refused_events import list_quarantined
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import IdentityError, SettingError
from jingzhe.dormancy.columns import SCORES
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain, find
from jingzhe.store.query import one as query
from jingzhe.store.state.inbox import Group, Inbox
from tests.app.conftest import NOW
from tests.collect.live import NOON, track
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

ANN = By("ann", "a test")


@dataclass
class Shop:
    """A project that imports files and takes live events."""

    workspace: Workspace
    inbox: Inbox
    folder: Path
    _drain: Drain | None = None
    files: int = 0
    told: list[str] = field(default_factory=list)

    def import_(self, *rows: str, **wishes: Any) -> Any:
        """Imports rows of customer, order, day, amount."""
        self.files += 1
        path = self.folder / f"orders-{self.files}.csv"
        path.write_text("\n".join(["customer_id,order_id,date,amount", *rows]) + "\n", "utf-8")
        return self.workspace.import_(path, **wishes)

    def live(self, *events: dict[str, Any]) -> None:
        """Takes live events and drains them, always with the drain that was begun first."""
        body, us = json.dumps({"batch": events}).encode(), int(NOON.timestamp() * 1e6)
        request = Received(1, "segment", "batch", us, "", "", "private", len(events), body)
        self.inbox.append(Group(1, len(events), us, packed([request])))
        self.begin().run()

    def begin(self) -> Drain:
        self._drain = self._drain or drain_of(self.workspace, self.inbox)
        return self._drain

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.workspace.sql(query).to_pylist()]

    def histories(self) -> list[tuple[Any, ...]]:
        """Refreshes; returns orders and spend by person, the most first."""
        self.workspace.refresh()
        return self.sql("SELECT purchases, spend FROM profiles ORDER BY spend DESC")

    def now(self, kind: str, value: str) -> int:
        found = find(self.workspace.warehouse.state, Key(kind, value))
        assert found is not None
        return found


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else ""
    clock = FixedClock(NOON)
    settings: dict[str, Any] = {"state_url": url, "memory_limit_mb": 300, "threads": 1}
    with ExitStack() as stack:
        workspace = stack.enter_context(open_workspace(tmp_path / "project", clock=clock, **settings))
        inbox = stack.enter_context(open_inbox(workspace.settings))
        add_source(workspace.warehouse.state, "shop", clock=clock)
        yield Shop(workspace, inbox, tmp_path)


def bought(user: str, number: int, revenue: float, **fields: Any) -> dict[str, Any]:
    return track(
        userId=user, messageId=f"m{number}", properties={"order_id": f"live{number}", "revenue": revenue}, **fields
    )


def first_the_file(shop: Shop) -> None:
    shop.import_("u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7")
    shop.live(bought("u1", 1, 20.0), bought("u3", 2, 30.0))


def first_the_file_beside_a_running_server(shop: Shop) -> None:
    shop.begin()
    first_the_file(shop)


def first_the_events(shop: Shop) -> None:
    shop.live(bought("u1", 1, 20.0), bought("u3", 2, 30.0))
    shop.import_("u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7")


def by_turns(shop: Shop) -> None:
    shop.import_("u2,o2,2026-03-02,7")
    shop.live(bought("u3", 2, 30.0))
    shop.import_("u1,o1,2026-03-01,5")
    shop.live(bought("u1", 1, 20.0))


@pytest.mark.parametrize(
    "order",
    [first_the_file, first_the_file_beside_a_running_server, first_the_events, by_turns],
    ids=lambda f: f.__name__,
)
def test_a_customer_of_a_file_is_who_signs_in_with_the_same_id(shop: Shop, order: Callable[[Shop], None]) -> None:
    order(shop)
    assert shop.histories() == [(1, 30.0), (2, 25.0), (1, 7.0)]
    with asked(shop) as people:
        for kind in ("customer", "login"):
            (person,) = people.find(kind, "u1")
            assert [row["order_id"] for row in people.timeline(person)] == ["live1", "o1"]


@contextmanager
def asked(shop: Shop) -> Iterator[People]:
    people = People(shop.workspace, look_again_seconds=0.0)
    try:
        yield people
    finally:
        people.close()


def test_the_same_id_of_another_system_is_somebody_else(shop: Shop) -> None:
    shop.import_("u1,o1,2026-03-01,5", key_kind="member")
    shop.live(bought("u1", 1, 20.0))
    assert shop.histories() == [(1, 20.0), (1, 5.0)]
    with pytest.raises(IdentityError, match="strangers may share"):
        shop.import_("u1,o1,2026-03-01,5", key_kind="cookie")
    with pytest.raises(SettingError, match="fax"):
        shop.import_("u1,o1,2026-03-01,5", key_kind="fax")


def test_imports_after_a_merge_change_nothing_twice_and_follow_an_undo(shop: Shop) -> None:
    rows = ["u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7", "u2,,2026-03-03,1", "u1,,2026-03-03,1"]
    shop.import_(*rows)
    shop.live(bought("u1", 1, 20.0))
    state, clock = shop.workspace.warehouse.state, FixedClock(NOON)
    merge(state, shop.now("login", "u1"), shop.now("login", "u2"), ANN, clock=clock)
    assert shop.histories() == [(5, 34.0)]
    again = shop.import_(*reversed(rows))
    assert (again.events, again.people, again.orders_replaced) == (0, 0, 0)
    corrected = shop.import_("u2,o2,2026-03-02,8", *rows[2:])
    assert (corrected.orders_replaced, corrected.events, corrected.people) == (1, 1, 0)
    assert shop.histories() == [(5, 35.0)]
    shop.import_("u2,o9,2026-03-04,100")
    (join,) = [join for join in explain(state, shop.now("login", "u1")) if join.outcome == "merged"]
    undo(state, [join.numbers], ANN, clock=clock)
    assert shop.histories() == [(3, 109.0), (3, 26.0)]


def test_what_compaction_has_folded_in_is_not_imported_twice(shop: Shop) -> None:
    rows = ["u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7", "u2,,2026-03-03,1"]
    shop.import_(*rows)
    shop.live(bought("u1", 1, 20.0))
    merge(shop.workspace.warehouse.state, shop.now("login", "u1"), shop.now("login", "u2"), ANN, clock=FixedClock(NOON))
    shop.workspace.refresh()
    shop.workspace.compact(undo_days=-1.0)
    assert shop.sql("SELECT DISTINCT person_id FROM events_filed") == [(shop.now("login", "u1"),)]
    shop.import_(*reversed(rows))
    assert shop.histories() == [(4, 33.0)]


def test_a_person_is_right_at_once_before_anything_is_refreshed(shop: Shop) -> None:
    shop.import_("u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7", "u2,o3,2026-03-03,1")
    shop.live(bought("u1", 1, 20.0))
    shop.workspace.refresh()
    state, clock = shop.workspace.warehouse.state, FixedClock(NOON)
    one, two = shop.now("login", "u1"), shop.now("login", "u2")
    with asked(shop) as people:
        apart = [people.person(person).profile for person in (one, two)]
        assert [(row["purchases"], row["spend"]) for row in apart if row] == [(2, 25.0), (2, 8.0)]
        merge(state, one, two, ANN, clock=clock)
        early = people.person(two)
        assert early.profile is not None
        assert (early.person_id, early.profile["purchases"], early.scores) == (one, 4, None)
        assert {row["person_id"] for row in people.timeline(two)} == {one}
        shop.workspace.refresh()
        assert people.person(two).profile == early.profile
        (join,) = [join for join in explain(state, one) if join.outcome == "merged"]
        undo(state, [join.numbers], ANN, clock=clock)
        assert [people.person(person).profile for person in (one, two)] == apart
        shop.workspace.refresh()
        assert [people.person(person).profile for person in (one, two)] == apart


def test_scores_of_somebody_whom_another_one_took_over_are_not_read(shop: Shop) -> None:
    shop.import_("u1,o1,2026-03-01,5", "u2,o2,2026-03-02,7", "u3,o3,2026-03-03,1")
    assert shop.workspace.adopt() == 3
    warehouse, clock = shop.workspace.warehouse, FixedClock(NOON)
    with warehouse.writing("scores") as writing:
        unknown = ", ".join(f"NULL AS {name}" for name in SCORES.column_names if name != "person_id")
        files = writing.write(SCORES, query("scores", f"SELECT DISTINCT person_id, {unknown} FROM identities"))
        writing.stage(SCORES, files, replace=True)
        writing.publish("scores")
    one, two, three = (shop.now("login", user) for user in ("u1", "u2", "u3"))
    scored = "SELECT person_id FROM scores ORDER BY person_id"
    merge(warehouse.state, one, two, ANN, clock=clock)
    shop.workspace.refresh()
    assert shop.sql(scored) == [(one,), (three,)]
    (join,) = [join for join in explain(warehouse.state, one) if join.outcome == "merged"]
    undo(warehouse.state, [join.numbers], ANN, clock=clock)
    shop.workspace.refresh()
    assert shop.sql(scored) == [(one,), (two,), (three,)]


SERVER = {"context": {"library": {"name": "analytics-python"}}}
BROWSER = {"context": {"library": {"name": "analytics.js"}, "userAgent": "Mozilla/5.0"}}


def alias(former: str, now: str, **more: Any) -> dict[str, Any]:
    return {"type": "alias", "previousId": former, "userId": now, "messageId": f"{former}-{now}", **more}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "apart"])
def test_a_server_can_say_that_a_login_has_another_one_now(shop: Shop, together: bool) -> None:
    events = [bought("old", 1, 20.0), bought("new", 2, 30.0), alias("old", "new", **SERVER), bought("old", 3, 1.0)]
    for batch in [events] if together else [[one] for one in events]:
        shop.live(*batch)
    assert shop.histories() == [(3, 51.0)]
    assert shop.now("login", "old") == shop.now("login", "new")
    state = shop.workspace.warehouse.state
    assert find(state, Key("cookie", "old")) is None
    (join,) = [join for join in explain(state, shop.now("login", "new")) if join.rule == "alias"]
    undo(state, [join.numbers], ANN, clock=FixedClock(NOON))
    shop.live(alias("old", "new", **{**SERVER, "messageId": "again"}))
    assert shop.histories() == [(1, 30.0), (2, 21.0)], "who took it back knows better"


def merged(*ids: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"type": kind, "value": value} for kind, value in ids]
    return {"type": "merge", "messageId": f"merge {ids}", "mergeProperties": listed, **more}


def test_ids_that_are_merged_are_one_person(shop: Shop) -> None:
    shop.live(bought("u1", 1, 20.0), till("13812345678", 2, 30.0), till("13800001111", 3, 1.0))
    shop.live(
        merged(("email", "li@example.cn"), ("mobile", "138 1234 5678")), merged(("shoe", "42"), ("email", "x@y.cn"))
    )
    shop.live(merged(("email", "li@example.cn"), ("email", "li@example.com"), userId="u1"))
    assert shop.histories() == [(2, 50.0), (1, 1.0)]
    assert shop.now("email", "li@example.com") == shop.now("phone", "13812345678") == shop.now("login", "u1")
    (refused,) = list_quarantined(shop.workspace.warehouse.state)
    assert (refused.reason, refused.field) == ("bad-field", "mergeProperties[0].type")
    shop.live(bought("old", 4, 5.0), merged(("userId", "old"), userId="u1", **SERVER))
    assert shop.histories() == [(3, 55.0), (1, 1.0)]
    shop.live(merged(("userId", "u1"), userId="u1", **SERVER))
    assert len(list_quarantined(shop.workspace.warehouse.state)) == 1


def till(phone: str, number: int, revenue: float) -> dict[str, Any]:
    return bought("", number, revenue, context={"traits": {"phone": phone}})


def test_a_browser_cannot_say_so_of_whoever_was_signed_in_before_on_it(shop: Shop) -> None:
    shop.live(bought("old", 1, 20.0), bought("new", 2, 30.0), alias("old", "new", **BROWSER))
    assert shop.histories() == [(1, 30.0), (1, 20.0)]


def test_an_anonymous_id_that_gets_a_login_is_still_a_browser(shop: Shop) -> None:
    visit = {**bought("", 1, 20.0), "userId": None, "anonymousId": "a1"}
    shop.live(visit, alias("a1", "new", **SERVER))
    shop.live(bought("new", 2, 30.0))
    assert shop.histories() == [(2, 50.0)]
    assert shop.now("cookie", "a1") == shop.now("login", "new")


def test_two_spellings_of_one_key_are_one_person(shop: Shop) -> None:
    shop.import_("７７,o1,2026-03-01,5", "77,o2,2026-03-02,7")
    assert shop.histories() == [(1, 7.0), (1, 5.0)], "a file alone takes keys as they are written"
    shop.live(bought("77", 1, 20.0))
    assert shop.histories() == [(3, 32.0)]


def test_the_list_shows_two_customers_who_are_one_as_one(orders: Path, tmp_path: Path) -> None:
    with open_workspace(tmp_path / "project", clock=FixedClock(NOW), threads=1) as workspace:
        workspace.import_(orders)
        before = {row["person_id"]: row for row in workspace.dormant(top=None).to_pylist()}
        one, two = sorted(before)[:2]
        workspace.adopt()
        merge(workspace.warehouse.state, one, two, ANN, clock=FixedClock(NOW))
        with workspace.view() as view:
            after = view.session.run(query("people", "SELECT person_id, purchases FROM people")).to_pylist()
            scored = view.session.run(query("scored", "SELECT person_id FROM scores"))["person_id"].to_pylist()
        purchases = {row["person_id"]: row["purchases"] for row in after}
        assert len(purchases) == len(after), "nobody twice"
        assert purchases[one] == before[one]["purchases"] + before[two]["purchases"]
        assert two not in purchases
        assert two not in scored
        assert len(set(scored)) == len(scored)
        assert two not in workspace.dormant(top=None)["person_id"].to_pylist()
