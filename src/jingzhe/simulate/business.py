"""What the business is like: the parameters of everything that is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from jingzhe.core.errors import SettingError

SOURCES = ("web", "app", "mini-program", "store")
"""Where events come from; the last one is the till, at which nobody browses."""

RESPONSES = ("persuadable", "sure_thing", "lost_cause", "do_not_disturb")
"""The four answers to a contact, in the standard terms of uplift modelling."""


@dataclass(frozen=True, kw_only=True)
class Business:
    """A business to draw. The same parameters give the same people and events, person by person.

    Purchases are a renewal process per person: gaps are gamma distributed with a personal shape (1 is
    Poisson, 10 is a clock) around a personal rate, which is gamma distributed over people (Ehrenberg's NBD,
    and its condensed form by Chatfield and Goodhardt, 1973). Lives are exponential with a gamma distributed
    hazard (Schmittlein, Morrison and Colombo, 1987: the Pareto/NBD model).

    Args:
        people: number of people, whose ``person_id`` are 1..people. Person n is the same for any ``people``.
        days: length of the observed window.
        start: first day of the window. The business lives in UTC; its hours are UTC hours.
        seed: 0 or more; the default is the code point of 惊.
        events_per_person: average over all people and the whole window, at least 10; met within a
            few percent where the other parameters allow it (nobody buys more than 1.5 times a day).
        rate_shape: shape of the gamma distribution of rates; small means very unequal people.
        regularity_median: median over people of the gamma shape of gaps.
        regularity_sigma: standard deviation of the logarithm of that shape.
        browsing: visits without a purchase per visit with one.
        established: share of people who were customers before the window; the others arrive spread over it.
        prospects: share of people who look but never buy.
        median_life_days: half of the people have lapsed this long after they arrived (or after ``start``).
        life_shape: shape of the gamma distribution of lapse hazards.
        declining: share of lapses that a decline precedes.
        decline_weeks: shortest and longest decline.
        silence_days: shortest time between a lapse and a spontaneous return.
        months: 12 weights of the months, January first.
        weekdays: 7 weights, Monday first.
        hours: 24 weights.
        products: number of products, at least one for each of the 40 categories.
        refunded: share of orders of which at least a part is brought back.
        source_shares: weights of ``SOURCES``.
        response_shares: weights of ``RESPONSES``.
        currency: ISO 4217 code.

    Raises:
        SettingError: an argument has a value that cannot be used.
    """

    people: int = 10_000
    days: int = 730
    start: date = date(2024, 1, 1)
    seed: int = ord("惊")
    events_per_person: float = 20.0
    rate_shape: float = 0.9
    regularity_median: float = 2.5
    regularity_sigma: float = 0.7
    browsing: float = 1.38
    established: float = 0.35
    prospects: float = 0.08
    median_life_days: float = 450.0
    life_shape: float = 1.5
    declining: float = 0.5
    decline_weeks: tuple[int, int] = (3, 12)
    silence_days: int = 45
    months: tuple[float, ...] = (1.05, 0.8, 0.9, 0.92, 1.0, 1.12, 0.92, 0.9, 0.98, 1.02, 1.38, 1.15)
    weekdays: tuple[float, ...] = (0.9, 0.88, 0.9, 0.95, 1.07, 1.2, 1.1)
    hours: tuple[float, ...] = (
        0.3, 0.15, 0.08, 0.05, 0.05, 0.1, 0.3, 0.6, 0.9, 1.1, 1.2, 1.3,
        1.4, 1.2, 1.1, 1.1, 1.1, 1.2, 1.4, 1.8, 2.2, 2.1, 1.5, 0.7,
    )  # fmt: skip
    products: int = 2_000
    refunded: float = 0.04
    source_shares: tuple[float, ...] = (0.25, 0.35, 0.25, 0.15)
    response_shares: tuple[float, ...] = (0.30, 0.15, 0.45, 0.10)
    currency: str = "CNY"

    def __post_init__(self) -> None:
        """Refuses what cannot be drawn."""
        low, high = self.decline_weeks
        shares = (self.established, self.prospects, self.declining, self.refunded)
        positive = (self.rate_shape, self.regularity_median, self.median_life_days, self.life_shape)
        profiles = (self.months, self.weekdays, self.hours)
        checks = {
            "people": 1 <= self.people < 2**31,
            "days": 1 <= self.days <= 36_500,
            "seed": self.seed >= 0,
            "events_per_person": 10 <= self.events_per_person <= 20_000,
            "established, prospects, declining, refunded": all(0 <= share <= 1 for share in shares),
            "rate_shape, regularity_median, median_life_days, life_shape": min(positive) > 0,
            "regularity_sigma, browsing, silence_days": min(self.regularity_sigma, self.browsing, self.silence_days)
            >= 0,
            "decline_weeks": 1 <= low <= high <= 52,
            "months, weekdays, hours": tuple(map(len, profiles)) == (12, 7, 24)
            and all(min(profile) > 0 for profile in profiles),
            "products": 40 <= self.products < 10**6,
            "source_shares": _is_distribution(self.source_shares, len(SOURCES)),
            "response_shares": _is_distribution(self.response_shares, len(RESPONSES)),
        }
        for field, good in checks.items():
            if not good:
                raise SettingError(
                    "the business cannot be drawn with this value",
                    hint="`help(jingzhe.simulate.Business)` gives the ranges",
                    field=field,
                )

    @property
    def end(self) -> date:
        """The first day after the window."""
        return self.start + timedelta(days=self.days)


def _is_distribution(shares: tuple[float, ...], length: int) -> bool:
    return len(shares) == length and min(shares) >= 0 and sum(shares) > 0
