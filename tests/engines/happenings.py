"""What is done to a project in these tests: every way in, every way of keeping current, every question."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app import outcome
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.demo import load_simulated
from jingzhe.app.exporting import LISTED
from jingzhe.app.holdings import holdings
from jingzhe.app.privacy import Erasures
from jingzhe.app.reporting import Asked, report_data
from jingzhe.app.views import View
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.quarantine import open_rows
from jingzhe.collect.received import Received, packed
from jingzhe.collect.wire import segment
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import ImportRefusedError
from jingzhe.core.progress import Silent
from jingzhe.dormancy.purchasing import fit_purchase_models, histories_to_fit, keep_histories
from jingzhe.dormancy.queries import KNOWN
from jingzhe.dormancy.snapshots import know
from jingzhe.dormancy.treatment import TIERS
from jingzhe.dormancy.worth import fit_spend, keep_values
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain, find
from jingzhe.identity.rules import SALT
from jingzhe.links.figures import figures
from jingzhe.outgoing.queries import BEFORE, CHANGED_STATES, NEW_EVENTS, NEW_EVENTS_WHOLE
from jingzhe.profile import rfm
from jingzhe.profile.columns import PROFILES
from jingzhe.profile.movement import movement
from jingzhe.profile.queries import FACTS_OF, all_person_days
from jingzhe.store.engine import Engine
from jingzhe.store.facts import EVENT_DETAILS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.erase import delete, erase
from jingzhe.store.query import Query, Step, one
from jingzhe.store.state.inbox import Group

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
ZONE = "Asia/Shanghai"
ANN = By("ann", "a test")
FIELDS = (
    "order_id",
    "customer_id",
    "ordered_at",
    "product_id",
    "category",
    "quantity",
    "price",
    "discount",
    "currency",
)
MENDED = "mended.csv"
LIVE = [
    {
        "type": "track", "event": ("Order Completed", "Product Viewed")[number % 2], "messageId": f"live-{number}",
        "timestamp": f"2026-01-{1 + number % 28:02d}T10:{number % 60:02d}:00Z",
        **({"userId": f"c{number % 9}"} if number % 3 else {"anonymousId": f"cookie-{number % 7}"}),
        "properties": {
            "order_id": f"live-{number}", "total": 10.0 + number, "currency": "CNY",
            "products": [{"product_id": f"p{number % 30}", "category": f"类{number % 6}", "price": 5.0, "quantity": 2}],
        } if number % 2 == 0 else {"product_id": f"p{number % 30}"},
    }
    for number in range(120)
]  # fmt: skip
"""What a web shop sends: orders and views, of known customers and of cookies."""
LATER = [
    {"type": "identify", "userId": f"c{number}", "anonymousId": f"cookie-{number}", "messageId": f"who-{number}",
     "timestamp": f"2026-01-29T10:0{number}:00Z"}
    for number in range(7)
]  # fmt: skip
"""The cookies turn out to be customers."""
SLEEPING = ("dormant", "declining", "lost")
RISKS = one("risk_of_one", "SELECT risk FROM scores WHERE person_id = $person")

Opened = Callable[[Path], Engine]


def opened(home: Path, engine: Opened | None = None, *, address: str = "duckdb") -> Workspace:
    """Opens a project, on another engine where one or its address is given; all have one salt."""
    workspace = open_workspace(
        home, clock=FixedClock(NOW), timezone=ZONE, memory_limit_mb=1200, currency="CNY", engine=address
    )
    state = workspace.warehouse.state
    if state.document(*SALT) is None:
        # New customers are numbered in the order of their keys, those with a telephone in that of their hashes.
        state.put_document(*SALT, {"salt": "5a" * 32})
    if engine is not None:
        workspace.warehouse = replace(workspace.warehouse, engine=engine(home))
    return workspace


def orders(folder: Path, *, corrected: bool = False) -> Path:
    """Writes a shop's orders: lines of one order at several moments, returns, currencies, gaps, nonsense."""
    generator = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for number in range(700):
        customer = f"c{generator.integers(90)}"
        at = datetime(2024, 1, 1) + timedelta(hours=int(generator.integers(24 * 720)))  # noqa: DTZ001 - as in a file
        for line in range(int(generator.integers(1, 4))):
            moment = at + timedelta(minutes=5 * line if number % 9 == 0 else 0)
            quantity = -1 if number % 23 == 0 and line == 1 else int(generator.integers(1, 5))
            price = round(float(generator.gamma(3, 8)), 2)
            rows.append(
                {
                    "order_id": "" if number % 17 == 0 else f"o{number}",
                    "customer_id": customer, "ordered_at": moment.isoformat(sep=" "),
                    "product_id": f"p{generator.integers(30)}",
                    "category": "" if number % 11 == 0 else f"类{generator.integers(6)}",
                    "quantity": quantity, "price": price,
                    "discount": "" if number % 3 else round(price / 10, 2),
                    "currency": "USD" if number % 41 == 0 and line == 1 else "CNY",
                }
            )  # fmt: skip
    if corrected:
        rows = [row for number, row in enumerate(rows) if row["order_id"] and number % 40 != 7]
        for row in rows[::25]:
            row["quantity"] = int(row["quantity"]) + 2
    rows[3]["quantity"], rows[50]["ordered_at"], rows[90]["customer_id"] = "viele", "gestern", ""
    return _written(folder / ("corrected.csv" if corrected else "orders.csv"), rows, FIELDS)


