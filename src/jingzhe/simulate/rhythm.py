"""When people buy and look round: a renewal process in season time for every spell of activity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jingzhe.simulate.arrays import Bools, Floats, Ints, Stream, generator, starts_of
from jingzhe.simulate.business import Business
from jingzhe.simulate.people import BLOCK_PEOPLE, People, draw_relative
from jingzhe.simulate.season import DAY_SECONDS, Season, season_of
from jingzhe.simulate.sessions import events_per_browse, events_per_purchase

LAST_INTENSITY = 0.15
"""What is left of a declining person's rate on the eve of the lapse; the decline is linear."""

PILOT_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class Spells:
    """Stretches of activity, ordered by person and time; all arrays have shape (n,).

    Args:
        person: position of the person.
        begins: whether the spell begins with a purchase (an arrival or a return) or was under way before.
        start: when it begins, in season time.
        flat: how long the rate is constant, in season time.
        decline: how long it declines after that, up to the lapse, in season time; 0 if it does not.
        exposure: time at the constant rate that the spell is worth, cut at the end of the window.
        first_second: earliest moment, in seconds since the first day.
        last_second: latest moment.
    """

    person: Ints
    begins: Bools
    start: Floats
    flat: Floats
    decline: Floats
    exposure: Floats
    first_second: Ints
    last_second: Ints


@dataclass(frozen=True, eq=False)
class Visits:
    """Moments at which people come, ordered by person and time; all arrays have shape (n,).

    Args:
        person: position of the person.
        second: seconds since the first day.
        faded: how far the person's decline has gone, 0 (not begun) to 1 (the lapse).
    """

    person: Ints
    second: Ints
    faded: Floats

    def __len__(self) -> int:
        return len(self.person)


def spells_of(people: People, season: Season) -> Spells:
    """Returns the one or two spells of each of the ``people``: up to the lapse, and from the return on."""
    back = np.flatnonzero(np.isfinite(people.returned))
    person = np.concatenate([np.arange(len(people)), back])
    start = np.concatenate([people.arrival, people.returned[back]])
    lapse = np.concatenate([people.lapse, np.full(len(back), np.inf)])
    weeks = np.concatenate([people.decline_weeks, np.zeros(len(back), dtype=np.int64)])
    begins = np.concatenate([people.buys & ~people.established, np.ones(len(back), dtype=np.bool_)])
    order = np.argsort(person, kind="stable")
    person, start, lapse, weeks, begins = (a[order] for a in (person, start, lapse, weeks, begins))

    stop = np.minimum(lapse, season.end)
    turn = np.where(weeks > 0, np.maximum(lapse - 7 * weeks, start), stop)
    started, turned, stopped = season.to_season(start), season.to_season(turn), season.to_season(stop)
    decline = np.where(weeks > 0, season.to_season(lapse) - turned, 0.0)
    inside = np.maximum(stopped - turned, 0.0)
    slowing = np.divide((1 - LAST_INTENSITY) * inside**2, 2 * decline, out=np.zeros_like(inside), where=decline > 0)
    return Spells(
        person=person,
        begins=begins,
        start=started,
        flat=turned - started,
        decline=decline,
        exposure=turned - started + inside - slowing,
        first_second=(start * DAY_SECONDS).astype(np.int64),
        last_second=(stop * DAY_SECONDS).astype(np.int64) - 1,
    )


def visits_at(spells: Spells, season: Season, spell: Ints, worth: Floats) -> Visits:
    """Reads time at the constant rate as real time.

    Args:
        spells: the spells.
        season: the clocks.
        spell: shape (m,), position of the spell, ascending.
        worth: shape (m,), time at the constant rate since its start, ascending within a spell.
    """
    faded = np.zeros(len(spell))
    late = np.flatnonzero(worth > spells.flat[spell])
    length = spells.decline[spell[late]]
    late, length = late[length > 0], length[length > 0]
    # The rate falls linearly, so its integral is a parabola; this solves it for the time passed.
    lost = 1 - LAST_INTENSITY
    share = (worth[late] - spells.flat[spell[late]]) / length
    faded[late] = (1 - np.sqrt(np.maximum(1 - 2 * lost * share, 0.0))) / lost
    passed = worth.copy()
    passed[late] = spells.flat[spell[late]] + faded[late] * length
    real = season.to_real(spells.start[spell] + passed)
    second = np.clip((real * DAY_SECONDS).astype(np.int64), spells.first_second[spell], spells.last_second[spell])
    return Visits(person=spells.person[spell], second=second, faded=faded)


