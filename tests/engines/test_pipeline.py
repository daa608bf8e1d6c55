"""The whole way, once on DuckDB and once on Spark: imports, refreshes, models, scores, list, report, compaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jingzhe.app.workspace import Workspace
from jingzhe.collect.sealed_rows import opened_rows
from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import SORTED
from jingzhe.store.lake.tables import in_order
from jingzhe.store.query import Step, one
from tests.engines import happenings
from tests.engines.comparing import differences
from tests.engines.conftest import Spark

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]

NUMBERED_FREELY = {"events": {"event_id"}, "items": {"event_id"}, "retractions": {"event_id"},
                   "quarantine": {"import_id"}}  # fmt: skip
"""Columns that are made anew by every import."""


class Both(NamedTuple):
    """Two projects with the same life, and what they answered."""

    duck: Workspace
    spark: Workspace
    answers: tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def both(spark: Spark, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("pipeline")
    with happenings.opened(folder / "duck") as one_, happenings.opened(folder / "spark", spark) as other:
        answers: list[dict[str, Any]] = []
        for workspace in (one_, other):
            files = folder / f"files-{workspace.settings.home.name}"
            files.mkdir()
            happenings.bring(workspace, files)
            happenings.simulate(workspace, 500)
            workspace.refresh(full=True)
            happenings.collect(workspace)
            happenings.follow(workspace)
            happenings.bring_again(workspace, files)
            workspace.update()
            answers.append(happenings.ask(workspace))
        yield Both(one_, other, (answers[0], answers[1]))


def _apart(left: Any, right: Any, place: str = "") -> list[str]:
    """Returns where two nested values differ, fractions by more than 1e-9."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return [found for key in left for found in _apart(left[key], right[key], f"{place}.{key}")]
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [found for number, pair in pairs for found in _apart(*pair, f"{place}[{number}]")]
    same = left == pytest.approx(right, rel=1e-9, abs=1e-9) if isinstance(left, float) else left == right
    return [] if same else [f"{place}: {left!r} and {right!r}"]


def rows(workspace: Workspace, table: Table) -> pa.Table:
    """Returns a table's rows, read by DuckDB whichever engine wrote them."""
    publication = workspace.warehouse.state.latest()
    assert publication is not None
    paths = [file.path for file in workspace.warehouse.lake.files(table, publication.tables[table.name])]
    read = [pq.ParquetFile(path).read() for path in paths]
    # What is never null is marked so in some files, not in others: their queries could tell or not.
    read = [one_.cast(pa.schema([column.with_nullable(True) for column in one_.schema])) for one_ in read]
    return pa.concat_tables(read) if read else pa.table({name: [] for name in table.column_names})


def test_every_table_holds_the_same_rows(both: Both) -> None:
    counts = {}
    for table in both.duck.warehouse.catalogue:
        left, right = rows(both.duck, table), rows(both.spark, table)
        counts[table.name] = left.num_rows
        if table.name == "quarantine":
            # Each project has keys of its own.
            left, right = (
                opened_rows(sealed, workspace.warehouse.state.sealer)
                for sealed, workspace in ((left, both.duck), (right, both.spark))
            )
        assert differences(left, right, without=NUMBERED_FREELY.get(table.name, ())) == [], table.name
    assert min(counts[name] for name in ("events", "items", "retractions", "person_days", "profiles", "scores")) > 0


def test_answers_and_report_are_the_same(both: Both) -> None:
    left, right = both.answers
    for name in ("people", "list", "states", "classes", "movement", "migration"):
        assert left[name].num_rows > 3
        assert differences(left[name], right[name], ordered=name == "list") == [], name
    for answers in both.answers:
        assert answers["rest of the list"].equals(answers["list"].slice(5))
    one_, other = (
        replace(answers["report"], frame=replace(answers["report"].frame, backtest=None, sources=()))
        for answers in both.answers
    )
    assert one_.states
    assert _apart(asdict(one_), asdict(other)) == []