def clicks(folder: Path) -> Path:
    """Writes events of an app, of orders and without."""
    generator = np.random.default_rng(6)
    names = ("view", "add_to_cart", "purchase", "search", "favourite", "strange thing", "visit")
    rows: list[dict[str, Any]] = []
    for number in range(500):
        name = names[int(generator.integers(len(names)))]
        at = datetime(2025, 6, 1) + timedelta(minutes=int(generator.integers(60 * 24 * 200)))  # noqa: DTZ001
        bought = name == "purchase"
        rows.append(
            {
                "customer_id": f"c{generator.integers(120)}", "ordered_at": at.isoformat(sep=" "), "event_name": name,
                "order_id": f"app{number}" if bought else "", "product_id": f"p{generator.integers(30)}",
                "amount": round(float(generator.gamma(3, 20)), 2) if bought else "",
            }
        )  # fmt: skip
    return _written(folder / "clicks.csv", rows, tuple(rows[0]))


def _written(path: Path, rows: list[dict[str, Any]], fields: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, fields)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _mended(path: Path) -> Path:
    rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    for row in rows:
        row["quantity"] = "2" if row["quantity"] == "viele" else row["quantity"]
        row["ordered_at"] = "2025-03-03 10:00:00" if row["ordered_at"] == "gestern" else row["ordered_at"]
    return _written(path.with_name(MENDED), rows, tuple(rows[0]))


def bring(workspace: Workspace, folder: Path) -> None:
    """Imports orders and clicks, the first of them with rows that are refused."""
    workspace.import_(orders(folder), source_name="shop")
    workspace.import_(clicks(folder), source_name="app")
    bad = folder / "bad.csv"
    bad.write_text("order_id,customer_id,ordered_at,amount\n1,a,never,1\n2,,2025-01-01,1\n", "utf-8")
    with pytest.raises(ImportRefusedError, match="None of the 2 rows"):
        workspace.import_(bad, source_name="shop")


def bring_again(workspace: Workspace, folder: Path) -> None:
    """Imports what the first files got wrong: corrected orders, mended rows, the same events once more."""
    workspace.import_(orders(folder, corrected=True), source_name="shop")
    refused = folder / "refused.csv"
    workspace.export_quarantine(refused, reason="bad-number")
    workspace.import_(_mended(refused), source_name="shop")
    again = folder / "again.csv"
    again.write_text((folder / "clicks.csv").read_text("utf-8") + "c7,2025-12-30 10:00:00,view,,p1,\n", "utf-8")
    workspace.import_(again, source_name="app")
    till = folder / "till.csv"
    bought = [f"139{number % 7:08d},2025-12-{1 + number % 28:02d},{5 + number}" for number in range(40)]
    till.write_text("\n".join(["phone,ordered_at,amount", *bought, "no phone,2025-12-30,9"]) + "\n", "utf-8")
    assert workspace.import_(till, source_name="till").people == 8


