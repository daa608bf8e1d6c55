"""From a file's columns to rows of known fields, each either good or with the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jingzhe.collect.reasons import junk_spellings
from jingzhe.collect.values import Reading, key_of, moment_of, number_of, text_of, time_of
from jingzhe.store.engine.sql import literal
from jingzhe.store.query import Step

ROWS = "rows_read"
"""The kept step with every row of the import, in order; see :data:`COLUMNS`."""

COLUMNS: Mapping[str, str] = {
    "customer": "VARCHAR",
    "order_id": "VARCHAR",
    "ts": "TIMESTAMP",
    "day": "DATE",
    "event_name": "VARCHAR",
    "product_id": "VARCHAR",
    "category": "VARCHAR",
    "quantity": "DOUBLE",
    "price": "DOUBLE",
    "discount": "DOUBLE",
    "amount": "DOUBLE",
    "currency": "VARCHAR",
    "quarantined": "VARCHAR",
    "refused": "UTINYINT",
    "raw": "VARCHAR",
}
"""Columns of :data:`ROWS`; those that no file of the import has are left out."""

NUMBERS = ("quantity", "price", "discount", "amount")
LARGEST = 1e12


@dataclass(frozen=True)
class Refusal:
    """One way in which a row can be refused.

    Args:
        reason: its code.
        field: the field that is wrong.
    """

    reason: str
    field: str


REFUSALS: tuple[Refusal, ...] = (
    Refusal("bad-json", ""),
    Refusal("missing-customer", "customer_id"),
    Refusal("junk-customer", "customer_id"),
    Refusal("missing-time", "ordered_at"),
    Refusal("bad-time", "ordered_at"),
    Refusal("time-out-of-range", "ordered_at"),
    Refusal("time-in-future", "ordered_at"),
    Refusal("missing-event", "event_name"),
    *(Refusal("bad-number", name) for name in NUMBERS),
    *(Refusal("number-out-of-range", name) for name in NUMBERS),
    Refusal("missing-amount", "amount"),
)
"""The refusals by their number in the column ``refused``, which counts from 1."""
REFUSED_AS_ERASED = 255
"""Marks rows of people who were erased: neither good nor in quarantine."""


@dataclass(frozen=True)
class RowPlan:
    """How the rows of one file are read.

    Args:
        columns: names of the file's columns, by which a refused row is kept.
        readings: how each field is read, by the field's name.
        zone: IANA zone of times that carry none.
        latest: rows later than this are refused.
        wanted: columns of :data:`ROWS` that some file of the import has.
        keys: fields of further keys that some file of the import has; they become the columns :func:`key_column`.
    """

    columns: tuple[str, ...]
    readings: Mapping[str, Reading]
    zone: str
    latest: datetime
    wanted: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def is_of_people(self) -> bool:
        """Tells whether the rows are people, of whom nothing happened: they have no time."""
        return "ordered_at" not in self.readings

    @property
    def needs_amount(self) -> bool:
        """Tells whether a row without an amount is refused: orders need one, events and people do not."""
        return "event_name" not in self.readings and not self.is_of_people


def key_column(place: int) -> str:
    """Returns the column of :data:`ROWS` that holds the further key at a place of the import's list."""
    return f"key_{place}"


def columns_wanted(fields: frozenset[str], zone: str) -> tuple[str, ...]:
    """Returns the columns of :data:`ROWS` for an import whose files have ``fields``.

    In UTC the moment itself tells the day.
    """
    always = {"customer", "ts", "amount", "refused", "raw"} | (set() if zone == "UTC" else {"day"})
    names = fields | always | ({"product_id"} if "product_name" in fields else set())
    return tuple(name for name in COLUMNS if name in names)


def rows_step(plan: RowPlan, scan: str) -> Step:
    """Returns the step that reads the rows of the scan called ``scan``.

    Values bound: ``latest``.
    """
    moment, day = moment_of(plan.zone)
    return Step(
        ROWS,
        f"""
SELECT {", ".join(_kept(plan))}
FROM (
  SELECT *, {_refused(plan)} AS refused
  FROM (
    SELECT *, {_amount(plan)} AS amount, {moment} AS ts, {day} AS day
    FROM (SELECT *, {_times(plan)} FROM (SELECT {", ".join(_read(plan))}, * FROM {scan}))
  )
)""",
    )


