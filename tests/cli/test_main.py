"""The command line as a person uses it: a process of its own, its output and its exit code."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import jingzhe
from jingzhe.simulate import Business, orders_csv


def run(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    where = ["--home", str(home)] if home else []
    command = [sys.executable, "-c", "from jingzhe.cli.main import run; run()", *words, *where]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    orders_csv(Business(people=300, seed=3, events_per_person=100.0), folder / "orders.csv")
    done = run("run", str(folder / "orders.csv"), "--out", str(folder / "out"), home=folder / "home")
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "report.html").is_file()
    assert (folder / "out" / "wake-up-list.csv").is_file()
    assert "customer_id" in done.stdout
    assert "沉睡" in done.stdout
    return folder / "home"


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, jingzhe.__version__)


def test_customers_known_by_telephone_are_shown_to_those_who_ask(tmp_path: Path) -> None:
    days = "".join(f"13912345678,2025-{month:02}-01,50\n" for month in range(1, 9))
    recent = "13712345678,2026-03-01,9\n13712345678,2026-02-01,9\n"
    (tmp_path / "till.csv").write_text(f"手机号,下单时间,实付金额\n{days}{recent}", encoding="utf-8")
    home, listing = tmp_path / "home", tmp_path / "wake-up-list.csv"
    words = ("run", str(tmp_path / "till.csv"), "--out", str(tmp_path))
    hidden = run(*words, home=home)
    assert hidden.returncode == 0, hidden.stderr
    assert "keys of the kind phone" in " ".join(hidden.stdout.split())
    assert "以手机号或邮箱标识: 1;" in hidden.stdout
    assert "13912345678" not in hidden.stdout + listing.read_text("utf-8-sig")
    shown = run(*words, "--personal", home=home)
    assert "以手机号或邮箱标识" not in shown.stdout
    assert "13912345678" in listing.read_text("utf-8-sig")
    assert "hashed:" not in (tmp_path / "report.html").read_text("utf-8")
    told = run("dormant", "--state", "dormant", "--state", "lost", "--format", "json", home=home)
    key = json.loads(told.stdout)[0]["customer_id"]
    assert json.loads(run("person", key, "--personal", home=home).stdout)["customer_id"] == "13912345678"


def test_help_loads_no_engine_and_no_model() -> None:
    heavy = ("deltalake", "duckdb", "fastapi", "lightgbm", "matplotlib", "scipy", "sklearn", "sqlglot")
    code = f"import sys, jingzhe.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command() -> None:
    done = run("--help")
    for command in ("import", "run", "demo", "dormant", "report", "backtest", "quarantine", "compact"):
        assert command in done.stdout


def test_the_list_as_csv_json_and_parquet_is_the_same(home: Path, tmp_path: Path) -> None:
    as_csv = run("dormant", "--top", "10", "--format", "csv", home=home)
    as_json = run("dormant", "--top", "10", "--format", "json", home=home)
    to_file = run("dormant", "--top", "10", "--out", str(tmp_path / "list.parquet"), home=home)
    assert to_file.returncode == 0, to_file.stderr
    from_csv = [row["customer_id"] for row in csv.DictReader(as_csv.stdout.splitlines())]
    from_json = [row["customer_id"] for row in json.loads(as_json.stdout)]
    from_parquet = pq.read_table(tmp_path / "list.parquet")["customer_id"].to_pylist()
    assert 0 < len(from_csv) <= 10
    assert from_csv == from_json == from_parquet


def test_backtest_as_json(home: Path) -> None:
    done = run("backtest", "--cut", "2025-08-31", "--horizon", "60", "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["horizon_days"] == 60


@pytest.mark.parametrize("command", ["states", "rfm", "info", "imports", "presets", "quarantine", "update", "refresh"])
def test_commands_answer(home: Path, command: str) -> None:
    done = run(command, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dormant", "--as-of", "March"), "2026-03-05"),
        (("dormant", "--format", "xml"), "csv, json, parquet"),
        (("backtest", "--cut", "2019-01-01"), "on or before the cut"),
        (("import", "no-such-file.csv"), "no-such-file.csv"),
        (("import", "--map", "customer_id"), "nothing to import"),
        (("sql", "SELECT * FROM nowhere"), "nowhere"),
    ],
)
def test_errors_say_what_to_do_and_end_with_one(home: Path, words: tuple[str, ...], said: str) -> None:
    done = run(*words, home=home)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_wrong_options_end_with_two() -> None:
    assert run("dormant", "--nope").returncode == 2


def test_an_empty_project_says_what_to_do(tmp_path: Path) -> None:
    done = run("dormant", home=tmp_path / "new")
    assert done.returncode == 1
    assert "jingzhe import" in done.stderr


def test_the_demo_on_a_simulated_business(tmp_path: Path) -> None:
    done = run("demo", "--simulated", "500", home=tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").is_file()
    assert "1." in done.stdout
    assert "5." in done.stdout


def test_a_list_of_members_brings_their_keys(tmp_path: Path) -> None:
    path, home = tmp_path / "members.csv", tmp_path / "home"
    path.write_text("会员编号,手机,个人邮件\nM1,13912345678,li@example.cn\nM2,13800138000,han@example.cn\n", "utf-8")
    done = run("import", str(path), "--key", "email=个人邮件", home=home)
    assert done.returncode == 0, done.stderr
    assert "keys: 2 email, 1 phone; 0 people were joined with others by them" in done.stdout
    assert "1 phone that cannot be used" in done.stdout
    assert not {"13912345678", "li@example.cn"} & set(done.stdout.replace(",", " ").replace(";", " ").split())
    wrong = run("import", str(path), "--key", "email", home=home)
    assert (wrong.returncode, "Write it as phone=手机号" in wrong.stderr) == (1, True)
