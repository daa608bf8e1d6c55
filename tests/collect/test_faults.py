from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingzhe.collect.importing import import_orders
from jingzhe.core.errors import BusyError, ImportRefusedError
from jingzhe.store.warehouse import Warehouse
from tests.collect.conftest import facts, open_warehouse, rows_of

HEADER = "order_id,customer_id,ordered_at,product_id,quantity,price\n"
GOOD = HEADER + "A1,c1,2024-03-05,p1,1,10\nA2,c2,2024-03-06,p2,2,5\n"


def imported(warehouse: Warehouse, folder: Path, data: bytes, **wishes: Any) -> Any:
    path = folder / "x.csv"
    path.write_bytes(data)
    return import_orders(warehouse, path, **wishes)


MORE = "A3,c3,2024-03-07,p1,1,1\n"
ODD: dict[str, tuple[bytes, int, dict[str, int]]] = {
    "mixed ends": (GOOD.replace("\n", "\r\n").encode() + f"{MORE}{MORE.replace('A3', 'A4')}".encode(), 4, {}),
    "old Mac ends": (GOOD.replace("\n", "\r").encode(), 2, {}),
    "a zero byte": ((GOOD + MORE.replace("c3", "c\0003")).encode(), 3, {}),
    "a long value": ((GOOD + MORE.replace("c3", "c" * 2_000_000)).encode(), 3, {}),
    "a line beyond measure": ((GOOD + MORE.replace("c3", "c" * 5_000_000) + MORE).encode(), 3, {"line-too-long": 1}),
    "an open quote": ((GOOD + MORE.replace("c3", '"c3')).encode(), 2, {"bad-quotes": 1}),
    "a quote within": ((GOOD + MORE.replace("c3", '5" pipe')).encode(), 3, {}),
    "a delimiter behind each line": (GOOD.replace("\n", ",\n").encode(), 2, {}),
    "a header twice": (
        GOOD.replace("price", "price,price").replace("10\n", "10,99\n").replace("5\n", "5,99\n").encode(), 2, {},
    ),
    "a mark and quotes": (b"\xef\xbb\xbf" + GOOD.replace("order_id", '"order_id"').encode(), 2, {}),
}  # fmt: skip


@pytest.mark.parametrize(("data", "orders", "rejected"), ODD.values(), ids=ODD)
def test_odd_files(warehouse: Warehouse, tmp_path: Path, data: bytes, orders: int, rejected: dict[str, int]) -> None:
    summary = imported(warehouse, tmp_path, data)
    assert (summary.orders, dict(summary.rejected)) == (orders, rejected)
    prices = rows_of(warehouse, "SELECT order_id, revenue FROM events WHERE order_id IN ('A1', 'A2') ORDER BY 1")
    assert [row["revenue"] for row in prices] == [10.0, 10.0]


@pytest.mark.slow
def test_gbk_found_late_is_read_rightly(warehouse: Warehouse, tmp_path: Path) -> None:
    for name, customer in (("1.csv", "c1"), ("2.csv", "客户")):
        rows = "".join(f"{name}{n},c1,2024-03-05,p1,1,1\n" for n in range(40_000))
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(
            (HEADER + rows + f"X{name},{customer},2024-03-05,p1,1,1\nY{name},,2024-03-05,p1,1,1\n").encode("gbk")
        )
    summary = import_orders(warehouse, tmp_path / "in")
    assert (summary.orders, dict(summary.rejected)) == (80_002, {"missing-customer": 2})
    assert [row["value"] for row in rows_of(warehouse, "SELECT value FROM identities ORDER BY value")] == ["c1", "客户"]
    lines = rows_of(warehouse, "SELECT file, line FROM quarantine ORDER BY file")
    assert lines == [{"file": "1.csv", "line": 40_003}, {"file": "2.csv", "line": 40_003}]


def test_mixed_ends_found_late(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = "".join(f"B{n},c1,2024-03-05,p1,1,1\n" for n in range(30_000))
    late = f"C1,,2024-03-05,p1,1,1\r\n{rows.replace('B', 'D')}"
    summary = imported(warehouse, tmp_path, (GOOD + rows + late).encode())
    assert (summary.orders, summary.rows_rejected) == (60_002, 1)
    assert rows_of(warehouse, "SELECT line FROM quarantine") == [{"line": 30_004}]


def test_data_without_a_header_are_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError, match="first row looks like data"):
        imported(warehouse, tmp_path, GOOD.removeprefix(HEADER).encode())


