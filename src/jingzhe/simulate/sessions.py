"""What people do on a visit: scripts of events, and their expansion into single events in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from jingzhe.simulate.arrays import Bytes, Floats, Ints, quantiles, starts_of, within_runs
from jingzhe.simulate.business import SOURCES, Business
from jingzhe.simulate.season import DAY_SECONDS

STORE = SOURCES.index("store")
APP = SOURCES.index("app")
LOYALTY = 0.8
"""Share of visits that go to the preferred source whatever the others' shares are."""


class Kind(IntEnum):
    """Kinds of visit."""

    ORDER = 0
    TILL = 1
    BROWSE = 2
    REFUND = 3


SCRIPT: tuple[tuple[str, str, tuple[tuple[float, ...], ...]], ...] = (
    ("session_started", "visit", ((0, 1), (1,), (0, 1), (1,))),
    ("logged_in", "login", ((0.85, 0.15), (1,), (0.9, 0.1), (1,))),
    ("page_viewed", "view", ((0.75, 0.25), (1,), (0.74, 0.22, 0.04), (1,))),
    ("product_searched", "search", ((0.78, 0.19, 0.03), (1,), (0.74, 0.22, 0.04), (1,))),
    ("product_viewed", "view", ((0.35, 0.4, 0.2, 0.05), (1,), (0.28, 0.42, 0.22, 0.08), (1,))),
    ("favourite_added", "favourite", ((0.95, 0.05), (1,), (0.9, 0.1), (1,))),
    ("cart_added", "cart", ((0.43, 0.54, 0.03), (1,), (0.86, 0.13, 0.01), (1,))),
    ("review_posted", "interaction", ((0.97, 0.03), (0.9, 0.1), (0.96, 0.04), (1,))),
    ("support_contacted", "service", ((1,), (1,), (0.97, 0.03), (0.7, 0.3))),
    ("order_completed", "purchase", ((0, 1), (0, 1), (1,), (1,))),
    ("order_refunded", "refund", ((1,), (1,), (1,), (0, 1))),
)
"""Name, activity, and for each kind of visit the chances of 0, 1, 2 … such events; in order."""

NAMES = tuple(name for name, _, _ in SCRIPT)
ACTIVITIES = tuple(activity for _, activity, _ in SCRIPT)
PURCHASE, REFUND = NAMES.index("order_completed"), NAMES.index("order_refunded")

COUNTS: Bytes = np.array([[quantiles(chances[kind]) for _, _, chances in SCRIPT] for kind in Kind], dtype=np.uint8)
"""Shape (kinds, steps, 256): how many events a random byte stands for."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """Visits, of shape (n,) each.

    Args:
        person: position of the person.
        second: the last event's moment, in seconds since the first day.
        kind: ``Kind``.
        source: index of the source.
        deal: position of the order (for ``ORDER`` and ``TILL``) or the refund (for ``REFUND``), else -1.
    """

    person: Ints
    second: Ints
    kind: Ints
    source: Ints
    deal: Ints

    def in_order(self) -> Sessions:
        """Returns the visits ordered by person and time."""
        order = np.argsort(self.person << 36 | self.second, kind="stable")
        return Sessions(self.person[order], self.second[order], self.kind[order], self.source[order], self.deal[order])


@dataclass(frozen=True, eq=False)
class Expanded:
    """Single events of visits, in the visits' order.

    Args:
        session: shape (n,), position of the visit.
        step: shape (n,), index into ``SCRIPT``.
        second: shape (n,), seconds since the first day, ascending for each person.
        last: shape (visits,), position of each visit's last event: the order or the refund, if it has one.
    """

    session: Ints
    step: Bytes
    second: Ints
    last: Ints


def events_per_purchase(business: Business) -> float:
    """Returns the average number of events on a visit with a purchase, and of the refund that may follow."""
    till = business.source_shares[STORE] / sum(business.source_shares)
    mean = COUNTS.mean(axis=2).sum(axis=1)
    return float((1 - till) * mean[Kind.ORDER] + till * mean[Kind.TILL] + business.refunded * mean[Kind.REFUND])


def events_per_browse() -> float:
    """Returns the average number of events on a visit without a purchase."""
    return float(COUNTS[Kind.BROWSE].mean(axis=1).sum())


def draw_sources(preferred: Ints, business: Business, rng: np.random.Generator) -> Ints:
    """Draws the source of visits whose visitors prefer ``preferred`` (n,)."""
    n = len(preferred)
    other = quantiles(business.source_shares)[rng.integers(0, 256, n, dtype=np.uint8)]
    return np.where(rng.random(n) < LOYALTY, preferred, other)


def expand(sessions: Sessions, rng: np.random.Generator) -> Expanded:
    """Draws the single events of ``sessions``, which are in order.

    A visit ends at its moment and keeps clear of the visit before and of midnight, so that events stay in
    order and on the day.
    """
    n = len(sessions.person)
    chance = rng.integers(0, 256, (n, len(SCRIPT)), dtype=np.uint8)
    counts = COUNTS[sessions.kind[:, None], np.arange(len(SCRIPT)), chance]
    lengths = counts.sum(axis=1, dtype=np.int64)
    step = np.repeat(np.tile(np.arange(len(SCRIPT), dtype=np.uint8), n), counts.ravel())
    session = np.repeat(np.arange(n), lengths)
    pace = np.minimum(15 + 45 * rng.standard_exponential(n), _room(sessions) / np.maximum(lengths, 1))
    back = (lengths[session] - 1) - within_runs(lengths)
    # Up to a step later than an even pace would have it, but for the last event.
    uneven = back - rng.integers(0, 250, len(session), dtype=np.uint8) / 256 * (back > 0)
    second = sessions.second[session] - np.ceil(uneven * pace[session]).astype(np.int64)
    return Expanded(session=session, step=step, second=second, last=starts_of(lengths) + lengths - 1)


def _room(sessions: Sessions) -> Floats:
    """Returns the seconds between each visit's end and the person's visit before, or midnight."""
    midnight = sessions.second // DAY_SECONDS * DAY_SECONDS
    before = np.concatenate([[-1], sessions.second[:-1]])
    same = np.concatenate([[False], sessions.person[1:] == sessions.person[:-1]])
    return (sessions.second - np.where(same, np.maximum(before, midnight), midnight)).astype(np.float64)
