"""Sources, names, quarantine and figures through the API, over a project into which live events come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from jingzhe.access.audit import rows as trail
from jingzhe.app.collecting import drain_of
from jingzhe.collect.draining import Drain, Drained
from jingzhe.collect.naming import names_of
from jingzhe.collect.received import Received, packed
from jingzhe.collect.sealed_properties import opened
from jingzhe.collect.write_keys import KINDS, key_hash, live_keys
from jingzhe.server.api.routes.sources import SourceShown
from jingzhe.store.facts import ACTIVITIES
from jingzhe.store.state.inbox import Group
from tests.server.api.client import V1, Client
from tests.server.api.conftest import NOW, Site

PHONE = "13812345678"


@dataclass
class Live:
    """A project that takes events."""

    site: Site
    drain: Drain

    def put(self, *events: dict[str, Any], source_id: int = 1) -> None:
        """Puts a batch into the inbox, as a collector does."""
        us = int(NOW.timestamp() * 1e6)
        body = json.dumps({"batch": events}).encode()
        request = Received(source_id, "segment", "batch", us, "", "", "private", len(events), body)
        self.drain.inbox.append(Group(1, len(events), us, packed([request])))

    def drained(self) -> Drained:
        return self.drain.run()

    def actions(self) -> list[str]:
        return [row.action for row in trail(self.site.workspace.warehouse.state)]


@pytest.fixture
def taking(empty: Site) -> Live:
    services = empty.app.state.services
    drain = drain_of(empty.workspace, services.inbox)
    live = Live(empty, drain)
    empty.signed_in("owner").post("/sources", {"name": "web-shop", "kind": "pc_web"})
    return live


def track(name: str = "Order Completed", **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": "u1", "timestamp": "2026-01-05T11:59:00Z", **fields}


def bad(number: str) -> dict[str, Any]:
    """Returns an event without a name, of somebody with a telephone number."""
    return track("", messageId=number, properties={"phone": PHONE, "revenue": 12})


def test_a_source_its_keys_and_its_kind(taking: Live) -> None:
    client, state = taking.site.signed_in("integrator"), taking.site.workspace.warehouse.state
    made = client.post("/sources", {"name": "till 3", "kind": "till"})
    number, first = made.json()["source_id"], made.json()["write_key"]
    assert live_keys(state)[key_hash(first)].name == "till 3"
    assert client.post("/sources", {"name": "till 3"}).json()["code"] == "conflict"
    second = client.post(f"/sources/{number}/keys", {}).json()
    listed = client.get(f"/sources/{number}/keys").json()
    assert {one["key_id"] for one in listed} > {second["key_id"]}
    assert first not in json.dumps(listed)
    revoked = client.ask("DELETE", f"{V1}/sources/{number}/keys/{second['key_id']}")
    assert revoked.json()["revoked_at"] is not None
    assert key_hash(second["write_key"]) not in live_keys(state)
    assert key_hash(first) in live_keys(state)
    assert client.ask("DELETE", f"{V1}/sources/{number}/keys/none").status_code == 404
    changed = client.ask("PATCH", f"{V1}/sources/{number}", json={"kind": "qr_code"})
    assert changed.json()["kind"] == live_keys(state)[key_hash(first)].kind == "qr_code"
    pages = [client.get("/sources", limit=1).json()]
    pages.append(client.get("/sources", limit=1, cursor=pages[0]["next_cursor"]).json())
    assert [page["items"][0]["name"] for page in pages] == ["web-shop", "till 3"]
    assert pages[1]["next_cursor"] is None
    assert taking.actions()[:5] == [
        "source.changed", "source.key-revoked", "source.key-made", "source.made", "session.begun",
    ]  # fmt: skip
    assert set(SourceShown.model_json_schema()["properties"]["kind"]["enum"]) == set(KINDS)


def test_a_source_is_made_once_however_often_it_is_asked_for(taking: Live) -> None:
    client, key = taking.site.signed_in("owner"), {"Idempotency-Key": "a source"}
    assert client.post("/sources", {"name": "app"}, key).status_code == 201
    again = client.post("/sources", {"name": "app"}, key)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len(client.get("/sources").json()["items"]) == 2


def test_what_a_name_means_holds_from_the_next_drain_on(taking: Live) -> None:
    client = taking.site.signed_in("operator")
    assert client.get("/event-names/Kassenbon 7").json()["activity"] == "interaction"
    path = f"{V1}/event-names/Kassenbon 7"
    said = client.ask("PUT", path, json={"canonical": "order_completed", "activity": "purchase"}).json()
    assert said == {
        "name": "kassenbon_7", "canonical": "order_completed", "activity": "purchase", "origin": "project",
    }  # fmt: skip
    taking.put(track("KASSENBON-7", properties={"revenue": 3}))
    taking.drained()
    (event,) = taking.site.workspace.sql("SELECT name, activity, revenue FROM events").to_pylist()
    assert event == {"name": "order_completed", "activity": "purchase", "revenue": 3.0}
    assert client.get("/event-names", own=True).json()["items"] == [said]
    assert len(client.get("/event-names", limit=500).json()["items"]) > 40
    assert client.ask("DELETE", path).json()["origin"] == "default"
    assert client.ask("DELETE", path).status_code == 404
    assert client.ask("PUT", path, json={"canonical": "x", "activity": "dance"}).status_code == 422
    assert taking.actions()[:2] == ["event-name.forgotten", "event-name.set"]
    schema = taking.site.app.openapi()["components"]["schemas"]["NewMeaning"]
    assert set(schema["properties"]["activity"]["enum"]) == set(ACTIVITIES)


def test_of_two_who_change_names_at_once_neither_loses(taking: Live) -> None:
    client = taking.site.signed_in("operator")
    headers = dict(client.headers)
    answers = client.ask_at_once(*(
        ("PUT", f"{V1}/event-names/name {number}", headers, {"json": {"canonical": "x", "activity": "view"}})
        for number in range(8)
    ))  # fmt: skip
    assert {answer.status_code for answer in answers} == {200}
    assert len(names_of(taking.site.workspace.warehouse.state).own) == 8


def test_refused_events_are_listed_corrected_and_replayed(taking: Live) -> None:
    client = taking.site.signed_in("operator")
    taking.put(*(bad(str(number)) for number in range(3)), track("Product Viewed", timestamp="2031-01-01T00:00:00Z"))
    assert taking.drained().quarantined == 4
    first = client.get("/quarantine/events", limit=2).json()
    second = client.get("/quarantine/events", limit=2, cursor=first["next_cursor"]).json()
    rows = first["items"] + second["items"]
    assert len({row["quarantine_id"] for row in rows}) == 4
    assert sorted(row["reason"] for row in rows) == ["missing-event"] * 3 + ["time-in-future"]
    wanted = client.get("/quarantine/events", reason="missing-event", source_id=1).json()["items"]
    assert {row["source"] for row in wanted} == {"web-shop"}
    assert client.get("/quarantine/events", source_id=2).json()["items"] == []
    number = wanted[0]["quarantine_id"]
    patch = {"patch": {"event": "Order Completed", "properties": {"phone": None}}}
    shown = client.ask("PATCH", f"{V1}/quarantine/events/{number}", json=patch).json()
    assert shown["event"]["event"] == "Order Completed"
    assert shown["event"]["properties"] == {"revenue": 12}
    assert client.post("/quarantine/events/replay", {"numbers": [number]}).json() == {"count": 1}
    assert client.post("/quarantine/events/replay", {"numbers": [number]}).json() == {"count": 0}
    done = taking.drained()
    assert (done.calls, done.quarantined) == (1, 0)
    assert client.get(f"/quarantine/events/{number}").status_code == 404
    # What is still wrong comes back.
    assert client.post("/quarantine/events/replay", {"reason": "missing-event"}).json() == {"count": 2}
    assert taking.drained().quarantined == 2
    assert client.post("/quarantine/events/discard", {"everything": True}).json() == {"count": 3}
    assert client.get("/quarantine/events").json()["items"] == []
    told = trail(taking.site.workspace.warehouse.state)
    assert [row.action for row in told[:4]] == [
        "quarantine.discarded", "quarantine.replayed", "quarantine.replayed", "quarantine.corrected",
    ]  # fmt: skip
    assert PHONE not in str(told)


@pytest.mark.parametrize("value", [r'"\ud800"', r'{"\udfff": 1}', '{"a":' * 500 + "1" + "}" * 500])
@pytest.mark.parametrize("body", ['{"patch": {"a": %s}}', '{"event": {"type": "track", "a": %s}}'])
def test_what_cannot_be_written_as_an_event_is_refused(value: str, body: str, taking: Live) -> None:
    client = taking.site.signed_in("operator")
    taking.put(bad("1"))
    taking.drained()
    number = client.get("/quarantine/events").json()["items"][0]["quarantine_id"]
    headers = {"Content-Type": "application/json"}
    answer = client.ask("PATCH", f"{V1}/quarantine/events/{number}", headers, content=body % value)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", ["operator", "integrator"])
def test_refused_events_that_no_answer_can_hold_are_shown_as_text(role: str, taking: Live) -> None:
    client = taking.site.signed_in(role)
    deep: Any = 1
    for _ in range(400):
        deep = {"a": deep}
    for number, odd in enumerate(("\ud83d", deep, "plain")):
        taking.put(track("", messageId=str(number), odd=odd))
    assert taking.drained().quarantined == 3
    answer = client.get("/quarantine/events")
    assert answer.status_code == 200, answer.text
    assert [type(one["event"]) for one in answer.json()["items"]].count(str) == 2
    for one in answer.json()["items"]:
        assert client.get(f"/quarantine/events/{one['quarantine_id']}").status_code == 200


@pytest.mark.parametrize("what", ["replay", "discard"])
def test_whoever_does_not_say_which_events_means_none(what: str, taking: Live) -> None:
    client = taking.site.signed_in("operator")
    taking.put(bad("1"))
    taking.drained()
    unsaid: list[dict[str, Any]] = [{}, {"numbers": []}, {"reason": ""}, {"everything": False}]
    for given in unsaid:
        assert client.post(f"/quarantine/events/{what}", given).status_code == 422
    assert client.post(f"/quarantine/events/{what}", {"reason": "none"}).status_code == 422
    assert len(client.get("/quarantine/events").json()["items"]) == 1


def test_who_may_not_see_people_sees_shapes_and_can_correct_all_the_same(taking: Live) -> None:
    taking.put(bad("1"), track("Order Completed", timestamp=f"not {PHONE}", messageId="2"))
    taking.drained()
    hidden = taking.site.with_key("quarantine.read", "quarantine.write")
    rows = hidden.get("/quarantine/events").json()["items"]
    assert PHONE not in json.dumps([row["event"]["properties"] for row in rows if "properties" in row["event"]])
    assert {row["detail"] for row in rows} == {None}
    (one,) = [row for row in rows if row["reason"] == "missing-event"]
    assert one["masked"]
    assert one["event"]["properties"] == {"phone": "9" * 11, "revenue": 12}
    assert one["event"]["userId"] == "x9"
    path = f"{V1}/quarantine/events/{one['quarantine_id']}"
    assert hidden.ask("PATCH", path, json={"patch": {"event": "Signed Up"}}).status_code == 200
    assert hidden.ask("PATCH", path, json={"event": {"type": "track"}}).json()["code"] == "forbidden"
    hidden.post("/quarantine/events/replay", {"numbers": [one["quarantine_id"]]})
    assert taking.drained().calls == 1
    (kept,) = taking.site.workspace.sql("SELECT event_id, user_id, properties FROM event_details").to_pylist()
    assert PHONE not in kept["properties"]
    sealer = taking.site.workspace.warehouse.state.sealer
    was = json.loads(opened(sealer, kept["properties"], kept["event_id"]).text)
    assert (kept["user_id"], was["phone"]) == ("u1", PHONE)


def test_what_arrives_in_numbers(taking: Live) -> None:
    client = taking.site.signed_in("auditor")
    taking.put(track(messageId="1"), track(messageId="1"), track(messageId="2"), bad("3"))
    before = client.get("/collection").json()
    assert (before["waiting"]["events"], before["days"]) == (4, [])
    taking.drained()
    after = client.get("/collection").json()
    assert after["waiting"] == {"events": 0, "size_bytes": 0, "oldest_seconds": 0.0}
    assert after["days"] == [{
        "day": "2026-01-05", "source": "web-shop", "received": 4, "accepted": 2, "historical": 0, "duplicates": 1,
        "refused": 1, "reasons": {"missing-event": 1},
    }]  # fmt: skip
    (fresh,) = after["freshness"]
    assert fresh["happened_at"] == "2026-01-05T11:59:00Z"
    (quality,) = client.get("/quality").json()["items"]
    assert (quality["validity"], quality["duplicate_share"]) == (0.75, 0.25)
    assert quality["in_quarantine"] == {"missing-event": 1}


def test_imports_stand_in_the_report_on_quality(site: Site) -> None:
    items = site.signed_in("analyst").get("/quality", days=400).json()["items"]
    (imported,) = [one for one in items if one["way"] == "import"]
    assert imported["refused"] == sum(imported["in_quarantine"].values()) == 3
    done = site.workspace.imports()
    assert imported["received"] == sum(one.rows for one in done)


def test_refused_rows_are_corrected_imported_and_discarded(empty: Site) -> None:
    folder = empty.workspace.settings.home
    folder.mkdir(exist_ok=True)
    lines = "order,customer,day,amount,note\nA0,C0,2025-12-01,9.5,x\nA1,C1,not a day,12.5,secret\n"
    (folder / "more.csv").write_text(lines + "A2,C2,never,1,x\nA3,C3,never,1,x\n", encoding="utf-8")
    mapping = {"order_id": "order", "customer_id": "customer", "ordered_at": "day", "amount": "amount"}
    done = empty.workspace.import_(folder / "more.csv", mapping=mapping, source_name="shop")
    client = empty.signed_in("operator")
    hidden = empty.with_key("quarantine.read").get("/quarantine").json()["items"]
    assert (hidden[0]["masked"], hidden[0]["value"], hidden[0]["row"]["note"]) == (True, "xxx x xxx", "xxxxxx")
    rows = client.get("/quarantine", source="shop").json()["items"]
    assert client.get("/quarantine", source="other").json()["items"] == []
    assert [row["line"] for row in rows] == [3, 4, 5]
    path = f"/imports/{done.import_id}/mended"
    refused = client.post(path, {"rows": [{"file": "more.csv", "line": 3}]})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "secret" not in refused.text
    mended = {"rows": [{"file": "more.csv", "line": 3, "values": {"day": "2025-12-02"}}]}
    answer = client.post(path, mended)
    assert (answer.status_code, answer.json()["orders"]) == (200, 1), answer.text
    facts = empty.workspace.sql("SELECT order_id, revenue, source FROM events ORDER BY order_id").to_pylist()
    assert facts == [
        {"order_id": "A0", "revenue": 9.5, "source": "shop"}, {"order_id": "A1", "revenue": 12.5, "source": "shop"},
    ]  # fmt: skip
    assert client.post(path, mended).status_code == 404
    assert [row["line"] for row in client.get("/quarantine").json()["items"]] == [4, 5]
    gone = client.post(f"/imports/{done.import_id}/discarded", {"rows": [{"file": "more.csv", "line": 4}]})
    assert gone.json() == {"count": 1}
    assert [row["line"] for row in client.get("/quarantine").json()["items"]] == [5]
    told = [row.action for row in trail(empty.workspace.warehouse.state)]
    assert told[:2] == ["quarantine.rows-discarded", "quarantine.imported-again"]


def test_nobody_may_without_the_permission(taking: Live) -> None:
    analyst = taking.site.signed_in("analyst")
    assert analyst.post("/sources", {"name": "mine"}).status_code == 403
    assert analyst.get("/quarantine/events").status_code == 403
    assert analyst.get("/collection").status_code == 200
    assert Client(taking.site.app).get("/sources").status_code == 401
