from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import jingzhe
from jingzhe.app.outcome import LIST_COLUMNS
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.errors import NoDataError, SettingError


def test_the_same_file_again_changes_nothing(shop: Workspace, orders: Path) -> None:
    before = shop.rows()
    again = shop.import_(orders)
    assert not again.changed
    assert again.orders == 0
    assert shop.rows() == before


def test_everybody_in_the_file_is_a_person_with_a_state(shop: Workspace, orders: Path) -> None:
    lines = orders.read_text("utf-8").splitlines()
    column = lines[0].split(",").index("customer_id")
    customers = {line.split(",")[column].strip('"') for line in lines[1:]}
    people = shop.people()
    assert set(people["customer_id"].to_pylist()) == customers
    assert set(people["state"].to_pylist()) <= {"new", "active", "declining", "dormant", "lost", "returned"}
    assert people["p_return"].null_count == 0


def test_the_list_holds_the_quiet_with_most_at_risk_first(shop: Workspace) -> None:
    rows = shop.dormant(top=30)
    assert tuple(rows.column_names) == LIST_COLUMNS
    assert 0 < rows.num_rows <= 30
    risk = rows["value_at_risk"].to_pylist()
    assert risk == sorted(risk, reverse=True)
    assert set(rows["state"].to_pylist()) <= {"dormant", "declining"}
    for row in rows.to_pylist():
        assert row["evidence_en"]
        assert row["evidence_zh"]
        assert row["treatment_zh"]
        if row["state"] == "dormant":
            assert row["dormant_on"] == row["since"] <= date(2026, 1, 5)


def test_the_list_can_be_narrowed_and_a_wrong_name_is_told(shop: Workspace) -> None:
    lost = shop.dormant(top=None, states=("lost",), tiers=("high", "low"))
    assert set(lost["state"].to_pylist()) <= {"lost"}
    assert set(lost["value_tier"].to_pylist()) <= {"high", "low"}
    with pytest.raises(SettingError, match="asleep"):
        shop.dormant(states=("asleep",))


def test_an_earlier_day_sees_nothing_of_what_came_after(shop: Workspace, orders: Path, tmp_path: Path) -> None:
    day = date(2025, 6, 30)
    header, *lines = orders.read_text("utf-8").splitlines()
    column = header.split(",").index("ordered_at")
    early = [line for line in lines if line.split(",")[column][:10] <= day.isoformat()]
    (tmp_path / "early.csv").write_text("\n".join([header, *early]) + "\n", "utf-8")
    then = shop.people(as_of=day).sort_by("customer_id")
    with open_workspace(tmp_path / "alone", clock=shop.warehouse.clock, threads=1) as alone:
        alone.import_(tmp_path / "early.csv")
        expected = alone.people(as_of=day).sort_by("customer_id")
    for name in ("customer_id", "state", "valid_until", "purchases", "rfm_class", "dormant_on"):
        assert then[name].to_pylist() == expected[name].to_pylist(), name
    # p_return is left out: people are numbered as they come, and the learned model deals them into folds by number.
    for name in ("monetary", "spend_recent", "overdue", "expected_spend"):
        assert then[name].to_pylist() == pytest.approx(expected[name].to_pylist(), rel=1e-6, abs=1e-9), name


def test_states_add_up_and_movement_ends_in_them(shop: Workspace) -> None:
    counts = {row["state"]: row["people"] for row in shop.states().to_pylist()}
    assert sum(counts.values()) == shop.people().num_rows
    moved: dict[str, int] = {}
    for row in shop.states(before=date(2025, 9, 1)).to_pylist():
        moved[row["state_now"]] = moved.get(row["state_now"], 0) + row["people"]
    assert moved == counts


def test_rfm_classes_and_their_migration(shop: Workspace) -> None:
    classes = {row["rfm_class"]: row["people"] for row in shop.rfm().to_pylist()}
    assert sum(classes.values()) == shop.people().num_rows
    moved: dict[str, int] = {}
    for row in shop.rfm(before=date(2025, 9, 1)).to_pylist():
        moved[row["class_now"]] = moved.get(row["class_now"], 0) + row["people"]
    assert moved == classes


