from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jingzhe.core.errors import EngineError
from jingzhe.store.catalogue import Column, Table
from jingzhe.store.engine import SORTED, Source
from jingzhe.store.engine.duck import DuckEngine, DuckSession
from jingzhe.store.query import Query, Step, one
from tests.store.small import SCORES

WIDE = Table(
    "wide",
    (Column("person_id", "BIGINT", "the person"), Column("text", "VARCHAR", "a long text")),
    key=("person_id",),
    sort_by=("person_id",),
)
MANY = (
    "SELECT CAST(hash(i) % 1000000 AS BIGINT) AS person_id, "
    "md5(i::VARCHAR) || md5((i + 1)::VARCHAR) || md5((i + 2)::VARCHAR) || md5((i + 3)::VARCHAR) AS text "
    "FROM range($rows) AS numbers(i)"
)


def setting(session: DuckSession, name: str) -> str:
    return str(
        session.run(one("setting", "SELECT current_setting($name) AS value"), {"name": name})["value"][0].as_py()
    )


def test_limits_are_in_force(tmp_path: Path) -> None:
    with DuckEngine(tmp_path, memory_limit_mb=300, threads=1).session() as session:
        assert setting(session, "memory_limit") == "286.1 MiB"
        assert setting(session, "threads") == "1"
        assert Path(setting(session, "temp_directory")).parent == tmp_path
        assert setting(session, "TimeZone") == "UTC"
    with DuckEngine(tmp_path).session() as session:
        assert int(setting(session, "threads")) == len(os.sched_getaffinity(0))
    assert not list(tmp_path.iterdir())


def test_values_are_bound_by_name(session: DuckSession) -> None:
    query = Query("q", (Step("low", "SELECT $low AS low"), Step("answer", "SELECT low, $text AS text FROM low")))
    found = session.run(query, {"low": 3, "text": "it's; DROP", "unused": 1})
    assert found.to_pylist() == [{"low": 3, "text": "it's; DROP"}]
    with pytest.raises(EngineError, match="needs the value 'text'"):
        session.run(query, {"low": 3})


def test_errors_carry_step_and_sql_but_no_values(session: DuckSession) -> None:
    with pytest.raises(EngineError) as caught:
        session.run(one("ages", "SELECT CAST($phone AS INTEGER) AS age"), {"phone": "secret 13800138000"})
    assert caught.value.where == {"step": "ages"}
    assert "CAST($phone AS INTEGER)" in str(caught.value)
    assert "13800138000" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(EngineError, match="nowhere") as other:
        session.run(one("lost", "SELECT * FROM nowhere"))
    assert other.value.__cause__ is not None
    reader = session.batches(
        one(
            "late",
            "SELECT CAST(CASE WHEN i = 900000 THEN $bad ELSE '1' END AS INTEGER) AS n "
            "FROM range(1000000) AS numbers(i)",
        ),
        {"bad": "a name"},
    )
    with pytest.raises(EngineError, match="late") as streamed:
        reader.read_all()
    assert "a name" not in str(streamed.value)


def test_variables_of_python_are_no_tables(session: DuckSession) -> None:
    people = pa.table({"n": [1]})
    with pytest.raises(EngineError, match="people"):
        session.run(one("q", "SELECT * FROM people"))
    session.offer("people", people)
    assert session.run(one("q", "SELECT * FROM people")).num_rows == 1


def test_kept_steps_are_computed_once_until_dropped(session: DuckSession) -> None:
    drawn = Query(
        "q", (Step("drawn", "SELECT random() AS r, $n AS n", kept=True), Step("answer", "SELECT r FROM drawn"))
    )
    first = session.run(drawn, {"n": 1})
    assert session.run(drawn, {"n": 1}) == first
    with pytest.raises(EngineError, match="kept already"):
        session.run(drawn, {"n": 2})
    session.drop("drawn")
    assert session.run(drawn, {"n": 2}) != first


def test_batches_are_offered_once_and_tables_again(session: DuckSession) -> None:
    data = pa.table({"n": list(range(10))})
    session.offer("stream", data.to_reader(max_chunksize=3))
    assert session.run(one("q", "SELECT sum(n) AS s FROM stream"))["s"][0].as_py() == 45
    session.offer("data", data)
    for _ in range(2):
        assert session.run(one("q", "SELECT sum(n) AS s FROM data"))["s"][0].as_py() == 45
    assert session.batches(one("q", "SELECT * FROM data")).read_all().num_rows == 10


