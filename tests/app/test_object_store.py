"""The whole way of the data with the lake in an object store: the same list as with a folder, settings from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import LakeError, SealError
from jingzhe.simulate import Business, orders_csv
from jingzhe.store.lake.erase import erase
from tests.app.conftest import NOW
from tests.s3 import SECRET, Place, bucket, s3_server

__all__ = ["bucket", "s3_server"]


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Orders of 120 people: all but the last weeks, then the rest."""
    folder = tmp_path_factory.mktemp("orders")
    orders_csv(Business(people=120, seed=5, events_per_person=120.0), folder / "all.csv")
    header, *lines = (folder / "all.csv").read_text("utf-8").splitlines()
    column = header.split(",").index("ordered_at")
    for name, chosen in (
        ("first.csv", [line for line in lines if line.split(",")[column] < "2025-12-01"]),
        ("second.csv", [line for line in lines if line.split(",")[column] >= "2025-12-01"]),
    ):
        (folder / name).write_text("\n".join([header, *chosen]) + "\n", "utf-8")
    return folder / "first.csv", folder / "second.csv"


def all_the_way(workspace: Workspace, two_files: tuple[Path, Path]) -> tuple[pa.Table, dict[str, int]]:
    first, second = two_files
    assert workspace.import_(first).changed
    workspace.refresh()
    assert workspace.import_(second).changed
    assert not workspace.refresh().full
    workspace.compact(keep_hours=0)
    gone = workspace.sql("SELECT min(person_id) AS person_id FROM events")["person_id"].to_pylist()
    assert erase(workspace.warehouse, gone).publication is not None
    listed = workspace.dormant(top=None, states=("dormant", "declining", "lost"))
    return listed, dict(workspace.rows())


def test_the_list_is_that_of_a_folder(bucket: Place, two_files: tuple[Path, Path], tmp_path: Path) -> None:
    options = "".join(f'{name} = "{value}"\n' for name, value in bucket.options.items())
    (tmp_path / "afar").mkdir()
    (tmp_path / "afar" / "jingzhe.toml").write_text(f'lake_url = "{bucket.url}"\n[lake_options]\n{options}', "utf-8")
    clock = FixedClock(NOW)
    with open_workspace(tmp_path / "here", clock=clock, threads=1) as here:
        expected, rows = all_the_way(here, two_files)
    with open_workspace(tmp_path / "afar", clock=clock, threads=1) as afar:
        found, rows_afar = all_the_way(afar, two_files)
        assert SECRET not in repr(afar)
    assert found.num_rows > 10
    assert found.equals(expected)
    assert rows_afar == rows
    assert not (tmp_path / "afar" / "lake").exists()
    assert list((tmp_path / "afar" / "cache").rglob("*.parquet"))
    # A second machine: the same state store and keys, no copies.
    second_home, url = tmp_path / "second", f"sqlite:///{tmp_path / 'afar' / 'state.db'}"
    same: dict[str, Any] = {"state_url": url, "lake_url": bucket.url, "lake_options": bucket.options}
    with pytest.raises(SealError, match="key file of this project is missing"):
        open_workspace(second_home, clock=clock, threads=1, **same)
    same["seal_key_file"] = tmp_path / "afar" / "seal.keys"
    with open_workspace(second_home, clock=clock, threads=1, **same) as second:
        assert second.dormant(top=None, states=("dormant", "declining", "lost")).equals(expected)


def test_a_store_that_refuses_is_told_before_anything_is_made(bucket: Place, tmp_path: Path) -> None:
    wrong = {**bucket.options, "aws_endpoint_url": "http://127.0.0.1:1"}
    with pytest.raises(LakeError, match="nothing listens"):
        open_workspace(tmp_path / "project", lake_url=bucket.url, lake_options=wrong)
    assert not (tmp_path / "project").exists()
