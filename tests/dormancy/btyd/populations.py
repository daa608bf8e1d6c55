"""Simulated people whose past and future follow the models' stories, event by event, to check formulas against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jingzhe.dormancy.btyd import BgNbd, MbgNbd, ParetoNbd
from jingzhe.dormancy.btyd.history import FloatArray


@dataclass(frozen=True)
class Population:
    """Histories up to ``age`` and what followed within the horizon, shape (n,) each; time in days."""

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    alive: FloatArray
    later: FloatArray
    first_delays: list[FloatArray]

    @property
    def history(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.frequency, self.recency, self.age


def live(model: BgNbd | MbgNbd | ParetoNbd, age: FloatArray, horizon: float, seed: int) -> Population:
    """Let people live from their first purchase until ``age + horizon``; the model must count time in days.

    Args:
        model: its parameters.
        age: age of each person at the moment of observation.
        horizon: how long they are watched after it.
        seed: of the generator.
    """
    assert model.time_unit_days == 1.0
    generator = np.random.default_rng(seed)
    n = age.size
    rate = generator.gamma(model.r, 1 / model.alpha, n)
    end, lapses = _story(model, n, generator)
    clock, frequency, recency, later = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    if isinstance(model, MbgNbd):
        end = np.where(lapses(np.arange(n)), 0.0, end)
    active = np.flatnonzero(end > 0)
    delays: list[FloatArray] = [np.zeros(0)]
    while active.size:
        clock[active] += generator.exponential(1.0, active.size) / rate[active]
        active = active[clock[active] < np.minimum(end, age + horizon)[active]]
        past = active[clock[active] <= age[active]]
        frequency[past] += 1
        recency[past] = clock[past]
        future = active[clock[active] > age[active]]
        later[future] += 1
        delays.append(clock[future] - age[future])
        lapsed = active[lapses(active)]
        end[lapsed] = clock[lapsed]
        active = active[end[active] > clock[active]]
    return Population(frequency, recency, age, (end > age).astype(np.float64), later, delays)


def _story(
    model: BgNbd | MbgNbd | ParetoNbd, n: int, generator: np.random.Generator
) -> tuple[FloatArray, Callable[[np.ndarray], np.ndarray]]:
    """When people lapse by themselves, and who lapses at a purchase."""
    if isinstance(model, ParetoNbd):
        end = generator.exponential(1.0, n) / generator.gamma(model.s, 1 / model.beta, n)
        return end, lambda who: np.zeros(who.size, dtype=bool)
    lapse = generator.beta(model.a, model.b, n)
    return np.full(n, np.inf), lambda who: generator.random(who.size) < lapse[who]
