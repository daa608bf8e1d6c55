"""Every query of the product runs on DuckDB and on Spark, over the same lake, and gives the same rows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import jingzhe
from jingzhe.dormancy import worth
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.query import Query, Step
from tests.engines import happenings
from tests.engines.conftest import Spark
from tests.engines.twin import Noted, TwinEngine

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]

HERE_ONLY = {
    "jingzhe.collect.rows:rows_step": "reads a file, on the machine that has it",
    "jingzhe.collect.queries:REFUSED_ORDINALS": "numbers the rows of a file as they were read",
    "jingzhe.collect.queries:refused_rows": "puts refused rows of a file together, where they were read",
    "jingzhe.collect.hiding:_WRITTEN": "reads customers' keys off the rows of a file, where they were read",
    "jingzhe.collect.hiding:_HIDDEN": "puts hashes into the rows of a file before they leave the machine",
}
"""Queries of the machine that has the file, each with the reason; Spark never sees them."""
_MADE = {"Query", "Step", "tuple[Step, ...]"}


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(jingzhe.__path__, "jingzhe."):
        if ".migrations." not in found.name:
            yield importlib.import_module(found.name)


def constants(module: ModuleType) -> Iterator[tuple[str, Query | Step]]:
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            value = getattr(module, target.id, None) if isinstance(target, ast.Name) else None
            if isinstance(target, ast.Name) and isinstance(value, Query | Step):
                yield target.id, value


def factories(module: ModuleType) -> Iterator[str]:
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name[0] != "_"
            and node.returns
            and ast.unparse(node.returns) in _MADE
        ):
            yield node.name


@pytest.fixture(scope="module")
def noted(spark: Spark, tmp_path_factory: pytest.TempPathFactory) -> Noted:
    """Does everything there is to do on both engines at once."""
    home = tmp_path_factory.mktemp("twin") / "project"
    files = tmp_path_factory.mktemp("files")
    found = Noted()

    def twin(folder: Path) -> TwinEngine:
        return TwinEngine(DuckEngine(folder / "tmp", 1200), spark(folder), found)

    with happenings.opened(home, twin) as workspace, found.watching():
        happenings.bring(workspace, files)
        happenings.simulate(workspace, 1900)
        happenings.refresh_day_by_day(workspace)
        happenings.collect(workspace)
        happenings.bring_again(workspace, files)
        happenings.follow(workspace)
        happenings.ask(workspace)
        happenings.ask_of_the_past(workspace)
        happenings.tell(workspace)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(worth, "MOST_SIMULATED", 50)
            happenings.ask_rarely(workspace)
        happenings.tidy(workspace)
        happenings.forget(workspace)
    return found


def test_every_query_gives_the_same_rows_on_both_engines(noted: Noted) -> None:
    assert not noted.apart, "\n".join(noted.apart)
    assert len(noted.names) > 60


def test_no_query_is_left_out(noted: Noted) -> None:
    missing = []
    ran_by = {maker for sql, makers in noted.makers.items() if any(sql in ran for ran in noted.ran) for maker in makers}
    for module in modules():
        for name, value in constants(module):
            steps = value.steps if isinstance(value, Query) else (value,)
            if not all(any(step.sql in ran for ran in noted.ran) for step in steps):
                missing.append(f"{module.__name__}:{name}")
        made = {name for file, name in ran_by if file == module.__file__}
        missing += [f"{module.__name__}:{name}" for name in factories(module) if name not in made]
    excused = {*HERE_ONLY, "jingzhe.store.query:one"}
    left_out = sorted(set(missing) - excused)
    assert not left_out, f"Let tests/engines/happenings.py ask these on both engines: {left_out}"
    needless = sorted(set(HERE_ONLY) - set(missing))
    assert not needless, f"These run on both engines and need no excuse: {needless}"
