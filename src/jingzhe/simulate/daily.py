"""One more day of a business that goes on after its window, for whoever has to refresh incrementally."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from jingzhe.core.errors import SettingError
from jingzhe.simulate.arrays import Bools, Floats, Ints, Stream, generator
from jingzhe.simulate.baskets import draw_lines, draw_refunds
from jingzhe.simulate.business import Business
from jingzhe.simulate.catalogue import catalogue_of
from jingzhe.simulate.drawing import Chunk, draw_people, order_numbers, visits_in_order
from jingzhe.simulate.people import BLOCK_PEOPLE, People, concat
from jingzhe.simulate.rhythm import Visits
from jingzhe.simulate.season import DAY_SECONDS, season_of
from jingzhe.simulate.sessions import events_per_browse, events_per_purchase, expand
from jingzhe.simulate.tables import EVENT_BITS, HISTORY_EVENTS, Block, Labels, facts
from jingzhe.simulate.truth import truth_table

EVENTS_PER_DAY = 256
"""How many numbers a person's events of one added day have."""

DAYS = ((1 << EVENT_BITS) - HISTORY_EVENTS) // EVENTS_PER_DAY
"""How many days can be added: almost ten years."""

LAPSED_SHARE = 0.02
"""How active a lapsed person is, against what the person was: a few come back."""


def append_day(
    business: Business, on: date, *, events: int, seed: int = 0, new_people: int = 10, batch: int = 2
) -> Chunk:
    """Draws one day after the window: visits of people as active as they are, and of a few new ones.

    Nobody brings anything back on that day. Each day may be added once.

    Args:
        business: the business that ``draw`` drew.
        on: the day, ``business.end`` or later.
        events: how many events, met within a few percent.
        seed: another seed gives another day.
        new_people: how many people appear for the first time; they buy. Days in a row give them consecutive
            ids, beginning after ``business.people``, if this number stays the same.
        batch: what to write in the column ``batch``.

    Returns:
        Events and items of the day, and the truth about the new people.

    Raises:
        SettingError: the day is within the window or too far after it, or there are fewer events than new
            people, or so many that a person would have more than 256.
    """
    number = _day_number(business, on, events, new_people)
    rng = generator(business.seed, Stream.DAILY, seed * 4096 + number)
    new = _newcomers(business, number, new_people)
    average = (events_per_purchase(business) + business.browsing * events_per_browse()) / (1 + business.browsing)
    wanted = round((events - new_people * events_per_purchase(business)) / average)
    people, old = _visitors(business, wanted, rng)
    people = concat([people, new])
    person = np.concatenate([old, np.arange(len(people) - new_people, len(people))])
    buys = people.buys[person] & (rng.random(len(person)) < 1 / (1 + business.browsing))
    buys[len(old) :] = True

    season, catalogue = season_of(business), catalogue_of(business)
    day = (on - business.start).days
    second = ((day + season.within_day(rng.random(len(person)))) * DAY_SECONDS).astype(np.int64)
    orders, looks = _visits(person, second, buys), _visits(person, second, ~buys)
    lines = draw_lines(people, orders, catalogue, rng)
    refunds = draw_refunds(lines, orders, season, 0.0, rng)
    sessions = visits_in_order(people, orders, refunds, looks, business=business, rng=rng)
    drawn = Block(people, orders, order_numbers(orders), lines, refunds, sessions, expand(sessions, rng))
    first_event = HISTORY_EVENTS + number * EVENTS_PER_DAY
    rows, items = facts(drawn, business, catalogue, Labels(batch, first_event, EVENTS_PER_DAY, f"-{on:%y%m%d}-"))
    return Chunk(rows, items, truth_table(new, business, catalogue))


def _day_number(business: Business, on: date, events: int, new_people: int) -> int:
    """Returns how many days after the window ``on`` is, if such a day can be drawn."""
    number = (on - business.end).days
    if not 0 <= number < DAYS:
        raise SettingError(f"a day can be added after the window, up to {DAYS} days", field="on", value=on)
    if not 0 <= new_people <= BLOCK_PEOPLE:
        raise SettingError("too many new people on one day", field="new_people", value=new_people)
    if events < max(1, new_people * 10):
        raise SettingError("a day needs ten events or more per new person", field="events", value=events)
    return number


def _visits(person: Ints, second: Ints, chosen: Bools) -> Visits:
    person, second = person[chosen], second[chosen]
    order = np.lexsort((second, person))
    return Visits(person[order], second[order], np.zeros(len(order)))


def _newcomers(business: Business, number: int, count: int) -> People:
    """Draws the people who appear on the day ``number`` after the window.

    They are taken from blocks that no population reaches, so that they are like the others.
    """
    block = (1 << 31) // BLOCK_PEOPLE + number
    people = draw_people(business, block).take(slice(0, count))
    return replace(
        people,
        ids=business.people + 1 + number * count + np.arange(count),
        buys=np.ones(count, dtype=np.bool_),
        established=np.zeros(count, dtype=np.bool_),
        arrival=np.full(count, float(business.days + number)),
        lapse=np.full(count, np.inf),
        decline_weeks=np.zeros(count, dtype=np.int64),
        returned=np.full(count, np.inf),
    )


def _visitors(business: Business, visits: int, rng: np.random.Generator) -> tuple[People, Ints]:
    """Draws who comes on ``visits`` occasions.

    Returns:
        Those people, and for each occasion, in ascending order, the position of the one who comes.
    """
    blocks = range(-(-business.people // BLOCK_PEOPLE))
    weights = np.concatenate([_activity(draw_people(business, block), business) for block in blocks])
    cumulated = np.cumsum(weights[: business.people])
    chosen = np.searchsorted(cumulated, rng.random(visits) * cumulated[-1], side="right")
    chosen = np.sort(np.minimum(chosen, business.people - 1))
    distinct, position = np.unique(chosen, return_inverse=True)
    # The people are drawn again rather than kept: all of them at once would not fit a bounded memory.
    bounds = np.searchsorted(distinct, np.arange(len(blocks) + 1) * BLOCK_PEOPLE)
    parts = [
        draw_people(business, block).take(distinct[low:high] - block * BLOCK_PEOPLE)
        for block, low, high in zip(blocks, bounds[:-1], bounds[1:], strict=True)
        if high > low
    ]
    if not parts:
        parts = [draw_people(business, 0).take(slice(0, 0))]
    return concat(parts), position.astype(np.int64)


def _activity(people: People, business: Business) -> Floats:
    """Returns how likely each of the ``people`` is to come on a day after the window."""
    lapsed = (people.lapse < business.days) & ~np.isfinite(people.returned)
    return people.rate * np.where(lapsed, LAPSED_SHARE, 1.0)
