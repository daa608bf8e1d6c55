"""Person-days and facts in plain Python, straight from what happened; shares nothing with the SQL but the names."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from tests.profile.shop import Happening

Row = dict[str, Any]
COUNTS = {
    "purchase": "purchases",
    "refund": "refunds",
    "cart": "carts",
    "favourite": "favourites",
    "view": "views",
    "search": "searches",
    "visit": "visits",
}
DAYPARTS = ("night", "morning", "afternoon", "evening")


def person_days(happenings: Iterable[Happening], zone: str) -> list[Row]:
    """One row per person and day, by key."""
    grouped: dict[tuple[int, date], list[Happening]] = defaultdict(list)
    for one in happenings:
        if not one.activity.startswith("message_"):
            grouped[one.person_id, one.day(zone)].append(one)
    return [
        {"person_id": person, "day": day, **_sums(of_day, zone)} for (person, day), of_day in sorted(grouped.items())
    ]


def _sums(of_day: Sequence[Happening], zone: str) -> Row:
    activities = Counter(one.activity for one in of_day)
    parts = Counter(DAYPARTS[one.local(zone).hour // 6] for one in of_day)
    bought = [one for one in of_day if one.activity == "purchase"]
    returned = [one for one in of_day if one.activity == "refund"]
    return {
        "events": len(of_day),
        **{column: activities[activity] for activity, column in COUNTS.items()},
        "spend": math.fsum(one.revenue or 0 for one in bought),
        "returned": -math.fsum(one.revenue or 0 for one in returned),
        "discount": math.fsum(one.discount or 0 for one in bought),
        "quantity": math.fsum(one.quantity or 0 for one in bought),
        **{part: parts[part] for part in DAYPARTS},
    }


def facts(happenings: Sequence[Happening], zone: str, as_of: date, window_days: int) -> list[Row]:
    """One row per person with anything up to the end of ``as_of``, by person."""
    by_person: dict[int, list[Row]] = defaultdict(list)
    for row in person_days(happenings, zone):
        if row["day"] <= as_of:
            by_person[row["person_id"]].append(row)
    return [
        {
            "person_id": person,
            **_activity(days),
            **_purchasing(days),
            **_windows(days, as_of, window_days),
            **_taste([one for one in happenings if one.person_id == person and one.day(zone) <= as_of]),
        }
        for person, days in sorted(by_person.items())
    ]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _activity(days: Sequence[Row]) -> Row:
    weekdays = Counter(row["day"].isoweekday() for row in days)
    parts = {part: sum(row[part] for row in days) for part in DAYPARTS}
    events = sum(row["events"] for row in days)
    most = max(parts.values())
    return {
        "first_day": min(row["day"] for row in days),
        "last_day": max(row["day"] for row in days),
        "active_days": len(days),
        "events": events,
        **{name: sum(row[name] for row in days) for name in COUNTS.values()},
        "peak_weekday": min(day for day, count in weekdays.items() if count == max(weekdays.values())),
        "weekend_share": (weekdays[6] + weekdays[7]) / len(days),
        "peak_daypart": next(number for number, part in enumerate(DAYPARTS) if parts[part] == most),
        "peak_daypart_share": most / events,
    }


def _quantile(values: Sequence[int], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _purchasing(days: Sequence[Row]) -> Row:
    bought = [row for row in days if row["purchases"] > 0]
    gaps = [(after["day"] - before["day"]).days for before, after in pairwise(bought)]
    orders = sum(row["purchases"] for row in bought)
    spend = math.fsum(row["spend"] for row in bought)
    discount = math.fsum(row["discount"] for row in bought)
    returned = math.fsum(row["returned"] for row in days)
    return {
        "first_purchase_day": bought[0]["day"] if bought else None,
        "last_purchase_day": bought[-1]["day"] if bought else None,
        "purchase_days": len(bought),
        "spend": spend,
        "returned": returned,
        "monetary": spend - returned,
        "discount": discount,
        "quantity": math.fsum(row["quantity"] for row in bought),
        "average_order": _ratio(spend, orders),
        "discount_share": _ratio(discount, spend + discount),
        "return_share": _ratio(returned, spend),
        "repeat_spend": _ratio(math.fsum(row["spend"] for row in bought[1:]), len(gaps)),
        "gaps": len(gaps),
        "cycle_days": _quantile(gaps, 0.5) if gaps else None,
        "cycle_spread_days": _quantile(gaps, 0.75) - _quantile(gaps, 0.25) if gaps else None,
        "last_gap_days": gaps[-1] if gaps else None,
        "gap_log_sum": math.fsum(math.log(gap) for gap in gaps),
        "gap_log_square_sum": math.fsum(math.log(gap) ** 2 for gap in gaps),
    }


def _windows(days: Sequence[Row], as_of: date, window_days: int) -> Row:
    found: Row = {}
    for label, newest in (("recent", as_of), ("before", as_of - timedelta(days=window_days))):
        inside = [row for row in days if newest - timedelta(days=window_days) < row["day"] <= newest]
        found[f"active_days_{label}"] = len(inside)
        for name in ("events", "purchases"):
            found[f"{name}_{label}"] = sum(row[name] for row in inside)
        found[f"spend_{label}"] = math.fsum(row["spend"] for row in inside)
    return found


def _taste(happenings: Sequence[Happening]) -> Row:
    cents: Counter[str] = Counter()
    for one in happenings:
        for line in one.lines:
            if line.category is not None and line.amount > 0:
                cents[line.category] += round(line.amount * 100)
    if not cents:
        return {"categories": 0, "top_category": None, "top_category_share": None}
    top = min(cents, key=lambda name: (-cents[name], name))
    return {"categories": len(cents), "top_category": top, "top_category_share": cents[top] / sum(cents.values())}
