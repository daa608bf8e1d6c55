"""Histories drawn from a known population, and sessions that hold histories."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jingzhe.store.engine.duck import DuckSession
from tests.dormancy.histories import items_of, person_days, session_of

Tables = tuple[pa.Table, pa.Table]
Opened = Callable[[Tables], AbstractContextManager[DuckSession]]

FIRST_DAY = date(2024, 1, 1)
PROSPECT = 999_999


def drawn(people: int, seed: int, days: int = 720) -> Tables:
    """Returns person-days of people with log-normal gaps of their own who lapse at a personal moment."""
    generator = np.random.default_rng(seed)
    person, day, spend = [], [], []
    for number in range(people):
        location, deviation = generator.normal(3.2, 0.6), 0.7 + generator.gamma(4, 0.08)
        now = generator.uniform(0, days * 0.6)
        ends = now + generator.exponential(350)
        worth = generator.gamma(4, 10)
        while now < min(days, ends):
            person.append(number + 1)
            day.append(int(now))
            spend.append(worth * generator.gamma(6, 1 / 6))
            now += max(1.0, float(generator.lognormal(location, deviation)))
    dates = np.datetime64(FIRST_DAY) + np.array(day).astype("timedelta64[D]")
    return person_days(np.array(person), dates, spend=np.array(spend)), items_of()


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens sessions over given tables."""
    return lambda tables: session_of(tables, tmp_path)


@pytest.fixture(scope="session")
def shop() -> Tables:
    """A shop of 700 buyers over two years, and somebody who only looks."""
    days, items = drawn(700, seed=7)
    looked = person_days(np.array([PROSPECT]), np.array(["2025-05-01"], dtype="datetime64[D]"), purchases=0, views=[3])
    return pa.concat_tables([days, looked]), items
