"""Who the people are: rhythm, life, tastes and answers, as arrays with one entry per person."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from jingzhe.simulate.arrays import Bools, Floats, Ints, Stream, generator, quantiles
from jingzhe.simulate.business import Business
from jingzhe.simulate.catalogue import RESOLUTION, catalogue_of
from jingzhe.simulate.season import Season, season_of

BLOCK_PEOPLE = 2048
"""People who are drawn together. It is part of the data: changing it draws another business."""

BASE_RETURN = np.array([0.06, 0.45, 0.02, 0.25])
TREATED_RETURN = np.array([0.35, 0.45, 0.02, 0.08])
"""Chance that a lapsed person returns in 90 days, left alone and contacted, per entry of ``RESPONSES``."""

MOST_PER_DAY = 1.5
"""Nobody buys more often than this on average; the gamma distribution alone would allow it."""


@dataclass(frozen=True, eq=False)
class People:
    """People, in ascending order of id. All arrays have shape (n,); times are real days since the first day.

    Args:
        ids: ``person_id``.
        rate: purchases per day of season time while active; for prospects the rate that their visits follow.
        buys: false for prospects, who only look.
        regularity: gamma shape of the gaps between purchases.
        established: was a customer before the window.
        arrival: when the person came; 0 for the established.
        lapse: first day on which the person is gone, a whole number; infinite if that is out of sight.
        decline_weeks: length of the decline before the lapse, 0 if there is none.
        returned: when the person came back of their own accord; infinite if not within the window.
        category: index of the preferred category.
        sensitivity: price sensitivity, 0 to 1: how the person waits for discounts.
        basket: chance that another line follows in an order.
        source: index of the preferred source.
        response: index of the answer to a contact.
        base: chance of returning within 90 days if left alone, once lapsed for ``silence_days``.
        treated: the same if contacted.
    """

    ids: Ints
    rate: Floats
    buys: Bools
    regularity: Floats
    established: Bools
    arrival: Floats
    lapse: Floats
    decline_weeks: Ints
    returned: Floats
    category: Ints
    sensitivity: Floats
    basket: Floats
    source: Ints
    response: Ints
    base: Floats
    treated: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Ints | slice) -> People:
        """Returns the people at ``positions``."""
        return People(**{field.name: getattr(self, field.name)[positions] for field in fields(self)})

    def scaled(self, rate: float) -> People:
        """Returns the people with their rates multiplied by ``rate`` purchases per day."""
        return replace(self, rate=np.minimum(self.rate * rate, MOST_PER_DAY))


def concat(parts: list[People]) -> People:
    """Returns the people of all ``parts``, in that order."""
    return People(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(People)}
    )


def draw_relative(business: Business, block: int) -> People:
    """Draws the people of ``block`` (0, 1, …), always a whole one, with rates relative to an average of 1."""
    rng = generator(business.seed, Stream.PEOPLE, block)
    n = BLOCK_PEOPLE
    season = season_of(business)
    buys = rng.random(n) >= business.prospects
    established = rng.random(n) < business.established
    in_season = rng.random(n) * season.to_season(np.array([season.end]))
    arrival = np.where(established, 0.0, season.to_real(in_season))
    shape = business.regularity_median * np.exp(business.regularity_sigma * rng.standard_normal(n))
    response = quantiles(business.response_shares)[rng.integers(0, 256, n)]
    spread = rng.uniform(0.7, 1.3, n)
    base, treated = BASE_RETURN[response] * spread, TREATED_RETURN[response] * spread
    lapse, decline_weeks = _lapses(business, season, rng, arrival, buys)
    return People(
        ids=np.arange(n) + (block * n + 1),
        rate=rng.standard_gamma(business.rate_shape, n) / business.rate_shape,
        buys=buys,
        regularity=np.clip(shape, 0.6, 30.0),
        established=established,
        arrival=arrival,
        lapse=lapse,
        decline_weeks=decline_weeks,
        returned=_returns(business, season, rng, lapse, base),
        category=catalogue_of(business).popular[rng.integers(0, RESOLUTION, n)],
        sensitivity=rng.beta(1.5, 2.5, n),
        basket=rng.beta(4.0, 5.2, n),
        source=quantiles(business.source_shares)[rng.integers(0, 256, n)],
        response=response,
        base=base,
        treated=treated,
    )


def _lapses(
    business: Business, season: Season, rng: np.random.Generator, arrival: Floats, buys: Bools
) -> tuple[Floats, Ints]:
    """Draws when people lapse and how long they decline before; prospects do neither."""
    n = len(arrival)
    # The median of the Lomax distribution that a gamma mixture of exponentials is.
    scale = business.median_life_days / (2 ** (1 / business.life_shape) - 1)
    hazard = rng.standard_gamma(business.life_shape, n) / scale
    life = rng.standard_exponential(n) / np.maximum(hazard, 1e-12)
    lapse = np.where(buys, np.ceil(arrival + np.maximum(life, 1.0)), np.inf)
    low, high = business.decline_weeks
    weeks = rng.integers(low, high + 1, n)
    # Too short a life has no room for a decline, and one that begins after the window is never seen.
    room = (7 * weeks < 0.8 * life) & (lapse - 7 * weeks < season.end)
    weeks = np.where((rng.random(n) < business.declining) & room & buys, weeks, 0)
    seen = (lapse < season.end) | (weeks > 0)
    return np.where(seen, lapse, np.inf), weeks


def _returns(business: Business, season: Season, rng: np.random.Generator, lapse: Floats, base: Floats) -> Floats:
    """Draws spontaneous returns: a constant hazard, which gives ``base`` in 90 days, after the silence."""
    n = len(lapse)
    hazard = -np.log1p(-base) / 90
    day = np.floor(lapse + business.silence_days + rng.standard_exponential(n) / hazard)
    moment = day + season.within_day(rng.random(n))
    return np.where(day < season.end, moment, np.inf)