def test_files_of_spark_say_what_ours_say(both: Both) -> None:
    publication = both.spark.warehouse.state.latest()
    assert publication is not None
    for table in both.spark.warehouse.catalogue:
        for file in both.spark.warehouse.lake.files(table, publication.tables[table.name]):
            stored = pq.ParquetFile(file.path)
            assert stored.metadata.num_rows == file.rows > 0
            assert Path(file.path).stat().st_size == file.size_bytes
            for column in table.stored_columns:
                kind = stored.schema_arrow.field(column.name).type
                if column.type == "TIMESTAMPTZ":
                    assert kind == pa.timestamp("us", tz="UTC")
            if table.sort_by and file.low is not None:
                values = stored.read([table.sort_by[0]])[table.sort_by[0]].to_pylist()
                assert (min(values), max(values)) == (file.low, file.high)
    assert not list(Path(both.spark.warehouse.lake.root).rglob("*.crc"))
    assert not list((Path(both.spark.warehouse.lake.root) / "_sessions").iterdir())


def test_compaction_by_spark_leaves_sorted_files_and_the_same_rows(both: Both) -> None:
    events = both.spark.warehouse.catalogue["events"]
    before = both.spark.people()
    both.spark.compact()
    publication = both.spark.warehouse.state.latest()
    assert publication is not None
    files = both.spark.warehouse.lake.files(events, publication.tables["events"])
    assert in_order(files)
    assert all(file.name.startswith(SORTED) for file in files)
    for file in files:
        people = pq.ParquetFile(file.path).read(["person_id", "ts"])
        assert people.equals(people.sort_by([("person_id", "ascending"), ("ts", "ascending")]))
    assert differences(before, both.spark.people()) == []


def test_a_failed_write_leaves_nothing(both: Both) -> None:
    events = both.spark.warehouse.catalogue["events"]
    folder = Path(both.spark.warehouse.lake.folder(events))
    there = sorted(folder.rglob("*"))
    seq = both.spark.warehouse.state.latest()
    broken = "SELECT * REPLACE (CAST(raise_error(source) AS VARCHAR) AS source) FROM events"
    with both.spark.warehouse.writing("broken") as writing, pytest.raises(EngineError, match="broken_rows") as caught:
        writing.write(events, one("broken_rows", broken))
    assert caught.value.hint
    assert sorted(folder.rglob("*")) == there
    assert both.spark.warehouse.state.latest() == seq


def test_a_sealed_session_reads_its_tables_and_nothing_else(both: Both) -> None:
    assert both.spark.sql("SELECT count(*) AS n FROM events WHERE person_id = $id", id=3)["n"][0].as_py() > 0
    file = Path(both.spark.warehouse.lake.root) / "events"
    for sql in (
        f"SELECT * FROM parquet.`{file}`",
        f"SELECT * FROM read_csv('{file}')",
        "SELECT reflect('java.lang.System', 'getenv', 'HOME')",
        "SELECT java_method('java.util.UUID', 'randomUUID')",
        "SELECT 1; DROP VIEW events",
        "DROP VIEW events",
        "SET spark.sql.ansi.enabled = false",
        "SELECT * FROM nowhere",
    ):
        with pytest.raises(EngineError):
            both.spark.sql(sql)


def test_errors_carry_step_and_sql_but_no_values(both: Both) -> None:
    with both.spark.warehouse.reading() as session:
        with pytest.raises(EngineError) as caught:
            session.run(one("ages", "SELECT CAST($phone AS INTEGER) AS age"), {"phone": "secret 13800138000"})
        assert caught.value.where == {"step": "ages"}
        assert "13800138000" not in str(caught.value)
        assert caught.value.__cause__ is None
        with pytest.raises(EngineError, match="needs the value 'text'"):
            session.run(one("missing", "SELECT $text AS text"))
        session.keep(Step("mine", "SELECT 1 AS n"))
        session.drop("mine")
        with pytest.raises(EngineError, match="mine"):
            session.run(one("gone", "SELECT * FROM mine"))