def collect(workspace: Workspace) -> None:
    """Takes live events, some of them twice, of people who turn out to be one; and drains them in two goes."""
    state, clock = workspace.warehouse.state, workspace.warehouse.clock
    add_source(state, "web", clock=clock)
    with open_inbox(workspace.settings) as inbox:
        for events in (LIVE, [*LIVE[:5], *LATER]):
            drain = drain_of(workspace, inbox)  # one that knows no earlier messages but from the lake
            checked = segment.check(json.dumps({"batch": events}).encode(), "batch", 2**24)
            at = int(clock.now().timestamp() * 1e6)
            request = Received(1, "segment", "batch", at, "", "agent", "", checked.events, checked.body)
            inbox.append(Group(1, checked.events, at, packed([request])))
            done = drain.run()
            assert (done.calls, done.quarantined) == (len(events) - (0 if events is LIVE else 5), 0)


def follow(workspace: Workspace) -> None:
    """Has people become one, by their keys and by hand, folds old merges in, and takes one back."""
    warehouse = workspace.warehouse
    state, clock = warehouse.state, warehouse.clock
    workspace.adopt()
    workspace.refresh()
    names = ("c11", "c12", "c13", "c14")
    first, second, third, fourth = (person for name in names if (person := find(state, Key("login", name))) is not None)
    merge(state, first, second, ANN, clock=clock)
    workspace.refresh()
    compact(warehouse, keep_after_batch=None, moved_before=NOW + timedelta(days=1))
    merge(state, third, fourth, ANN, clock=clock)
    workspace.refresh()
    joined = [join.numbers for join in explain(state, third) if join.outcome == "merged"]
    undo(state, joined, ANN, clock=clock)
    workspace.refresh()


def forget(workspace: Workspace) -> None:
    """Writes down what is held of a person, and erases them."""
    person = find(workspace.warehouse.state, Key("login", "c5"))
    assert person is not None
    assert holdings(workspace, person).tables["events"].num_rows > 0
    erasures = Erasures(workspace)
    assert erasures.run(erasures.ask(person, MACHINE, "a test").erasure_id).is_whole


def simulate(workspace: Workspace, people: int) -> None:
    """Adds a simulated business."""
    load_simulated(workspace, people=people, seed=3, events_per_person=20.0)


def refresh_day_by_day(workspace: Workspace) -> None:
    """Refreshes as of an earlier day, and then of later ones, so that days pass and arrive."""
    for day in (date(2025, 11, 1), date(2025, 11, 20), None):
        workspace.refresh(as_of=day)


def _short(view: View) -> dict[str, Any]:
    return {
        "people": view.session.run(outcome.PEOPLE),
        "states": view.session.run(outcome.STATES),
        "classes": view.session.run(outcome.CLASSES),
        "list": outcome.listed(view, top=200, states=SLEEPING, tiers=tuple(TIERS)),
    }


def ask_shortly(workspace: Workspace) -> dict[str, Any]:
    """Asks for people, states, classes and the list to act on."""
    with workspace.view() as view:
        return _short(view)


def ask(workspace: Workspace) -> dict[str, Any]:
    """Asks everything there is to ask, in one session; returns the answers that are tables."""
    with workspace.view() as view:
        by_key = one("sought_by_key", "SELECT DISTINCT person_id FROM identities WHERE value = 'c7'")
        view.session.offer("sought", view.session.run(by_key))
        answers = _short(view) | {"person": view.session.run(outcome.PERSON)}
        last = answers["list"].to_pylist()[4]
        risks = view.session.run(RISKS, {"person": last["person_id"]})["risk"].to_pylist()
        behind = (last["value_at_risk"], risks[0], last["person_id"])
        answers["rest of the list"] = outcome.listed(view, top=195, states=SLEEPING, tiers=tuple(TIERS), after=behind)
        asked = Asked(view.as_of, None, "shop")
        answers["report"] = report_data(view, workspace.warehouse, workspace.settings, asked, Silent())
        answers["movement"] = movement(view.session)
        answers["migration"] = rfm.migration(view.session)
    return answers