def test_rfm_thresholds_can_be_given(shop: Workspace) -> None:
    with open_workspace(
        shop.settings.home, clock=shop.warehouse.clock, threads=1, rfm_method="given", rfm_thresholds=(30, 5, 500)
    ) as same:
        for row in same.people().to_pylist():
            recent, frequent, valuable = row["recency_days"] <= 30, row["purchases"] > 5, row["monetary"] > 500
            rank = {(True, True): "value", (True, False): "develop", (False, True): "keep", (False, False): "retain"}
            assert row["rfm_class"] == f"{'important' if valuable else 'general'}_{rank[recent, frequent]}"


def test_one_person_is_found_by_the_key_of_the_source(shop: Workspace) -> None:
    key = shop.people()["customer_id"][0].as_py()
    assert shop.person(key)["customer_id"] == key
    with pytest.raises(NoDataError, match="nobody-here"):
        shop.person("nobody-here")


def test_a_backtest_says_every_model_and_as_json(shop: Workspace) -> None:
    result = shop.backtest(date(2025, 9, 30), 60)
    models = result.table()["model"].to_pylist()
    assert models[0] == "default"
    assert {"bg_nbd", "pareto_nbd", "recency"} <= set(models)
    assert json.loads(json.dumps(result.to_dict()))["cut"] == "2025-09-30"
    with pytest.raises(NoDataError, match="after the data"):
        shop.backtest(date(2025, 12, 20), 90)


def test_the_report_is_one_file_with_headlines(shop: Workspace, tmp_path: Path) -> None:
    written = shop.report(tmp_path / "report.html")
    page = written.page.read_text("utf-8")
    assert "沉睡" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(written.headlines) == 5


def test_sql_reads_the_lake_with_bound_values(shop: Workspace) -> None:
    rows = shop.sql("SELECT count(*) AS n FROM events WHERE day > $day", day=date(2025, 12, 1))
    assert rows.to_pylist()[0]["n"] > 0


def test_a_second_file_moves_only_whom_it_touches(orders: Path, tmp_path: Path, shop: Workspace) -> None:
    header, *lines = orders.read_text("utf-8").splitlines()
    column = header.split(",").index("ordered_at")
    late = [line for line in lines if line.split(",")[column][:10] > "2025-12-20"]
    early = [line for line in lines if line.split(",")[column][:10] <= "2025-12-20"]
    for name, part in (("early.csv", early), ("late.csv", late)):
        (tmp_path / name).write_text("\n".join([header, *part]) + "\n", "utf-8")
    with open_workspace(tmp_path / "grown", clock=shop.warehouse.clock, threads=1) as grown:
        grown.import_(tmp_path / "early.csv", source_name="shop")
        grown.refresh()
        grown.import_(tmp_path / "late.csv", source_name="shop")
        done = grown.refresh()
        assert not done.full
        assert 0 < done.people < 400
        stepwise = grown.sql("SELECT * FROM profiles ORDER BY person_id")
        grown.refresh(full=True)
        assert_same(stepwise, grown.sql("SELECT * FROM profiles ORDER BY person_id"))


def assert_same(left: pa.Table, right: pa.Table) -> None:
    for name in left.column_names:
        a, b = left[name].to_pylist(), right[name].to_pylist()
        if pa.types.is_floating(left.schema.field(name).type):
            assert [x is None for x in a] == [x is None for x in b], name
            assert [x or 0.0 for x in a] == pytest.approx([x or 0.0 for x in b], rel=1e-9), name
        else:
            assert a == b, name


def test_an_update_with_nothing_new_publishes_nothing(shop: Workspace) -> None:
    shop.update()
    before = shop.warehouse.state.latest()
    shop.update()
    assert shop.warehouse.state.latest() == before


def test_compaction_changes_no_answer(shop: Workspace) -> None:
    before = shop.people().sort_by("person_id")
    shop.compact(keep_hours=0)
    after = shop.people().sort_by("person_id")
    assert after.select(["customer_id", "state", "purchases"]) == before.select(["customer_id", "state", "purchases"])


def test_an_empty_project_says_what_to_do(tmp_path: Path) -> None:
    with jingzhe.open(tmp_path / "new") as workspace:
        for ask in (workspace.people, workspace.dormant, workspace.refresh, workspace.rows):
            with pytest.raises(NoDataError, match="jingzhe import"):
                ask()


def test_as_of_before_the_data_says_so(shop: Workspace) -> None:
    with pytest.raises(NoDataError):
        shop.people(as_of=date(2023, 12, 31) - timedelta(days=400))