def purchases(people: People, spells: Spells, season: Season, rng: np.random.Generator) -> Visits:
    """Draws the visits on which people buy."""
    buying = np.flatnonzero(people.buys[spells.person])
    person = spells.person[buying]
    shape = people.regularity[person]
    length = spells.exposure[buying] * people.rate[person]
    # A spell under way is met at a random moment: in a gap that is length-biased, at a uniform place in it.
    met = rng.random(len(buying)) * rng.standard_gamma(shape + 1) / shape
    spell, gaps = renewals(length, shape, np.where(spells.begins[buying], 0.0, met), rng)
    return visits_at(spells, season, buying[spell], gaps / people.rate[person[spell]])


def browses(people: People, spells: Spells, season: Season, per_purchase: float, rng: np.random.Generator) -> Visits:
    """Draws the visits on which people only look: Poisson at ``per_purchase`` times the rate of purchases."""
    expected = spells.exposure * people.rate[spells.person] + spells.begins
    counts = rng.poisson(per_purchase * expected).astype(np.int64)
    spell = np.repeat(np.arange(len(counts)), counts)
    # Times of a Poisson process are sorted uniforms; adding the spell's number sorts them spell by spell.
    share = np.sort(spell + rng.random(len(spell))) - spell
    return visits_at(spells, season, spell, np.clip(share, 0.0, 1.0) * spells.exposure[spell])


def renewals(length: Floats, shape: Floats, first: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Draws renewal processes with gamma distributed gaps of mean 1.

    Args:
        length: shape (n,), how long each process is watched.
        shape: shape (n,), gamma shape of its gaps.
        first: shape (n,), time of its first renewal.
        rng: random numbers.

    Returns:
        The process and the time of every renewal before ``length``, ordered; both of shape (renewals,).
    """
    rows = np.flatnonzero(first < length)
    reached = first[rows]
    found_rows, found_times = [rows], [reached]
    while len(rows):
        left = length[rows] - reached
        # Enough for all but a few rows, which go round again.
        counts = np.ceil(left + 2 * np.sqrt(left / shape[rows])).astype(np.int64) + 1
        row = np.repeat(rows, counts)
        running = np.cumsum(rng.standard_gamma(shape[row]) / shape[row])
        starts = starts_of(counts)
        before = np.where(starts > 0, running[starts - 1], 0.0)
        times = running + np.repeat(reached - before, counts)
        inside = times < length[row]
        found_rows.append(row[inside])
        found_times.append(times[inside])
        last = times[starts + counts - 1]
        going = last < length[rows]
        rows, reached = rows[going], last[going]
    row = np.concatenate(found_rows)
    # Each round's times come after those of the rounds before, so a stable sort by row puts all in order.
    order = np.argsort(row, kind="stable")
    return row[order], np.concatenate(found_times)[order]


@lru_cache(maxsize=64)
def average_rate(business: Business) -> float:
    """Returns the average rate, in purchases per day, that gives the business its ``events_per_person``.

    The first blocks are drawn with a guess, which is corrected by what they give: the mean of a renewal
    process over a finite time has no closed form. What arrivals and returns bring does not depend on the
    rate.
    """
    rate = business.events_per_person / (events_per_purchase(business) * business.days)
    for _ in range(3):
        drawn, given = _pilot(business, rate)
        moved = max(business.events_per_person - given, 0.01) / max(drawn - given, 1e-9)
        rate *= min(max(moved, 0.05), 20.0)
    return rate


def _pilot(business: Business, rate: float) -> tuple[float, float]:
    """Returns the events per person that ``rate`` gives, and how many there would be with a rate of 0."""
    season = season_of(business)
    order, browse = events_per_purchase(business), business.browsing * events_per_browse()
    drawn = given = 0.0
    for block in range(PILOT_BLOCKS):
        people = draw_relative(business, block).scaled(rate)
        spells = spells_of(people, season)
        orders = purchases(people, spells, season, generator(business.seed, Stream.PURCHASES, block))
        begun = float(spells.begins.sum())
        looks = float((spells.exposure * people.rate[spells.person]).sum()) + begun
        drawn += len(orders) * order + looks * browse
        given += begun * (order + browse)
    count = PILOT_BLOCKS * BLOCK_PEOPLE
    return drawn / count, given / count