def _read(plan: RowPlan) -> list[str]:
    readings = plan.readings
    listed = [f"{key_of(readings['customer_id'])} AS customer"]
    listed += [f"{key_of(readings[name])} AS {name}" for name in ("order_id", "product_id") if name in readings]
    if "product_id" not in readings and "product_name" in readings:
        listed.append(f"{text_of(readings['product_name'])} AS product_id")
    listed += [
        f"{text_of(readings[name])} AS {name}" for name in ("category", "event_name", "quarantined") if name in readings
    ]
    if "currency" in readings:
        listed.append(f"upper({text_of(readings['currency'])}) AS currency")
    for name in NUMBERS:
        if name in readings:
            listed.append(f"{number_of(readings[name])} AS n_{name}")
    if not plan.is_of_people:
        listed.append(f"{time_of(readings['ordered_at']).quick} AS t_quick")
    listed += [
        f"{key_of(readings[name]) if name in readings else 'CAST(NULL AS VARCHAR)'} AS {key_column(place)}"
        for place, name in enumerate(plan.keys)
    ]
    return listed


def _times(plan: RowPlan) -> str:
    if plan.is_of_people:
        return "CAST(NULL AS TIMESTAMP) AS t_local, CAST(NULL AS TIMESTAMPTZ) AS t_instant"
    time = time_of(plan.readings["ordered_at"])
    return f"{time.local} AS t_local, {time.instant} AS t_instant"


def _amount(plan: RowPlan) -> str:
    """Returns the net amount: given, or quantity times price less the discount; negative where goods came back."""
    readings = plan.readings
    if "amount" in readings:
        return (
            "CASE WHEN n_quantity < 0 THEN -abs(n_amount) ELSE n_amount END" if "quantity" in readings else "n_amount"
        )
    if "price" not in readings:
        return "CAST(NULL AS DOUBLE)"
    if "quantity" not in readings:
        return "n_price - coalesce(abs(n_discount), 0)" if "discount" in readings else "n_price"
    gross = "n_quantity * n_price"
    if "discount" not in readings:
        return gross
    return f"{gross} - CASE WHEN n_quantity < 0 THEN -1 ELSE 1 END * coalesce(abs(n_discount), 0)"


def _refused(plan: RowPlan) -> str:
    """Returns the number of the first refusal that applies, null for a good row."""
    readings = plan.readings
    junk = ", ".join(literal(value) for value in junk_spellings())
    tests = {
        ("bad-json", ""): "broken",
        ("missing-customer", "customer_id"): "customer IS NULL",
        ("junk-customer", "customer_id"): f"customer IN ({junk})",
    }
    if not plan.is_of_people:
        tests |= {
            ("missing-time", "ordered_at"): f"ts IS NULL AND ({readings['ordered_at'].filled}) IS NOT TRUE",
            ("bad-time", "ordered_at"): "ts IS NULL",
            ("time-out-of-range", "ordered_at"): "ts < TIMESTAMP '1970-01-01' OR ts > TIMESTAMP '9999-12-31'",
        }
    tests["time-in-future", "ordered_at"] = "ts > make_timestamp(epoch_us($latest))"
    if "event_name" in readings:
        tests["missing-event", "event_name"] = "event_name IS NULL"
    for name in NUMBERS:
        if name in readings:
            tests["bad-number", name] = f"n_{name} IS NULL AND {readings[name].filled}"
            tests["number-out-of-range", name] = f"abs(n_{name}) > {LARGEST:.0f}"
    if plan.needs_amount:
        tests["missing-amount", "amount"] = "amount IS NULL"
    numbers = {(refusal.reason, refusal.field): number for number, refusal in enumerate(REFUSALS, 1)}
    whens = " ".join(f"WHEN {test} THEN {numbers[key]}" for key, test in tests.items())
    return f"CAST(CASE {whens} END AS UTINYINT)"


def _kept(plan: RowPlan) -> list[str]:
    readings = plan.readings
    have = {"customer", "ts", "day", "amount", "refused", *(set(readings) & set(COLUMNS))}
    if "product_name" in readings:
        have.add("product_id")
    pairs = ", ".join(f"{literal(name)}, CAST(c{position} AS VARCHAR)" for position, name in enumerate(plan.columns))
    special = {name: f"n_{name}" for name in NUMBERS if name != "amount"}
    special["discount"] = "abs(n_discount)"
    listed = []
    for name in plan.wanted:
        if name == "raw":
            listed.append(f"CASE WHEN refused IS NOT NULL THEN CAST(json_object({pairs}) AS VARCHAR) END AS raw")
        elif name in have:
            listed.append(f"{special.get(name, name)} AS {name}")
        else:
            listed.append(f"CAST(NULL AS {COLUMNS[name]}) AS {name}")
    return [*listed, *(key_column(place) for place in range(len(plan.keys)))]


def field_column(readings: Mapping[str, Reading], columns: tuple[str, ...], field: str) -> str:
    """Returns the file's column that holds ``field``; for an amount that is computed, its first part."""
    for name in (field, "quantity", "price") if field == "amount" else (field,):
        if name in readings:
            return columns[int(readings[name].column[1:])]
    return ""
