"""The CDNOW purchases which ship with the PyPI package lifetimes, read with the standard library."""

from __future__ import annotations

import datetime as dt
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jingzhe.dormancy.btyd import Summary, summarise
from jingzhe.dormancy.btyd.history import FloatArray, IntArray

CALIBRATION_END = dt.date(1997, 9, 30)


@dataclass(frozen=True)
class Purchases:
    """Person, day number and amount of each purchase, shape (n,) each."""

    person_id: IntArray
    day: IntArray
    amount: FloatArray

    def summary(self, as_of: dt.date = CALIBRATION_END) -> Summary:
        return summarise(self.person_id, self.day, as_of.toordinal(), self.amount)

    def purchase_days_after(self, as_of: dt.date, horizon_days: int) -> FloatArray:
        """Distinct purchase days in the horizon, for each row of the summary as of that day."""
        known = self.summary(as_of).person_id
        assert known is not None
        ahead = self.day - as_of.toordinal()
        within = (ahead > 0) & (ahead <= horizon_days) & np.isin(self.person_id, known)
        days = np.unique(np.column_stack((self.person_id[within], ahead[within])), axis=0)
        return np.bincount(np.searchsorted(known, days[:, 0]), minlength=known.size).astype(np.float64)


@cache
def sample() -> Purchases:
    """The 1/10 sample of 2,357 customers; columns: master id, id, date, CDs, dollars."""
    return _read("CDNOW_sample.txt", 1, 2, 4)


@cache
def full() -> Purchases:
    """All 23,570 customers; columns: id, date, CDs, dollars."""
    return _read("CDNOW_master.txt", 0, 1, 3)


def _read(name: str, person: int, date: int, amount: int) -> Purchases:
    package = importlib.util.find_spec("lifetimes")
    if package is None or package.origin is None:
        pytest.skip("the package lifetimes, which contains the CDNOW data, is not installed")
    text = (Path(package.origin).parent / "datasets" / name).read_text(encoding="ascii")
    rows = [line.split() for line in text.splitlines()]
    rows = [row for row in rows if len(row) > amount and row[0].isdigit()]
    return Purchases(
        np.array([int(row[person]) for row in rows]),
        np.array([dt.date.fromisoformat(row[date]).toordinal() for row in rows]),
        np.array([float(row[amount]) for row in rows]),
    )


def auc(score: FloatArray, returned: FloatArray) -> float:
    """Probability that somebody who returned scores higher than somebody who did not; ties count half."""
    _, index, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[index]
    yes = returned > 0
    n_yes = int(yes.sum())
    return float((rank[yes].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * (yes.size - n_yes)))
