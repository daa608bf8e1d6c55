"""What the columns of a file look like: asked of its first rows in one query, however many columns there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jingzhe.collect.values import WHOLE_NUMBERS, DecimalStyle, Reading, TimeStyle, number_of, ordered_parts, time_of
from jingzhe.store.engine import LocalSession
from jingzhe.store.engine.raw import RawFile
from jingzhe.store.query import Query, Step, one

SAMPLE_ROWS = 2_000
_CHARS = "[0-9０-９¥￥$€£.,+() -]"


@dataclass(frozen=True)
class Look:
    """What one column's first values look like.

    Args:
        alias: the column's name in the scan.
        type: its type in the engine.
        filled: values that are not empty.
        distinct: different ones among them.
        numbers: those that are numbers.
        fractions: those that are numbers with decimals.
        commas: those that are numbers only with a decimal comma.
        points: those that are numbers only with a decimal point.
        iso: those that are times written year first.
        slashed: those that are dates written year last, such as 5/3/2024.
        compact: those that are dates of 8 digits, or moments of 14.
        other: those that are times in another way.
        dotted: those that are whole numbers with ``.0`` behind.
        phones: those that may be telephone numbers.
        emails: those that are e-mail addresses.
        low: the least number.
        high: the greatest number.
        samples: some different values.
    """

    alias: str
    type: str
    filled: int = 0
    distinct: int = 0
    numbers: int = 0
    fractions: int = 0
    commas: int = 0
    points: int = 0
    iso: int = 0
    slashed: int = 0
    compact: int = 0
    other: int = 0
    dotted: int = 0
    phones: int = 0
    emails: int = 0
    low: float | None = None
    high: float | None = None
    samples: tuple[str, ...] = ()

    @property
    def is_native_time(self) -> bool:
        """Tells whether the column's type is a time."""
        return self.type == "DATE" or self.type.startswith("TIMESTAMP")

    @property
    def time_share(self) -> float:
        """Returns the share of values that are times for certain: numbers that may be seconds do not count."""
        if self.is_native_time:
            return 1.0
        return (self.iso + self.slashed + self.other) / self.filled if self.filled else 0.0

    @property
    def number_share(self) -> float:
        """Returns the share of values that are numbers."""
        return self.numbers / self.filled if self.filled else 0.0

    @property
    def decimal(self) -> DecimalStyle:
        """Returns what stands before the decimals."""
        return "comma" if self.commas > self.points else "point"

    def time_style(self) -> TimeStyle | None:
        """Returns how times are written; None where the order of day and month has to be asked of all values."""
        if self.is_native_time or not self.filled:
            return "iso"
        if self.compact > 0.5 * self.filled:
            return "compact"
        if self.numbers > 0.9 * self.filled and self.low is not None and self.high is not None:
            if self.low >= 1e8 and self.high < 1e10:
                return "epoch-seconds"
            if self.low >= 1e11 and self.high < 1e14:
                return "epoch-milliseconds"
            if self.low >= 10_000 and self.high < 100_000:
                return "excel"
        return None if self.slashed else "iso"


def look(session: LocalSession, scan: str, file: RawFile, types: Mapping[str, str]) -> list[Look]:
    """Returns what each column's first values look like, in the order of the columns."""
    casts = ", ".join(f"coalesce(trim(CAST({alias} AS VARCHAR)), '') AS {alias}" for alias in file.aliases)
    quick, local, instant = (getattr(time_of(Reading("v")), part) for part in ("quick", "local", "instant"))
    first, _ = ordered_parts("v")
    query = Query(
        "looks",
        (
            Step("sampled", f"SELECT {casts} FROM {scan} LIMIT {SAMPLE_ROWS}"),
            Step("long", "SELECT alias, v FROM (UNPIVOT sampled ON COLUMNS(*) INTO NAME alias VALUE v) WHERE v <> ''"),
            Step("quick", f"SELECT *, {quick} AS t_quick FROM long"),
            Step("told", f"SELECT *, {_TOLD}, {number_of(Reading('v'))} AS number, {first} IS NOT NULL AS slashed, "
                 f"{local} IS NOT NULL OR {instant} IS NOT NULL AS timed FROM quick"),
            Step("looks", _LOOKS),
        ),
    )  # fmt: skip
    found = {str(row["alias"]): row for row in session.run(query).to_pylist()}
    return [_look(alias, types[alias], found.get(alias)) for alias in file.aliases]