@pytest.mark.slow
def test_a_thousand_columns(warehouse: Warehouse, tmp_path: Path) -> None:
    header = ",".join(["customer_id", "date", "amount", *(f"column {n}" for n in range(997))])
    row = ",".join(["c1", "2024-03-05", "5", *(str(n) for n in range(997))])
    summary = imported(warehouse, tmp_path, f"{header}\n{row}\n{row.replace('2024-03-05', 'x')}\n".encode())
    assert (summary.orders, summary.rows_rejected, len(summary.mappings[0].unused)) == (1, 1, 997)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(range(256)) * 40, id="all bytes"), pytest.param(b"\0" * 5_000, id="zero bytes"),
        pytest.param(b"PAR1 but no parquet", id="broken Parquet"),
        pytest.param(b"PK\x03\x04nonsense", id="broken archive"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, id="broken workbook"),
        pytest.param(b"\x1f\x8b\x08nonsense", id="broken gzip"), pytest.param(b"{broken\n{broken\n", id="broken JSON"),
        pytest.param(b"%PDF-1.7\n1 0 obj\n", id="PDF"), pytest.param(b"\xff\xfe", id="a mark alone"),
        pytest.param(b"<html><body>" + b"<p>x</p>\n" * 500, id="HTML"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_orders_is_refused(warehouse: Warehouse, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        imported(warehouse, tmp_path, data)
    assert "x.csv" in str(refused.value)
    assert warehouse.state.latest() is None


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_imported_or_refused(warehouse: Warehouse, tmp_path: Path, data: bytes, behind: bool) -> None:
    before = warehouse.state.latest()
    try:
        summary = imported(warehouse, tmp_path, GOOD.encode() + data if behind else data)
    except ImportRefusedError:
        assert warehouse.state.latest() == before
        return
    counted = rows_of(warehouse, f"SELECT count(*) AS n FROM quarantine WHERE import_id = '{summary.import_id}'")
    assert summary.rows == summary.rows_accepted + summary.rows_rejected
    assert counted[0]["n"] <= summary.rows_rejected


_IMPORTER = """
import sys
from pathlib import Path
from jingzhe.collect.importing import import_orders
from tests.collect.conftest import open_warehouse

class Telling:
    def stage(self, name, total=None, unit="rows"):
        print(name, flush=True)
    def advance(self, done):
        pass

import_orders(open_warehouse(Path(sys.argv[1])), sys.argv[2], progress=Telling())
print("done", flush=True)
"""


def start(home: Path, source: Path) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    return subprocess.Popen(
        [sys.executable, "-c", _IMPORTER, home, source], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["customers", "orders", "lines", "publish"])
def test_a_killed_import_leaves_nothing(tmp_path: Path, stage: str) -> None:
    home, source = tmp_path / "project", tmp_path / "x.csv"
    source.write_text(HEADER + "".join(f"A{n},c{n % 999},2024-03-05,p{n % 7},1,10\n" for n in range(200_000)))
    with start(home, source) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == stage:
                break
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    warehouse = open_warehouse(home)
    with warehouse.state:
        if warehouse.state.latest() is None:
            assert facts(warehouse) == {"events": [], "items": []}
        summary = import_orders(warehouse, source)
        assert summary.orders + summary.orders_unchanged == 200_000
        assert rows_of(
            warehouse, "SELECT count(*) AS n, count(DISTINCT event_id) AS d, sum(revenue) AS r FROM events"
        ) == [{"n": 200_000, "d": 200_000, "r": 2_000_000.0}]
        assert rows_of(warehouse, "SELECT count(*) AS n FROM items") == [{"n": 200_000}]
        # Numbers that the killed import had reserved are given to nobody.
        people = "SELECT count(*) AS n, count(DISTINCT person_id) AS people FROM identities"
        assert rows_of(warehouse, people) == [{"n": 999, "people": 999}]
    assert list((home / "work").iterdir()) == []


def test_two_imports_at_once_take_turns(warehouse: Warehouse, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        path = tmp_path / f"{number}.csv"
        path.write_text(HEADER + "".join(f"{number}-{n},c{n},2024-03-05,p1,1,1\n" for n in range(50)))
        try:
            import_orders(warehouse, path)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows_of(warehouse, "SELECT count(*) AS n, count(DISTINCT person_id) AS p FROM events") == [
        {"n": 150, "p": 50}
    ]
    latest = warehouse.state.latest()
    assert latest is not None
    assert latest.seq == 3


def test_an_import_does_not_wait_for_ever(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(GOOD)
    hasty = Warehouse(warehouse.catalogue, warehouse.state, warehouse.lake, warehouse.engine, warehouse.clock, 0.1)
    with warehouse.writing("something else"), pytest.raises(BusyError, match="something else"):
        import_orders(hasty, tmp_path / "x.csv")
