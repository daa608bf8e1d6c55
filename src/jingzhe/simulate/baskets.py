"""What people buy, what they pay, and what they bring back; all money is in whole cents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jingzhe.simulate.arrays import Bools, Ints, quantiles, starts_of
from jingzhe.simulate.catalogue import PER_DEPARTMENT, RESOLUTION, Catalogue
from jingzhe.simulate.people import People
from jingzhe.simulate.rhythm import Visits
from jingzhe.simulate.season import DAY_SECONDS, Season

MOST_LINES = 5
FADED_BASKET = 0.8
"""Share of its chance of another line that a basket has lost on the eve of a lapse."""

QUANTITIES = quantiles([0, 0.8, 0.14, 0.06])
DEPTHS_PERCENT = np.array([5, 10, 15, 20, 30])[quantiles([0.2, 0.35, 0.2, 0.17, 0.08])]
OWN_CATEGORY, OWN_DEPARTMENT = 0.55, 0.75
"""A line is of the preferred category, else (up to the second number) of its department, else of any."""

REFUND_DAYS = (1, 22)


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of orders, in the orders' order; all arrays have shape (n,).

    Args:
        order: position of the order.
        product: index of the product; no order has the same one twice.
        quantity: units, 1 or more.
        price_cents: list price of a unit.
        discount_cents: discount on the line, 0 or more.
        starts: shape (orders,), position of each order's first line.
    """

    order: Ints
    product: Ints
    quantity: Ints
    price_cents: Ints
    discount_cents: Ints
    starts: Ints

    @property
    def amount_cents(self) -> Ints:
        """What was paid for each line."""
        return self.quantity * self.price_cents - self.discount_cents


@dataclass(frozen=True, eq=False)
class Refunds:
    """What is brought back, ordered by order.

    Args:
        order: shape (n,), position of the order.
        second: shape (n,), when, in seconds since the first day.
        lines: shape (m,), positions of the lines brought back, refund by refund.
        refund: shape (m,), position of the refund of each of those.
    """

    order: Ints
    second: Ints
    lines: Ints
    refund: Ints


def draw_lines(people: People, orders: Visits, catalogue: Catalogue, rng: np.random.Generator) -> Lines:
    """Draws what is in each of the ``orders``."""
    more = people.basket[orders.person] * (1 - FADED_BASKET * orders.faded)
    # A geometric number of further lines by inversion.
    further = np.floor(np.log(1 - rng.random(len(orders))) / np.log(np.maximum(more, 1e-9)))
    counts = 1 + np.minimum(further, MOST_LINES - 1).astype(np.int64)
    order = np.repeat(np.arange(len(orders)), counts)
    product = _products(people.category[orders.person[order]], catalogue, rng)
    kept = ~_repeated(order, product)
    order, product = order[kept], product[kept]

    n = len(order)
    person = orders.person[order]
    quantity = QUANTITIES[rng.integers(0, 256, n, dtype=np.uint8)]
    quantity = np.where(rng.random(n) < orders.faded[order], 1, quantity)
    price = catalogue.price_cents[product]
    depth = DEPTHS_PERCENT[rng.integers(0, 256, n, dtype=np.uint8)]
    reduced = rng.random(n) < 0.08 + 0.5 * people.sensitivity[person]
    return Lines(
        order=order,
        product=product,
        quantity=quantity,
        price_cents=price,
        discount_cents=np.where(reduced, (quantity * price * depth) // 100, 0),
        starts=starts_of(np.bincount(order, minlength=len(orders))),
    )


def draw_refunds(lines: Lines, orders: Visits, season: Season, share: float, rng: np.random.Generator) -> Refunds:
    """Draws which orders come back, wholly or with their first line only, one to three weeks later."""
    day = orders.second // DAY_SECONDS + rng.integers(*REFUND_DAYS, len(orders))
    order = np.flatnonzero((rng.random(len(orders)) < share) & (day < season.end))
    moment = day[order] + season.within_day(rng.random(len(order)))
    whole = rng.random(len(order)) < 0.6
    counts = np.diff(np.append(lines.starts, len(lines.order)))[order]
    counts = np.where(whole, counts, 1)
    refund = np.repeat(np.arange(len(order)), counts)
    offset = np.arange(len(refund)) - starts_of(counts)[refund]
    return Refunds(
        order=order,
        second=(moment * DAY_SECONDS).astype(np.int64),
        lines=lines.starts[order][refund] + offset,
        refund=refund,
    )


def order_sums(values: Ints, starts: Ints) -> Ints:
    """Returns the sums of ``values`` (lines,) over runs that begin at ``starts`` (orders,); none is empty."""
    if not len(starts):
        return np.zeros(0, dtype=np.int64)
    sums: Ints = np.add.reduceat(values, starts)
    return sums


def _products(preferred: Ints, catalogue: Catalogue, rng: np.random.Generator) -> Ints:
    """Draws a product for each line, given the preferred category of its buyer."""
    n = len(preferred)
    where = rng.random(n)
    sibling = preferred // PER_DEPARTMENT * PER_DEPARTMENT + rng.integers(0, PER_DEPARTMENT, n)
    popular = catalogue.popular[rng.integers(0, RESOLUTION, n, dtype=np.uint16)]
    category = np.select([where < OWN_CATEGORY, where < OWN_DEPARTMENT], [preferred, sibling], popular)
    return category * catalogue.per_category + catalogue.ranks[rng.integers(0, RESOLUTION, n, dtype=np.uint16)]


def _repeated(order: Ints, product: Ints) -> Bools:
    """Tells which lines have a product that an earlier line of their order has: (order, product) is a key."""
    repeated = np.zeros(len(order), dtype=np.bool_)
    for back in range(1, MOST_LINES):
        repeated[back:] |= (order[back:] == order[:-back]) & (product[back:] == product[:-back])
    return repeated
