"""Codes, webhooks and exports over REST."""

from __future__ import annotations

import io
import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import zxingcpp
from PIL import Image

from jingzhe.access import audit
from tests.outgoing.receiver import Receiver
from tests.server.api.client import Client
from tests.server.api.conftest import Site

POSTER = {"name": "Poster", "target": "https://shop.example.com/spring", "utm": {"source": "poster"}}
CRM = {"name": "CRM", "url": "https://crm.example.com/hook", "kinds": ["person.state_changed"]}


def test_a_code_is_made_shown_drawn_counted_and_disabled(empty: Site) -> None:
    client = empty.signed_in("operator")
    made = client.post("/codes", POSTER)
    assert made.status_code == 201
    code = made.json()
    assert code["url"].endswith(f"/l/{code['slug']}")
    assert client.get("/codes").json()["items"] == [code]
    assert client.get(f"/codes/{code['slug']}").json() == code
    image = client.get(f"/codes/{code['slug']}/image", format="png", label="Scan me")
    assert image.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(image.content)) as opened:
        (found,) = zxingcpp.read_barcodes(opened)
    assert found.text == code["url"]
    drawing = client.get(f"/codes/{code['slug']}/image")
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert "<title" in drawing.text
    figures = client.get(f"/codes/{code['slug']}/figures").json()
    assert (figures["scans"], figures["purchases"], figures["within_days"]) == (0, 0, 7)
    off = client.ask("DELETE", f"/api/v1/codes/{code['slug']}")
    assert off.json()["disabled_at"] is not None


def test_pages_of_codes(empty: Site) -> None:
    client = empty.signed_in("operator")
    made = []
    for number in range(5):
        made.append(client.post("/codes", {**POSTER, "name": f"Poster {number}"}).json()["slug"])
        empty.clock.moment += timedelta(seconds=number % 2)
    first = client.get("/codes", limit=3).json()
    rest = client.get("/codes", limit=3, cursor=first["next_cursor"]).json()
    assert sorted(one["slug"] for one in [*first["items"], *rest["items"]]) == sorted(made)
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"target": "javascript:alert(1)"}, 422), ({"target": "http://10.0.0.1/"}, 422), ({"channel": "pigeon"}, 422),
        ({"channel": "member_referral"}, 422), ({"utm": {"colour": "red"}}, 422),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422), ({"expires_at": "9999-12-31T23:59:59-14:00"}, 422),
    ],
)  # fmt: skip
def test_codes_that_cannot_be(empty: Site, change: dict[str, Any], status: int) -> None:
    client = empty.signed_in("operator")
    assert client.post("/codes", {**POSTER, **change}).status_code == status
    assert client.get("/codes").json()["items"] == []


def test_a_webhook_is_made_once_and_its_secret_is_never_shown_again(empty: Site) -> None:
    client = empty.signed_in("integrator")
    made = client.post("/webhooks", CRM, {"Idempotency-Key": "k1"})
    assert made.status_code == 201
    hook = made.json()
    secret = hook.pop("secret")
    assert client.post("/webhooks", CRM, {"Idempotency-Key": "k1"}).status_code == 409
    assert client.get("/webhooks").json()["items"] == [hook]
    changed = client.post(f"/webhooks/{hook['webhook_id']}/secret", {}).json()
    assert changed["secret"] not in {secret, ""}
    everything = [client.get("/webhooks").text, client.get(f"/webhooks/{hook['webhook_id']}").text]
    everything += [row.details for row in audit.rows(empty.workspace.warehouse.state)]
    assert not any(secret in text or changed["secret"] in text for text in everything)
    off = client.ask("DELETE", f"/api/v1/webhooks/{hook['webhook_id']}").json()
    assert off["disabled_why"].startswith("disabled by account:")
    assert client.post(f"/webhooks/{hook['webhook_id']}/enabling", {}).json()["disabled_at"] is None


def test_only_who_may_export_data_has_people_told_of(empty: Site) -> None:
    wish = {**CRM, "personal": True}
    assert empty.signed_in("integrator").post("/webhooks", wish).status_code == 403
    assert empty.signed_in("owner").post("/webhooks", wish).status_code == 201


def test_no_key_makes_webhooks(empty: Site) -> None:
    assert empty.with_key("webhooks.read").post("/webhooks", CRM).status_code == 403


def test_a_receiver_in_the_own_network_is_refused_unless_it_is_allowed(empty: Site) -> None:
    client = empty.signed_in("owner")
    with Receiver() as receiver:
        assert client.post("/webhooks", {**CRM, "url": receiver.url}).status_code == 422
        empty.workspace.settings.webhook_private = True
        hook = client.post("/webhooks", {**CRM, "url": receiver.url}).json()["webhook_id"]
        assert client.post(f"/webhooks/{hook}/test", {}).json() == {"status": 200, "text": "as told", "took_it": True}
        # What was allowed when it was made need not be so now.
        empty.workspace.settings.webhook_private = False
        tried = client.post(f"/webhooks/{hook}/test", {}).json()
        assert (tried["status"], tried["took_it"]) == (None, False)
        assert len(receiver.got) == 1
    assert client.get(f"/webhooks/{hook}/deliveries").json() == {"items": [], "next_cursor": None}
    begun = {"since": "2026-01-01T00:00:00Z"}
    assert client.post(f"/webhooks/{hook}/replay", begun).json() == {"messages": 0}
    assert client.post(f"/webhooks/{hook}/replay", {}).status_code == 422


