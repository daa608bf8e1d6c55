"""Export and erasure of one person: everything is exported, nothing is left, nobody else is hurt."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from jingzhe.access.actor import MACHINE
from jingzhe.app.certificates import certificate, certificate_text
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.holdings import find_person, holdings, write_export
from jingzhe.app.privacy import STAGES, Erasures
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.received import Received, packed
from jingzhe.collect.refused_events import list_quarantined, replay
from jingzhe.collect.sealed_properties import opened
from jingzhe.collect.sealed_rows import opened_rows
from jingzhe.collect.write_keys import add_source
from jingzhe.consent.addresses import hash_of
from jingzhe.consent.asking import may
from jingzhe.consent.suppressions import Suppression, add
from jingzhe.consent.words import Evidence, Word, write
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.identity.keys import Key
from jingzhe.identity.people import find
from jingzhe.store.query import one
from jingzhe.store.state.database import connect
from jingzhe.store.state.inbox import Group
from jingzhe.store.state.tables import metadata
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
EMAIL, PHONE, LOGIN, CUSTOMER = "zhang.geheim@example.com", "13712345678", "u-zhang-4711", "C-ZHANG-88"
COOKIE, NAME, PRODUCT, ADDRESS = "anon-zhang-9x9x", "Zhang Geheimnis", "MARKER-ZHANG-777", "203.0.113.77"
THEIRS = (EMAIL, PHONE, LOGIN, CUSTOMER, COOKIE, NAME, PRODUCT, ADDRESS)
SEALED = (EMAIL, PHONE, NAME, ADDRESS)
"""Values that stand nowhere in the clear; the others are keys and products, by which a business finds its people."""
OTHER = "u-other-1234"
HEADER = "order,customer,day,amount,product\n"
ORDERS = HEADER + (
    f"A1,{CUSTOMER},2025-11-01,12.5,{PRODUCT}\nA2,C-OTHER-1,2025-11-02,9,tea\n"
    f"A3,{CUSTOMER},not a day,7,{PRODUCT}\nA4,C-OTHER-1,not a day,8,tea\nA5,C-OTHER-2,2025-12-02,19,tea\n"
)
MAPPING = {"order_id": "order", "customer_id": "customer", "ordered_at": "day", "amount": "amount",
           "product_id": "product"}  # fmt: skip


@dataclass
class Shop:
    """A project with live events, imports, refused rows and consents."""

    workspace: Workspace
    home: Path

    @property
    def state(self) -> Any:
        return self.workspace.warehouse.state

    def put(self, *events: dict[str, Any]) -> None:
        """Puts a batch into the inbox as the collector does."""
        body = json.dumps({"batch": list(events)}, ensure_ascii=False).encode()
        now = int(NOW.timestamp() * 1e6)
        request = Received(1, "segment", "batch", now, "", "test", "loopback", len(events), body)
        with open_inbox(self.workspace.settings) as inbox:
            inbox.append(Group(1, len(events), now, packed([request])))

    def drain(self) -> Any:
        with open_inbox(self.workspace.settings) as inbox:
            return drain_of(self.workspace, inbox).run()

    def import_(self, text: str, name: str = "orders.csv") -> Any:
        path = self.home.parent / name
        path.write_text(text, encoding="utf-8")
        return self.workspace.import_(path, mapping=MAPPING, source_name=name)

    def rows(self) -> dict[str, list[str]]:
        """Returns every row of every table, as text, with what is sealed in it opened."""
        with self.workspace.warehouse.reading() as session:
            found = {
                table.name: session.run(one("rows", f"SELECT * FROM {table.name}"))
                for table in self.workspace.warehouse.catalogue
            }
        sealer = self.state.sealer
        found["quarantine"] = opened_rows(found["quarantine"], sealer)
        made = {name: rows.to_pylist() for name, rows in found.items()}
        for row in made["event_details"]:
            row["properties"] = opened(sealer, row["properties"], row["event_id"]).text
        return {name: sorted(str(row) for row in rows) for name, rows in made.items()}

    def opened(self) -> str:
        """Returns all that can be read with the keys: of the lake, of the state store, and of what waits."""
        with self.state.reading() as connection:
            stored = [row for table in metadata.sorted_tables for row in connection.execute(sa.select(table))]
        with open_inbox(self.workspace.settings) as inbox:
            waiting = [row.payload for row in inbox.take(events=1000)]
        cells = [
            *(cell for row in stored for cell in row),
            *waiting,
            *(row for rows in self.rows().values() for row in rows),
        ]
        return " ".join(cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in cells)


def track(name: str, mark: str, user: str | None = LOGIN, **more: Any) -> dict[str, Any]:
    known = {"timestamp": "2026-03-05T11:00:00Z", "messageId": mark, "userId": user}
    return {"type": "track", "event": name, "properties": {}, **known, **more}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opening(tmp_path / "home") as found:
        yield found


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Shop]:
    """A shop in which nothing has happened yet."""
    home = tmp_path / "home"
    with open_workspace(home, clock=FixedClock(NOW), threads=1, memory_limit_mb=300) as workspace:
        add_source(workspace.warehouse.state, "shop", clock=workspace.warehouse.clock)
        yield Shop(workspace, home)


@contextmanager
def opening(home: Path, **settings: Any) -> Iterator[Shop]:
    with open_workspace(home, clock=FixedClock(NOW), threads=1, memory_limit_mb=300, **settings) as workspace:
        found = Shop(workspace, home)
        add_source(workspace.warehouse.state, "shop", clock=workspace.warehouse.clock)
        found.import_(ORDERS)
        traits = {"email": EMAIL, "phone": PHONE, "name": NAME, "email_opt_in": True}
        bought = {"order_id": "L1", "revenue": 5, "products": [{"product_id": PRODUCT, "price": 5}]}
        found.put(
            {"type": "identify", "userId": LOGIN, "anonymousId": COOKIE, "traits": traits, "messageId": "i1"},
            track("Order Completed", "o1", properties=bought),
            track("Order Completed", "o2", OTHER, properties={**bought, "products": [{"product_id": "tea"}]}),
            {**track("", "bad1"), "context": {"traits": {"email": EMAIL}}},
            track("", "bad2", OTHER),
        )
        assert found.drain().quarantined == 2
        workspace.refresh()
        yield found


def filled(shop: Shop) -> int:
    """Adds what else there may be of a person; returns their number."""
    person = find_person(shop.workspace, LOGIN, "login")
    said = Evidence("v1", f"https://shop.example/?u={LOGIN}", ADDRESS, "agent")
    with shop.state.writing() as connection:
        write(connection, [Word(person, "sms", "marketing", "granted", NOW, source="form", evidence=said)], NOW)
        address = hash_of(shop.state, "email", EMAIL)
        add(connection, Suppression("hard_bounce", NOW, address=address, channel="email", source="test"), NOW)
    shop.put(track("Product Viewed", "w1", properties={"product_id": PRODUCT}), track("Product Viewed", "w2", OTHER))
    (shop.home / "reports").mkdir()
    (shop.home / "reports" / "report.html").write_text(f"<p>{CUSTOMER}</p>", encoding="utf-8")
    write_export(holdings(shop.workspace, person), shop.home / "person-exports" / "job_1.zip")
    return person


def everything_in(home: Path) -> Iterator[tuple[Path, bytes]]:
    """Gives every file as it stands on the disk and, of Parquet and zip files, what they hold."""
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        yield path, path.read_bytes()
        if path.suffix == ".parquet" and "_delta_log" not in path.parts:
            yield path, str(pq.read_table(path).to_pylist()).encode()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed:
                for name in packed.namelist():
                    yield path, packed.read(name)


def found_in(home: Path, *values: str) -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(home)), value)
        for path, content in everything_in(home)
        for value in values
        if value.encode() in content
    }


def test_an_export_holds_everything_and_nothing_of_others(shop: Shop, tmp_path: Path) -> None:
    person = filled(shop)
    path = tmp_path / "person.zip"
    write_export(holdings(shop.workspace, person), path)
    with zipfile.ZipFile(path) as packed:
        names = set(packed.namelist())
        whole = packed.read("person.json").decode()
        with packed.open("events.parquet") as file:
            assert pq.read_table(file).num_rows == 1
    assert {"events.parquet", "event_details.parquet", "items.parquet", "consents.parquet"} <= names
    for value in (EMAIL, PHONE, LOGIN, COOKIE, NAME, PRODUCT, ADDRESS):
        assert value in whole, value
    read = json.loads(whole)
    assert [one["reason"] for one in read["suppressions"]] == ["hard_bounce"]
    assert len(read["quarantined_events"]) == len(read["waiting_events"]) == 1
    assert {one["status"] for one in read["consents"]} == {"granted"}
    assert OTHER not in whole
    imported = find_person(shop.workspace, CUSTOMER, "customer")
    assert [row["line"] for row in holdings(shop.workspace, imported).tables["quarantine"].to_pylist()] == [4]


def erased(shop: Shop) -> list[dict[str, Any]]:
    """Erases the person under both names by which they are known."""
    done = []
    for key, kind in ((LOGIN, "login"), (CUSTOMER, "customer")):
        erasures = Erasures(shop.workspace)
        person = find_person(shop.workspace, key, kind)
        done.append(certificate(erasures.run(erasures.ask(person, MACHINE, "request").erasure_id)))
    return done


def test_nothing_of_an_erased_person_is_left_in_any_file_and_nobody_else_is_touched(shop: Shop) -> None:
    person = filled(shop)
    shop.state.rewrite()  # what stood in the log only stands in the file now: the search means something
    before = {name: [row for row in rows if not any(v in row for v in THEIRS)] for name, rows in shop.rows().items()}
    stands = {value for place, value in found_in(shop.home, *THEIRS) if not place.startswith("person-exports")}
    assert stands == set(THEIRS) - set(SEALED)
    held = shop.opened()
    assert {value for value in THEIRS if value in held} == set(THEIRS)
    assert {value for _, value in found_in(shop.home / "person-exports", *THEIRS)} >= set(SEALED)
    customer = find_person(shop.workspace, CUSTOMER, "customer")
    live, imported = erased(shop)
    assert found_in(shop.home, *THEIRS) == set()
    held = shop.opened()
    assert [value for value in THEIRS if value in held] == []
    assert OTHER in held
    after = shop.rows()
    for name, added in {"identities": 0, "events": 1, "items": 0, "quarantine": 0, "event_details": 1}.items():
        kept = {row for row in before[name] if not any(f"'person_id': {one}," in row for one in (person, customer))}
        assert kept
        assert kept <= set(after[name])
        assert len(after[name]) == len(kept) + added  # what was waiting in the inbox, of somebody else
    assert found_in(shop.home, OTHER) != set()
    assert [one.body for one in list_quarantined(shop.state)] == [
        json.dumps(track("", "bad2", OTHER), ensure_ascii=False)
    ]
    assert live["lake_rows"]["events"] == 1
    assert live["events_dropped"] == 1
    assert live["state_rows"]["consent_record"] == 2
    assert live["state_rows"]["quarantined_event"] == 1
    assert imported["lake_rows"]["quarantine"] == 1
    assert not any(value in json.dumps(one) for value in THEIRS for one in (live, imported))
    # What the law asks for stays: nothing is sent to the address, nor to the number.
    address = hash_of(shop.state, "email", EMAIL)
    for purpose in ("marketing", "transactional"):
        assert may(shop.state, 999, "email", purpose, at=NOW, address=address).reason == "suppressed-erased"
        assert may(shop.state, person, "sms", purpose, at=NOW).reason == "suppressed-erased"


def test_whoever_was_erased_does_not_come_back(shop: Shop) -> None:
    filled(shop)
    waiting = list_quarantined(shop.state)
    erased(shop)
    before = shop.rows()
    # A re-import: one good row, one that would be refused, one line that is no row, and somebody else's.
    text = HEADER + (
        f"B1,{CUSTOMER},2026-01-01,5,{PRODUCT}\nB2,{CUSTOMER},no day,5,{PRODUCT}\n"
        f"B3,{CUSTOMER},2026-01-01,5,x,too,many\nB4,C-OTHER-1,2026-01-03,6,tea\n"
    )
    done = shop.import_(text, "again.csv")
    assert (done.rejected, done.orders, done.people) == ({"erased": 2}, 1, 0)
    only_theirs = shop.import_(HEADER + f"D1,{CUSTOMER},2026-01-01,5,x\n", "theirs.csv")
    assert (only_theirs.orders, only_theirs.rejected, only_theirs.changed) == (0, {"erased": 1}, False)
    # Live events: by login, by the cookie alone, broken. A new login with the old phone is somebody without it, and so
    # is somebody else at the same browser.
    shop.put(
        track("Product Viewed", "n1"),
        {"type": "identify", "userId": "u-new", "traits": {"phone": f"+86 {PHONE}"}, "messageId": "n2"},
        track("Product Viewed", "n3", None, anonymousId=COOKIE),
        track("", "n4", None, context={"traits": {"email": EMAIL}}),
        track("Product Viewed", "n5", OTHER, anonymousId=COOKIE),
    )
    drained = shop.drain()
    assert (drained.erased, drained.calls, drained.quarantined) == (3, 2, 0)
    assert len(waiting) == 2
    assert [row for row in shop.rows()["events"] if row not in before["events"]] != []
    held = " ".join(row for rows in shop.rows().values() for row in rows)
    assert [value for value in (EMAIL, PHONE, LOGIN, CUSTOMER, NAME, PRODUCT, COOKIE) if value in held] == []
    assert find(shop.state, Key("phone", PHONE)) is None
    with open_inbox(shop.workspace.settings) as inbox:
        assert replay(shop.state, inbox, clock=shop.workspace.warehouse.clock) == 1


def test_somebody_who_comes_back_is_readmitted(shop: Shop) -> None:
    filled(shop)
    erased(shop)
    erasures = Erasures(shop.workspace)
    with pytest.raises(SettingError, match="needs a reason"):
        erasures.readmit("email", EMAIL, MACHINE, "")
    assert erasures.readmit("email", EMAIL, MACHINE, "signed up again") == 4
    with pytest.raises(NoDataError, match="Nobody who had this key"):
        erasures.readmit("email", EMAIL, MACHINE, "again")
    shop.put(track("Product Viewed", "back"))
    assert shop.drain().calls == 1
    person = find_person(shop.workspace, LOGIN, "login")
    assert may(shop.state, person, "email", "marketing", at=NOW).reason == "no-consent"


def test_on_a_server_the_rows_are_gone_as_well(tmp_path: Path, postgres_url: str) -> None:
    with opening(tmp_path / "home", state_url=postgres_url) as shop:
        filled(shop)
        before = held_by(postgres_url)
        assert {value for value in THEIRS if value in before} == {LOGIN, COOKIE, PRODUCT, CUSTOMER}
        assert all(value in shop.opened() for value in THEIRS)
        live, _ = erased(shop)
        assert live["state_file_rewritten"] is False
        held = held_by(postgres_url)
        assert [value for value in THEIRS if value in held or value in shop.opened()] == []
        assert OTHER in held
        assert found_in(shop.home, *THEIRS) == set()


def held_by(url: str) -> str:
    """Returns every row of every table of a database, as text; of bytes what can be read."""
    database = connect(url)
    with database.reading() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        rows = [row for table in tables.sorted_tables for row in connection.execute(sa.select(table))]
    database.engine.dispose()
    return " ".join(
        bytes(cell).decode("utf-8", "replace") if isinstance(cell, bytes | memoryview) else str(cell)
        for row in rows
        for cell in row
    )


class KilledError(BaseException):
    """The process dies here."""


QUICK = {"marked", "deleted", "forgotten"}


@pytest.mark.parametrize("stage", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in STAGES])
def test_an_erasure_that_was_killed_is_taken_up_again(shop: Shop, stage: str) -> None:
    person = filled(shop)

    def dies(done: str) -> None:
        if done == stage:
            raise KilledError

    erasures = Erasures(shop.workspace, after=dies)
    with pytest.raises(KilledError):
        erasures.run(erasures.ask(person, MACHINE, "request").erasure_id)
    # The tombstones stand from the first moment: nothing new comes in while it is half done.
    shop.put(track("Product Viewed", "late"))
    assert shop.drain().calls == (1 if stage == "marked" else 0)  # w2, of somebody else, was waiting
    again = Erasures(shop.workspace)
    done = again.take_up()
    assert len(done) == (0 if stage == "whole" else 1)
    (whole,) = again.all()
    assert whole.is_whole
    assert set(whole.done) == set(STAGES)
    left = found_in(shop.home, EMAIL, PHONE, NAME, COOKIE)
    assert left == set()
    assert certificate(whole)["lake_rows"]["events"] == 1
    assert EMAIL not in certificate_text(whole)
    assert "Certificate of erasure" in certificate_text(whole)


def test_what_cannot_be_erased_is_said(shop: Shop) -> None:
    erasures = Erasures(shop.workspace)
    with pytest.raises(NoDataError, match="no such person"):
        erasures.ask(424242, MACHINE, "request")
    with pytest.raises(SettingError, match="needs a reason"):
        erasures.ask(1, MACHINE, " ")
    asked = erasures.ask(find_person(shop.workspace, LOGIN, "login"), MACHINE, "request")
    assert erasures.ask(asked.person_id, MACHINE, "twice").erasure_id == asked.erasure_id
    with pytest.raises(NoDataError, match="not whole yet"):
        certificate(asked)
    with pytest.raises(NoDataError, match="no such erasure"):
        erasures.get("era_none")
    with pytest.raises(NoDataError, match="Nobody is known"):
        find_person(shop.workspace, "stranger")


def test_the_file_of_the_state_store_holds_no_page_of_the_past(shop: Shop) -> None:
    filled(shop)
    erased(shop)
    with sqlite3.connect(shop.home / "state.db") as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()
