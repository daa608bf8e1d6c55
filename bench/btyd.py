"""Speed of the purchase models against lifetimes, both measured in this process.

Run all with ``python bench/btyd.py``, or call one; each prints one line of JSON and returns what it printed.
A ratio says how many times faster ours is; times are medians of the repetitions given.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from jingzhe.dormancy.btyd import BgNbd, ParetoNbd, Summary, summarise
from jingzhe.dormancy.btyd.history import FloatArray, IntArray


def seconds(task: Callable[[], object], repetitions: int = 1) -> float:
    """Median wall-clock time of a task."""
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        task()
        times.append(time.perf_counter() - started)
    return median(times)


def reported(bench: str, ours: float, peer: float, target: float, **more: object) -> dict[str, Any]:
    line = {
        "bench": bench,
        "ours_s": round(ours, 4),
        "peer_s": round(peer, 3),
        "ratio": round(peer / ours, 1),
        "target": target,
        **more,
    }
    print(json.dumps(line))
    return line


def summary(n_purchases: int = 10_000_000, n_people: int = 1_000_000, repetitions: int = 5) -> dict[str, Any]:
    """Raw purchases → recency, frequency, age, monetary; the same numbers are required of both."""
    pandas: Any = importlib.import_module("pandas")
    lifetimes: Any = importlib.import_module("lifetimes.utils")
    generator = np.random.default_rng(1)
    person = generator.integers(0, n_people, n_purchases)
    day = generator.integers(0, 730, n_purchases).astype(np.int32)
    amount = np.round(generator.gamma(2.0, 20.0, n_purchases), 2)
    frame = pandas.DataFrame(
        {
            "person": person,
            "date": np.datetime64("2023-01-01") + day.astype("timedelta64[D]"),
            "amount": amount,
        }
    )
    last = np.datetime64("2023-01-01") + np.timedelta64(729, "D")
    ours = seconds(lambda: summarise(person, day, 729, amount), repetitions)
    kept: list[Any] = []
    peer = seconds(
        lambda: kept.append(
            lifetimes.summary_data_from_transaction_data(
                frame, "person", "date", monetary_value_col="amount", observation_period_end=last
            )
        )
    )
    mine, theirs = summarise(person, day, 729, amount), kept[0].sort_index()
    for column, values in (
        ("frequency", mine.frequency),
        ("recency", mine.recency_days),
        ("T", mine.age_days),
    ):
        assert np.array_equal(values, theirs[column].to_numpy()), column
    assert mine.monetary is not None
    assert np.allclose(mine.monetary, theirs["monetary_value"].to_numpy())
    return reported("btyd.summary", ours, peer, 15, purchases=n_purchases, people=len(mine))


def simulated_people(n_people: int, seed: int = 2) -> Summary:
    """Histories of a BG/NBD population by day, first purchases spread over 77 weeks, not compressed."""
    generator = np.random.default_rng(seed)
    age = generator.integers(7, 78 * 7 + 1, n_people)
    rate = generator.gamma(0.25, 1 / 4.4, n_people) / 7.0
    lapse = generator.beta(0.8, 2.4, n_people)
    frequency, recency = np.zeros(n_people, dtype=np.int64), np.zeros(n_people, dtype=np.int64)
    clock, active = np.zeros(n_people), np.arange(n_people)
    while active.size:
        clock[active] += generator.exponential(1.0 / np.maximum(rate[active], 1e-300))
        active = active[clock[active] <= age[active]]
        bought = np.floor(clock[active]).astype(np.int64)
        another_day = bought > recency[active]
        frequency[active] += another_day
        recency[active] = np.maximum(recency[active], bought)
        active = active[generator.random(active.size) >= lapse[active]]
    return Summary.of(frequency, recency, age)


def bgnbd_fit(n_people: int = 1_000_000, repetitions: int = 5) -> dict[str, Any]:
    """BG/NBD fit; ours includes the merging of equal histories."""
    lifetimes: Any = importlib.import_module("lifetimes")
    people = simulated_people(n_people)
    fits: list[BgNbd] = []
    ours = seconds(lambda: fits.append(BgNbd.fit_to(people)), repetitions)
    fitter = lifetimes.BetaGeoFitter()
    weeks = people.recency_days / 7.0, people.age_days / 7.0
    peer = seconds(lambda: fitter.fit(people.frequency, *weeks))
    mine = fits[0].log_likelihood
    assert mine is not None
    # lifetimes' unit of time is the largest age; the density of each repeat purchase changes by that factor
    theirs = -fitter._negative_log_likelihood_ * n_people + np.log(1.0 / weeks[1].max()) * people.frequency.sum()
    assert abs(mine / theirs - 1.0) < 1e-6, (mine, theirs)
    rows = len(people.compress())
    return reported(
        "btyd.bgnbd_fit",
        ours,
        peer,
        20,
        people=n_people,
        rows=rows,
        log_likelihood=mine,
        peer_log_likelihood=theirs,
    )


def cdnow_purchases() -> tuple[IntArray, IntArray, FloatArray]:
    """Person, day number and amount of the full CDNOW file, which ships with lifetimes."""
    module: Any = importlib.import_module("lifetimes.datasets")
    lines = (Path(module.__file__).parent / "CDNOW_master.txt").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines[1:] if line.strip()]
    day = [dt.date.fromisoformat(date).toordinal() for _, date, _, _ in fields]
    return (
        np.array([int(person) for person, *_ in fields]),
        np.array(day),
        np.array([float(amount) for *_, amount in fields]),
    )


def paretonbd_fit(repetitions: int = 5) -> dict[str, Any]:
    """Pareto/NBD fit of full CDNOW, 23,570 people, calibration to 1997-09-30."""
    lifetimes: Any = importlib.import_module("lifetimes")
    people = summarise(*cdnow_purchases()[:2], dt.date(1997, 9, 30).toordinal())
    fits: list[ParetoNbd] = []
    ours = seconds(lambda: fits.append(ParetoNbd.fit_to(people)), repetitions)
    fitter = lifetimes.ParetoNBDFitter()
    weeks = people.recency_days / 7.0, people.age_days / 7.0
    peer = seconds(lambda: fitter.fit(people.frequency, *weeks))
    mine = fits[0].log_likelihood
    assert mine is not None
    theirs = -fitter._negative_log_likelihood_ + np.log(1.0 / weeks[1].max()) * people.frequency.sum()
    assert mine > theirs - 1e-6 * abs(theirs), (mine, theirs)
    return reported(
        "btyd.paretonbd_fit",
        ours,
        peer,
        10,
        people=len(people),
        log_likelihood=mine,
        peer_log_likelihood=theirs,
    )


def main() -> None:
    warnings.simplefilter("ignore")  # lifetimes is archived; pandas warns about it
    summary()
    bgnbd_fit()
    paretonbd_fit()


if __name__ == "__main__":
    main()
