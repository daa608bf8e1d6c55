from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jingzhe.core.errors import EngineError, JingzheError, LakeError
from jingzhe.store.facts import EVENTS
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse
from tests.store.small import append, event, files_in, ids, opened, published, url_in

_BIG = one(
    "big",
    "SELECT i AS event_id, now() AS ts, current_date AS day, now() AS received_at, md5(i::VARCHAR) AS source, "
    "md5((i + 1)::VARCHAR) AS name, md5((i + 2)::VARCHAR) AS activity, i AS person_id, NULL AS order_id, "
    "random() AS revenue, 0 AS discount, 1 AS quantity, 'CNY' AS currency, 9 AS batch FROM range(200000) AS numbers(i)",
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(disk: Path, *, leave_bytes: int) -> Iterator[None]:
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - leave_bytes))
    yield
    filler.unlink()


def write_big(warehouse: Warehouse) -> None:
    with warehouse.writing("big") as writing:
        writing.append(EVENTS, _BIG)
        writing.publish("big")


def write_small(warehouse: Warehouse) -> None:
    with warehouse.writing("small") as writing:
        append(writing, EVENTS, [event(7, 7)])
        writing.publish("small")


def test_rows_do_not_fit(small_disk: Path) -> None:
    with opened(small_disk) as warehouse:
        published(warehouse, [event(1, 1)])
        before = files_in(small_disk)
        with pytest.raises(EngineError, match="big"):
            write_big(warehouse)
        assert files_in(small_disk) == before
        published(warehouse, [event(2, 2)])
        with warehouse.reading() as session:
            assert ids(session) == [1, 2]


@pytest.mark.parametrize("leave_bytes", [0, 4096, 8192, 12288, 16384])
def test_nothing_at_all_fits(small_disk: Path, tmp_path: Path, leave_bytes: int) -> None:
    # The state store stands elsewhere, so that the lake is what fails.
    with opened(small_disk, url_in(tmp_path)) as warehouse:
        published(warehouse, [event(1, 1)])
        failed: Exception | None = None
        with filled(small_disk, leave_bytes=leave_bytes):
            try:
                write_small(warehouse)
            except JingzheError as error:
                failed = error
            with warehouse.reading() as session:
                assert ids(session) == ([1] if failed else [1, 7])
        assert isinstance(failed, EngineError | LakeError) or leave_bytes >= 8192
        write_small(warehouse)
        with warehouse.reading() as session:
            assert ids(session) == ([1, 7] if failed else [1, 7, 7])
