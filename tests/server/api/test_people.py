"""People and figures through the API, compared with what the library says."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.app import outcome
from jingzhe.dormancy.columns import SCORES
from jingzhe.measure.holdout import assign, make
from jingzhe.profile.columns import PEOPLE
from jingzhe.store.query import one
from tests.server.api.client import V1, Client
from tests.server.api.conftest import Site


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def pages(client: Client, path: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        body = client.get(path, **query, **cursor).json()
        rows += body["items"]
        if body["next_cursor"] is None:
            return rows
        cursor = {"cursor": body["next_cursor"]}


@pytest.fixture(scope="module", params=["as imported", "compacted"])
def tidy(request: pytest.FixtureRequest, site: Site) -> Site:
    if request.param == "compacted":
        site.workspace.compact()
        time.sleep(0.3)  # longer than a publication is taken for the newest
    return site


def test_everybody_looks_as_in_the_library(tidy: Site) -> None:
    client = tidy.signed_in("operator")
    everybody = tidy.workspace.people().to_pylist()
    assert len(everybody) > 100
    for row in everybody[::7]:
        assert client.get("/people", kind="customer", value=row["customer_id"]).json() == {"items": [row["person_id"]]}
        shown = client.get(f"/people/{row['person_id']}").json()
        (key,) = shown["identities"]
        assert (key["kind"], key["value"], key["hashed"]) == ("customer", row["customer_id"], False)
        for name in PEOPLE.column_names:
            if name != "person_id":
                assert shown["profile"][name] == plain(row[name]), name
        if row["p_return"] is None:
            assert shown["scores"] is None
        else:
            for name in set(SCORES.column_names) & set(row):
                if name != "person_id":
                    assert shown["scores"][name] == plain(row[name]), name


def test_an_earlier_day_looks_as_a_full_computation_says(tidy: Site) -> None:
    client = tidy.signed_in("analyst")
    with tidy.workspace.view() as view:
        before = view.as_of - timedelta(days=120)
        view.keep_people_before(before)
        rows = view.session.run(one("then", "SELECT * FROM people_before")).to_pylist()
        now = {row["person_id"] for row in view.session.run(one("now", "SELECT person_id FROM people")).to_pylist()}
    assert len(rows) > 80
    for row in rows[::9]:
        shown = client.get(f"/people/{row['person_id']}", as_of=before.isoformat()).json()
        assert shown["as_of"] == before.isoformat()
        assert shown["scores"] is None
        got = {name: shown["profile"][name] for name in PEOPLE.column_names if name != "person_id"}
        wanted = {name: plain(value) for name, value in row.items() if name != "person_id"}
        assert {name for name in wanted if got[name] != pytest.approx(wanted[name])} == set()
    later = sorted(now - {row["person_id"] for row in rows})
    assert later
    assert client.get(f"/people/{later[0]}", as_of=before.isoformat()).status_code == 404


def test_the_timeline_shows_every_event_once_with_its_items(tidy: Site) -> None:
    client = tidy.signed_in("analyst")
    events = tidy.workspace.sql("SELECT person_id, event_id, ts, activity FROM events").to_pylist()
    items = tidy.workspace.sql("SELECT person_id, event_id, count(*) AS n FROM items GROUP BY ALL").to_pylist()
    lines = {(row["person_id"], row["event_id"]): row["n"] for row in items}
    of: dict[int, list[Any]] = defaultdict(list)
    for row in events:
        of[row["person_id"]].append(row)
    busiest = sorted(of, key=lambda person: -len(of[person]))[:3]
    for person in busiest:
        shown = pages(client, f"/people/{person}/timeline", limit=7)
        wanted = sorted(of[person], key=lambda row: (row["ts"], row["event_id"]), reverse=True)
        assert [row["event_id"] for row in shown] == [str(row["event_id"]) for row in wanted]
        assert [len(row["items"]) for row in shown] == [lines.get((person, row["event_id"]), 0) for row in wanted]
        bought = pages(client, f"/people/{person}/timeline", activity="purchase")
        assert len(bought) == sum(row["activity"] == "purchase" for row in wanted) > 0
    assert client.get("/people/999999999/timeline").status_code == 404


def test_the_list_in_pages_is_the_list(tidy: Site) -> None:
    client = tidy.signed_in("analyst")
    wanted = tidy.workspace.dormant(top=None, tiers=("high", "middle", "low"))
    shown = pages(client, "/dormant", limit=4)
    assert len(shown) == wanted.num_rows > 8
    assert [row["person_id"] for row in shown] == wanted["person_id"].to_pylist()
    assert list(shown[0]) == list(outcome.LIST_COLUMNS)
    only = pages(client, "/dormant", limit=4, state="dormant", tier="high")
    assert {(row["state"], row["value_tier"]) for row in only} <= {("dormant", "high")}
    assert client.get("/dormant", state="asleep").status_code == 422


def test_figures_are_those_of_the_library(tidy: Site) -> None:
    client = tidy.signed_in("auditor")
    states = client.get("/states").json()
    assert states["items"] == tidy.workspace.states().to_pylist()
    assert client.get("/rfm").json()["items"] == tidy.workspace.rfm().to_pylist()


def test_what_was_refused_is_shown_row_by_row(site: Site) -> None:
    client = site.signed_in("operator")
    imports = pages(client, "/imports", limit=1)
    assert [one["import_id"] for one in imports] == [one.import_id for one in site.workspace.imports()]
    (bad,) = [one for one in imports if one["rows_rejected"]]
    assert client.get(f"/imports/{bad['import_id']}").json() == bad
    rows = pages(client, "/quarantine", limit=2, import_id=bad["import_id"])
    assert [row["line"] for row in rows] == [3, 4, 5]
    assert {row["reason"] for row in rows} == set(bad["rejected"])
    assert rows[0]["row"]["day"] == "not a day"
    # An integrator may mend it without seeing whose it is.
    masked = pages(site.signed_in("integrator"), "/quarantine", import_id=bad["import_id"])
    assert (masked[0]["row"]["day"], masked[0]["row"]["customer"]) == ("xxx x xxx", "x9")
    assert pages(client, "/quarantine", import_id="none") == []


def finished(client: Client, job_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + 120
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["status"] not in {"waiting", "running"}:
            return job
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.slow
def test_long_work_is_done_beside_and_its_results_are_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # Others have asked for backtests of the common shop, all at one moment.
    monkeypatch.setattr(site.clock, "moment", site.clock.now() + timedelta(minutes=1))
    client = site.signed_in("operator")
    last = site.workspace.update()
    cut = (last - timedelta(days=90)).isoformat()
    wishes: list[dict[str, Any]] = [{"kind": "backtest", "cut": cut, "horizon_days": 60}, {"kind": "report"}]
    started = [client.post("/jobs", wish) for wish in wishes]
    assert [answer.status_code for answer in started] == [202, 202]
    assert started[0].headers["location"] == f"{V1}/jobs/{started[0].json()['job_id']}"
    jobs = [finished(client, answer.json()["job_id"]) for answer in started]
    assert [job["status"] for job in jobs] == ["done", "done"], jobs
    shown = client.get("/backtest").json()
    assert (shown["job_id"], shown["result"]["cut"]) == (jobs[0]["job_id"], cut)
    page = client.get("/report")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "</html>" in page.text
    assert {job["job_id"] for job in jobs} <= {job["job_id"] for job in pages(client, "/jobs", limit=1)}


def test_a_job_that_cannot_be_done_says_why(empty: Site) -> None:
    client = empty.signed_in("operator")
    started = client.post("/jobs", {"kind": "update"})
    job = finished(client, started.json()["job_id"])
    assert (job["status"], job["problem"]["code"]) == ("failed", "no-data")
    for path in ("/states", "/dormant", "/backtest", "/report", "/people/1"):
        assert client.get(path).status_code == 404


def test_what_somebody_was_assigned_in_an_experiment_is_shown_since_then(site: Site) -> None:
    client, workspace = site.signed_in("operator"), site.workspace
    state, clock = workspace.warehouse.state, workspace.warehouse.clock
    person = workspace.people()["person_id"][0].as_py()
    make(state, "spring", 1.0, clock=clock, actor="account:a")
    assign(state, "spring", pa.array([person]), clock=clock)
    [shown] = client.get(f"/people/{person}").json()["assignments"]
    assert (shown["experiment"], shown["control"], shown["mixed"]) == ("spring", True, False)
    before = clock.now().date() - timedelta(days=60)
    assert client.get(f"/people/{person}", as_of=before.isoformat()).json()["assignments"] == []