def test_more_than_the_memory_is_sorted_and_summed(tmp_path: Path) -> None:
    with DuckEngine(tmp_path / "work", memory_limit_mb=256, threads=2).session() as session:
        # 1.6 million rows of 168 bytes and more: more than the limit.
        (file,) = session.write(one("many", MANY), WIDE, str(tmp_path / "wide"), {"rows": 1_600_000}, ordered=True)
        assert file.rows == 1_600_000
        assert Path(file.path).name.startswith(SORTED)
        session.attach(Source(WIDE, (file.path,)))
        unsorted = one(
            "q",
            "SELECT count(*) AS n FROM (SELECT person_id < lag(person_id) OVER (ORDER BY file_row_number) "
            f"AS back FROM read_parquet('{file.path}', file_row_number = true)) WHERE back",
        )
        assert session.run(unsorted)["n"][0].as_py() == 0
        groups = one(
            "groups", "SELECT count(*) AS n, sum(c) AS c FROM (SELECT text, count(*) AS c FROM wide GROUP BY text)"
        )
        assert session.run(groups).to_pylist() == [{"n": 1_600_000, "c": 1_600_000}]
    assert file.statistics["person_id"][0] == "0"


def test_too_much_for_memory_and_disk_says_what_to_do(tmp_path: Path) -> None:
    with DuckEngine(tmp_path / "work", memory_limit_mb=256, threads=1).session() as session:
        session.run(one("limit", "SELECT 1 AS n"))
        session._connection.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(EngineError, match="memory_limit_mb"):
            session.write(one("many", MANY), WIDE, str(tmp_path / "wide"), {"rows": 4_000_000}, ordered=True)
        assert not list((tmp_path / "wide").iterdir())
        assert session.run(one("after", "SELECT 1 AS n")).num_rows == 1


def test_no_rows_leave_no_file(session: DuckSession, tmp_path: Path) -> None:
    none = one("none", "SELECT 1 AS person_id, 1 AS score, false AS gone WHERE false")
    assert session.write(none, SCORES, str(tmp_path / "scores")) == []
    assert not list((tmp_path / "scores").iterdir())


def test_export(session: DuckSession, tmp_path: Path) -> None:
    query = one("q", "SELECT i AS n, '多' AS text FROM range(3) AS numbers(i)")
    for file_format in ("csv", "json", "parquet"):
        assert session.export(query, str(tmp_path / file_format), file_format) == 3
    assert (tmp_path / "csv").read_text("utf-8").splitlines()[1] == "0,多"
    assert json.loads((tmp_path / "json").read_text("utf-8"))[2] == {"n": 2, "text": "多"}
    assert pq.read_table(tmp_path / "parquet").num_rows == 3
    with pytest.raises(EngineError, match="no file format 'xml'"):
        session.export(query, str(tmp_path / "xml"), "xml")


def test_a_sealed_session_reads_its_tables_and_nothing_else(session: DuckSession, tmp_path: Path) -> None:
    rows = one("rows", "SELECT i AS person_id, i AS score, false AS gone FROM range(5) AS numbers(i)")
    (file,) = session.write(rows, SCORES, str(tmp_path / "scores"))
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    session.attach(Source(SCORES, (file.path,)))
    session.seal()
    assert session.run(one("q", "SELECT max(score) AS n FROM scores"))["n"][0].as_py() == 4
    session.keep(Step("mine", "SELECT * FROM scores"))
    for sql in (
        f"SELECT * FROM read_csv('{other}')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        f"COPY scores TO '{tmp_path}/out.csv'",
        f"COPY scores TO '{file.path}'",
        "SET memory_limit = '64GB'",
        "SELECT 1; DROP VIEW scores",
        "DROP VIEW scores",
        f"ATTACH '{tmp_path}/x.db'",
        "INSTALL httpfs",
    ):
        with pytest.raises(EngineError):
            session.run(one("q", sql))
    with pytest.raises(EngineError):
        session.export(one("q", "SELECT 1 AS n"), str(tmp_path / "out.csv"), "csv")
    assert session.run(one("q", "SELECT count(*) AS n FROM scores"))["n"][0].as_py() == 5
    assert not (tmp_path / "out.csv").exists()


def test_what_a_killed_process_spilled_is_removed_and_what_lives_stays(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from jingzhe.store.engine.spill import spill_folder\n"
        f"with spill_folder(Path({str(tmp_path)!r})) as folder:\n"
        "    (folder / 'big').write_bytes(b'x'); print(folder, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        with DuckEngine(tmp_path, memory_limit_mb=300, threads=1).session():
            assert (folder / "big").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    give_up = time.monotonic() + 60
    while folder.exists() and time.monotonic() < give_up:
        with DuckEngine(tmp_path, memory_limit_mb=300, threads=1).session():
            pass
    assert not list(tmp_path.iterdir())


def test_a_work_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="work folder"), DuckEngine(tmp_path / "file" / "work").session():
        pass