def done(client: Client, wish: dict[str, Any]) -> dict[str, Any]:
    """Starts an export and waits for its end."""
    started = client.post("/exports", wish)
    assert started.status_code == 202, started.text
    name = started.json()["export_id"]
    end = time.monotonic() + 120
    while (found := client.get(f"/exports/{name}").json())["status"] in {"waiting", "running"}:
        assert time.monotonic() < end
        time.sleep(0.1)
    shown: dict[str, Any] = found
    return shown


def test_a_table_is_exported_as_of_a_publication(site: Site) -> None:
    client = site.signed_in("owner")
    state = site.workspace.warehouse.state
    found = done(client, {"what": "events", "publication": 1})
    assert (found["status"], found["publication"]) == ("done", 1)
    answer = client.get(f"/exports/{found['export_id']}/file")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-length"] == str(found["size_bytes"])
    table = pq.read_table(io.BytesIO(answer.content))
    with site.workspace.warehouse.reading(1) as session:
        from jingzhe.store.query import one  # noqa: PLC0415

        known = session.run(one("known", "SELECT count(*) AS n, sum(revenue) AS total FROM events")).to_pylist()[0]
    assert (table.num_rows, found["rows"]) == (known["n"], known["n"])
    assert sum(table["revenue"].to_pylist()) == pytest.approx(known["total"])
    told = [(row.action, row.subject) for row in audit.rows(state, limit=2)]
    assert told == [("export.fetched", found["export_id"]), ("export.started", found["export_id"])]


def test_the_list_to_act_on_is_exported(site: Site) -> None:
    client = site.signed_in("operator")
    as_csv = done(client, {"what": "dormant", "format": "csv"})
    table = pacsv.read_csv(io.BytesIO(client.get(f"/exports/{as_csv['export_id']}/file").content))
    assert table.num_rows == as_csv["rows"] > 0
    assert {"customer_id", "state", "value_at_risk", "evidence_zh"} <= set(table.column_names)
    assert set(table["state"].to_pylist()) <= {"dormant", "declining", "lost"}
    lines = done(client, {"what": "dormant", "format": "jsonl"})
    text = client.get(f"/exports/{lines['export_id']}/file").text
    assert len([json.loads(line) for line in text.splitlines()]) == as_csv["rows"]


def test_a_list_tells_telephones_to_those_who_ask_and_the_trail_says_so(empty: Site, tmp_path: Path) -> None:
    days = "".join(f"13912345678,2025-{month:02}-01,50\n" for month in range(1, 9))
    recent = "13712345678,2025-12-01,9\n13712345678,2026-01-01,9\n"
    (tmp_path / "till.csv").write_text(f"手机号,下单时间,实付金额\n{days}{recent}", encoding="utf-8")
    empty.workspace.import_(tmp_path / "till.csv")
    empty.workspace.update()
    client = empty.signed_in("operator")
    (shown,) = client.get("/dormant?state=dormant&state=lost").json()["items"]
    assert re.fullmatch(r"hashed:[0-9a-f]{32}", shown["customer_id"])
    assert client.post("/people/find", {"kind": "phone", "value": shown["customer_id"]}).json()["items"]
    texts = []
    for personal in (False, True):
        found = done(client, {"what": "dormant", "format": "csv", "personal": personal})
        assert found["personal"] is personal
        texts.append(client.get(f"/exports/{found['export_id']}/file").text)
    assert [("13912345678" in text, shown["customer_id"] in text) for text in texts] == [(False, True), (True, False)]
    rows = audit.rows(empty.workspace.warehouse.state, limit=4)
    told = [json.loads(row.details)["personal"] for row in rows if row.action == "export.started"]
    assert told == [True, False]
    assert client.post("/exports", {"what": "identities", "personal": True}).status_code == 422


def test_files_are_removed_after_their_time(site: Site) -> None:
    client = site.signed_in("owner")
    found = done(client, {"what": "identities", "format": "csv"})
    folder = Path(site.workspace.settings.home) / "exports"
    assert any(found["export_id"] in path.name for path in folder.iterdir())
    before = site.clock.moment
    site.clock.moment += timedelta(hours=site.workspace.settings.export_hours)
    client = site.signed_in("owner")
    assert client.get(f"/exports/{found['export_id']}/file").status_code == 404
    assert not any(found["export_id"] in path.name for path in folder.iterdir())
    assert client.get(f"/exports/{found['export_id']}").json()["status"] == "removed"
    site.clock.moment = before


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"what": "nonsense"}, 422), ({"what": "../secrets"}, 422), ({"what": "events", "format": "xlsx"}, 422),
        ({"what": "events", "publication": 9999}, 404), ({"what": "dormant", "publication": 1}, 422),
    ],
)  # fmt: skip
def test_exports_that_cannot_be(site: Site, wish: dict[str, Any], status: int) -> None:
    assert site.signed_in("owner").post("/exports", wish).status_code == status


def test_who_may_read_lists_may_not_take_everything_along(site: Site) -> None:
    assert site.signed_in("analyst").post("/exports", {"what": "profiles"}).status_code == 403
    assert site.with_key("data.export").get("/exports").status_code == 200