_TOLD = rf"""
regexp_matches(v, '^\d{{4}} ?[-/.年]') AS year_first,
regexp_full_match(v, '\d{{8}}|\d{{14}}') AND (v LIKE '19%' OR v LIKE '20%') AND
  try_strptime(v, ['%Y%m%d', '%Y%m%d%H%M%S']) IS NOT NULL AS compact,
regexp_full_match(v, '{_CHARS}*\d(\.\d{{3}})*,\d{{1,2}}( ?[€¥$£元])?') AS comma,
regexp_full_match(v, '{_CHARS}*\d*\.(\d{{1,2}}|\d{{4,}})') AS point,
regexp_full_match(v, '{_CHARS}+|.*[€¥$£元]') AS plain
"""
_LOOKS = r"""
SELECT alias, count(*) AS filled, count(DISTINCT v) AS distinct_values,
  count(*) FILTER (number IS NOT NULL OR comma) AS numbers,
  count(*) FILTER (comma OR number <> trunc(number)) AS fractions,
  count(*) FILTER (comma AND plain) AS commas, count(*) FILTER (point AND plain) AS points,
  count(*) FILTER (year_first AND timed) AS iso, count(*) FILTER (slashed) AS slashed,
  count(*) FILTER (compact) AS compact,
  count(*) FILTER (timed AND NOT year_first AND NOT slashed AND number IS NULL) AS other,
  count(*) FILTER (ends_with(v, '.0') AND regexp_full_match(v, '-?\d+\.0')) AS dotted,
  count(*) FILTER (regexp_full_match(v, '\+?[0-9(][0-9 ()./-]{5,20}')) AS phones,
  count(*) FILTER (regexp_full_match(v, '[^@\s]+@[^@\s]+\.[^@\s.]+')) AS emails,
  min(number) AS low, max(number) AS high, list_sort(list(DISTINCT v)[:50])[:5] AS samples
FROM told GROUP BY alias"""


def _look(alias: str, kind: str, row: Mapping[str, object] | None) -> Look:
    if row is None:
        return Look(alias, kind)
    values = {name: value for name, value in row.items() if name not in {"alias", "distinct_values", "samples"}}
    samples = row["samples"]
    shown = tuple(str(value)[:60] for value in samples) if isinstance(samples, list) else ()
    return Look(alias, kind, distinct=int(str(row["distinct_values"])), samples=shown, **values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class DateOrder:
    """Whether days stand before months, and how that was found.

    Args:
        style: the order.
        note: what to tell people.
    """

    style: TimeStyle
    note: str


def date_order(session: LocalSession, scan: str, alias: str) -> DateOrder:
    """Returns the order of day and month, from all values of a column."""
    first, second = ordered_parts(alias)
    row = session.run(
        one(
            "date_order", f"SELECT max({first}) AS first, max({second}) AS second FROM {scan} WHERE {alias} IS NOT NULL"
        )
    ).to_pylist()[0]
    high, low = int(row["first"] or 0), int(row["second"] or 0)
    if high > 12 and low <= 12:
        return DateOrder("day-first", f"day before month: the first number reaches {high}")
    if low > 12 and high <= 12:
        return DateOrder("month-first", f"month before day: the second number reaches {low}")
    if high > 12 and low > 12:
        return DateOrder("month-first", "both orders of day and month occur; those that do not fit are refused")
    return DateOrder(
        "month-first",
        "day and month cannot be told apart; read as month before day (as ISO 8601 orders them): set dates to change",
    )


def is_whole(look_: Look) -> bool:
    """Tells whether a column holds whole numbers only."""
    return look_.type in WHOLE_NUMBERS or (look_.numbers == look_.filled > 0 and look_.fractions == 0)
