from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import postgres_server, postgres_url
from tests.worker.killing import kill_servers
from tests.worker.killing_commands import kill_commands

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow


# Two hundred and ten kills: most of processes that start at once, the others of the command as people start it.


@pytest.mark.parametrize("seed", range(3))
def test_on_sqlite(tmp_path: Path, seed: int) -> None:
    kill_servers(tmp_path / "home", "", times=45, seed=300 + seed)


def test_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_servers(tmp_path / "home", postgres_url, times=35, seed=400)


@pytest.mark.parametrize("seed", range(2))
def test_the_command_on_sqlite(tmp_path: Path, seed: int) -> None:
    kill_commands(tmp_path / "home", "", times=12, seed=500 + seed)


def test_the_command_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    kill_commands(tmp_path / "home", postgres_url, times=16, seed=600)