def tell(workspace: Workspace) -> None:
    """Asks what came of codes, and what third systems are told."""
    warehouse, day = workspace.warehouse, datetime(2025, 11, 1, tzinfo=UTC)
    columns = EVENT_DETAILS.arrow_schema
    rows = [
        {
            "event_id": 10**15 + number, "ts": day + timedelta(hours=number), "person_id": number % 5 + 1,
            "source": "codes: qr_code", "sent_name": "code_scanned", "path": f"/l/code{number % 3}",
            "anonymous_id": ("bot-code0", "anyone-code1", "visitor-1")[number % 3 if number < 6 else 2],
        }
        for number in range(40)
    ]  # fmt: skip
    with warehouse.writing("scans") as writing:
        given = [{**row, "batch": writing.batch} for row in rows]
        writing.session.offer("given", pa.Table.from_pylist(given, columns))
        writing.append(EVENT_DETAILS, one("given_details", "SELECT * FROM given"))
        writing.publish("scans")
    figures(warehouse, within_days=60)
    told = {"publication": 0, "event": 0, "through": 2**31, "imported": [-1], "activities": ["any"], "most": 300}
    versions = [one_.tables for one_ in warehouse.state.publications() if PROFILES.name in one_.tables]
    with warehouse.reading() as session:
        session.run(NEW_EVENTS, told)
        session.run(NEW_EVENTS_WHOLE, {**told, "activities": ["purchase", "view"]})
        before = warehouse.lake.source(PROFILES, versions[-1][PROFILES.name])
        session.attach(replace(before, table=replace(PROFILES, name=BEFORE)))
        session.run(CHANGED_STATES, {"states": ["dormant", "lost"]})
        session.offer("listed", pa.table({"customer_id": ["c1", "c2"], "value_at_risk": [1.5, None]}))
        session.run(LISTED)


def ask_of_the_past(workspace: Workspace) -> None:
    """Asks as of an earlier day, for which models and profiles are computed anew."""
    workspace.states(as_of=date(2024, 12, 1))
    workspace.quarantine()
    open_rows(workspace.warehouse)
    workspace.sql("SELECT state, count(*) AS people FROM profiles GROUP BY state ORDER BY ALL")


def ask_rarely(workspace: Workspace) -> None:
    """Asks what needs many people, or a day with very many events, to be asked."""
    as_of = date(2025, 11, 1)
    with workspace.warehouse.reading() as session:
        for packed in (True, False):
            for utc in (True, False):
                days = all_person_days(utc=utc, packed=packed)
                session.run(days, {"zone": ZONE})
                session.drop("dayparts")
        session.keep(Step("chosen", "SELECT DISTINCT person_id FROM person_days WHERE person_id % 7 = 0"))
        session.run(Query(FACTS_OF.name, FACTS_OF.steps), {"as_of": as_of, "window_days": 90})
        session.drop("chosen")
        know(session, as_of, keep=500, of=1000)
        distinct = keep_histories(session, KNOWN, as_of)
        models = fit_purchase_models(histories_to_fit(session, distinct, distinct // 2))
        spend = fit_spend(session, KNOWN, most=10)
        keep_values(session, models.models[models.base], None if isinstance(spend, str) else spend, 0.1)


def tidy(workspace: Workspace) -> None:
    """Compacts into small files, deletes and erases."""
    compact(workspace.warehouse, keep_after_batch=0, file_bytes=40_000)
    compact(workspace.warehouse, keep_after_batch=None)
    delete(workspace.warehouse, {"events": "person_id = 5 AND activity = $kind"}, {"kind": "view"})
    erase(workspace.warehouse, [7, 8])
