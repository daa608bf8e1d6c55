"""How the values of a column are read: times, numbers and keys as people write them, as SQL expressions.

Each has a fast way, which the engine does natively, and a slow one, which only the values see that the fast way
could not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jingzhe.store.engine.sql import literal, text_list

TimeStyle = Literal["iso", "day-first", "month-first", "compact", "epoch-seconds", "epoch-milliseconds", "excel"]
DecimalStyle = Literal["point", "comma"]

TIME_STYLES: tuple[TimeStyle, ...] = (
    "iso", "day-first", "month-first", "compact", "epoch-seconds", "epoch-milliseconds", "excel",
)  # fmt: skip
WHOLE_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)

_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_NAMED = tuple(
    date + clock
    for date in ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y", "%d/%b/%Y")
    for clock in _CLOCKS
)
_MERIDIEM = tuple(f"%Y{mark}%m{mark}%d {clock}" for mark in "-/" for clock in
                  ("%I:%M %p", "%I:%M:%S %p", "%p %I:%M", "%p %I:%M:%S"))  # fmt: skip
_COMPACT = ("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d %H%M%S", "%Y%m%d %H:%M:%S", "%Y%m%d %H:%M")
_WIDE_DIGITS = "０１２３４５６７８９"
_OFFSET = r":\d{2}.*?( ?[+-]\d{2}(:?\d{2})?|Z| ?UTC| ?GMT)$"
_CURRENCY = r"(?i)[\s¥￥$€£元圆₹₩₽\x{a0}\x{202f}]|CNY|RMB|USD|EUR|GBP|HKD|JPY|US"


@dataclass(frozen=True)
class Reading:
    """How one column is read.

    Args:
        column: the column's alias in the scan.
        type: its type in the engine.
        time: how its times are written.
        decimal: what stands before the decimals.
        spreadsheet: whether whole numbers end in ``.0``, as a spreadsheet or pandas wrote them.
    """

    column: str
    type: str = "VARCHAR"
    time: TimeStyle = "iso"
    decimal: DecimalStyle = "point"
    spreadsheet: bool = False

    @property
    def is_text(self) -> bool:
        """Tells whether the column holds text that has to be read."""
        return self.type == "VARCHAR"

    @property
    def as_text(self) -> str:
        """Returns the value as it is shown to people."""
        return self.column if self.is_text else f"CAST({self.column} AS VARCHAR)"

    @property
    def filled(self) -> str:
        """Returns whether there is a value."""
        return f"trim({self.column}) <> ''" if self.is_text else f"{self.column} IS NOT NULL"


def text_of(reading: Reading) -> str:
    """Returns the value without surrounding spaces; null where nothing is left."""
    text = reading.as_text
    # Trimming costs more than all else here, and few values need it.
    blank = f"starts_with({text}, ' ') OR ends_with({text}, ' ') OR {text} = ''"
    return f"CASE WHEN {blank} THEN nullif(trim({text}), '') ELSE {text} END"


def key_of(reading: Reading) -> str:
    """Returns a key: what spreadsheets made of whole numbers (``17850.0``) is undone."""
    column = reading.column
    if reading.is_text:
        # Hardly any key has a space, so one look for it is enough.
        text = f"CASE WHEN contains({column}, ' ') OR {column} = '' THEN nullif(trim({column}), '') ELSE {column} END"
        if not reading.spreadsheet:
            return text
        whole = f"regexp_full_match(trim({column}), '-?[0-9]+\\.0')"
        return f"CASE WHEN {whole} THEN left(trim({column}), -2) ELSE {text} END"
    if reading.type in {"DOUBLE", "FLOAT"}:
        return (
            f"CASE WHEN NOT isfinite({column}) THEN NULL WHEN {column} = trunc({column}) AND abs({column}) < 1e15 "
            f"THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
        )
    return text_of(reading)


def number_of(reading: Reading) -> str:
    """Returns the number, null where there is none or it cannot be read."""
    column = reading.column
    if not reading.is_text:
        number = f"TRY_CAST({column} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    slow = _slow_number(column, reading.decimal)
    if reading.decimal == "comma":
        return f"CASE WHEN {reading.filled} THEN {slow} END"
    fast = f"TRY_CAST({column} AS DOUBLE)"
    return f"CASE WHEN isfinite({fast}) THEN {fast} WHEN {column} IS NOT NULL AND {column} <> '' THEN {slow} END"


def _slow_number(column: str, decimal: DecimalStyle) -> str:
    wide = f"translate({column}, '{_WIDE_DIGITS}，．－＋（）', '0123456789,.-+()')"
    bare = f"regexp_replace({wide}, '{_CURRENCY}', '', 'g')"
    group, point = (",", r"\.") if decimal == "point" else (r"[.'’]", ",")
    whole = rf"(\d+|\d{{1,3}}({group}\d{{2,3}})+)"
    shape = rf"[-+(]?({whole}({point}\d*)?|{point}\d+)\)?-?".replace("'", "''")
    digits = f"regexp_replace({bare}, '[^0-9,.]', '', 'g')"
    plain = f"replace({digits}, ',', '')" if decimal == "point" else f"replace(replace({digits}, '.', ''), ',', '.')"
    sign = f"CASE WHEN regexp_matches({bare}, '[-(]') THEN -1 ELSE 1 END"
    return f"CASE WHEN regexp_full_match({bare}, '{shape}') THEN {sign} * TRY_CAST({plain} AS DOUBLE) END"


@dataclass(frozen=True)
class TimeSql:
    """The steps in which a time is read; ``quick`` is null where the slow steps must look.

    Args:
        quick: time without a zone, read natively.
        local: time without a zone; may use the column ``t_quick``.
        instant: moment, where the value itself says the zone; may use the column ``t_quick``.
    """

    quick: str
    local: str
    instant: str


def time_of(reading: Reading) -> TimeSql:
    """Returns how a time is read."""
    column = reading.column
    if reading.type == "TIMESTAMP WITH TIME ZONE":
        return TimeSql("CAST(NULL AS TIMESTAMP)", "CAST(NULL AS TIMESTAMP)", column)
    nothing = "CAST(NULL AS TIMESTAMPTZ)"
    if reading.type.startswith("TIMESTAMP") or reading.type == "DATE":
        return TimeSql(f"TRY_CAST({column} AS TIMESTAMP)", "t_quick", nothing)
    number = f"TRY_CAST({column} AS DOUBLE)"
    if reading.time in {"epoch-seconds", "epoch-milliseconds"}:
        factor = 1e6 if reading.time == "epoch-seconds" else 1e3
        moment = f"make_timestamptz(CAST(round({number} * {factor:.0f}) AS BIGINT))"
        return TimeSql("CAST(NULL AS TIMESTAMP)", "t_quick", f"CASE WHEN abs({number}) < 2e14 THEN {moment} END")
    if reading.time == "excel":
        serial = f"TIMESTAMP '1899-12-30' + to_milliseconds(CAST(round({number} * 86400000) AS BIGINT))"
        quick = f"CASE WHEN {number} BETWEEN 1 AND 2958465 THEN {serial} END"
    elif reading.time == "compact":
        text = reading.as_text
        quick = f"CASE WHEN length({text}) IN (8, 14) THEN try_strptime({text}, {text_list(_COMPACT[:2])}) END"
    elif reading.time == "iso":
        quick = (
            f"CASE WHEN strlen({reading.as_text}) <= 19 AND NOT contains({reading.as_text}, '+') AND (strlen("
            f"{reading.as_text}) = 19 OR NOT ends_with({reading.as_text}, 'Z')) "
            f"THEN TRY_CAST({reading.as_text} AS TIMESTAMP) END"
        )
    else:
        quick = f"try_strptime({column}, {text_list(_ordered_formats(reading.time)[:6])})"
    if not reading.is_text:
        return TimeSql(quick, "t_quick", nothing)
    local, instant = _slow_time(column, reading.time)
    # A year below 1000 is one of two digits that the quick way took literally.
    early = "t_quick IS NULL OR t_quick < TIMESTAMP '1000-01-01'"
    waiting = f"({early}) AND {column} IS NOT NULL AND {column} <> ''"
    return TimeSql(
        quick, f"CASE WHEN {waiting} THEN {local} ELSE t_quick END", f"CASE WHEN {waiting} THEN {instant} END"
    )


def _slow_time(column: str, style: TimeStyle) -> tuple[str, str]:
    """Returns how the rest is read: without a zone, and with one."""
    plain = f"translate({column}, '{_WIDE_DIGITS}：／－．　年月日时時点分秒', '0123456789:/-. -- :::: ')"
    plain = f"replace(replace({plain}, '上午', ' AM '), '下午', ' PM ')"
    plain = f"trim(regexp_replace(regexp_replace({plain}, '\\s+', ' ', 'g'), '[: ]+$', ''))"
    aware = f"regexp_matches({plain}, '{_OFFSET}')"
    formats = text_list((*_short_years(style), *_ordered_formats(style), *_NAMED, *_MERIDIEM))
    local = (
        f"CASE WHEN {aware} THEN NULL "
        f"WHEN regexp_matches({plain}, '^\\d{{8}}( ?\\d{{2}}:?\\d{{2}}(:?\\d{{2}})?)?$') "
        f"THEN try_strptime({plain}, {text_list(_COMPACT)}) "
        f"WHEN regexp_matches({plain}, '^\\d{{4}}[-/.]\\d') AND NOT regexp_matches({plain}, '[AP]M') "
        f"THEN TRY_CAST(regexp_replace({plain}, '^(\\d{{4}})\\.(\\d{{1,2}})\\.', '\\1-\\2-') AS TIMESTAMP) "
        f"WHEN regexp_matches({plain}, '\\d.*[-/. ].*\\d') THEN try_strptime({plain}, {formats}) END"
    )
    zoned = f"regexp_replace(regexp_replace({plain}, '([+-]\\d{{2}})(\\d{{2}})$', '\\1:\\2'), ' ?(UTC|GMT)$', 'Z')"
    return local, f"CASE WHEN {aware} THEN TRY_CAST({zoned} AS TIMESTAMPTZ) END"


def _ordered_formats(style: TimeStyle) -> tuple[str, ...]:
    date = "%d{0}%m{0}%Y" if style == "day-first" else "%m{0}%d{0}%Y"
    return tuple(date.format(mark) + clock for mark in "/-." for clock in _CLOCKS)


def _short_years(style: TimeStyle) -> tuple[str, ...]:
    return tuple(form.replace("%Y", "%y") for form in _ordered_formats(style))


def moment_of(zone: str) -> tuple[str, str]:
    """Returns the moment (UTC, without a zone) and the local day of ``t_local`` or ``t_instant``."""
    if zone == "UTC":
        moment = "CASE WHEN t_instant IS NULL THEN t_local ELSE make_timestamp(epoch_us(t_instant)) END"
        return moment, "CAST(ts AS DATE)"
    place = literal(zone)
    moment = (
        "make_timestamp(epoch_us(CASE WHEN t_instant IS NULL AND isfinite(t_local) "
        f"THEN timezone({place}, t_local) ELSE t_instant END))"
    )
    return moment, f"CAST(CASE WHEN t_instant IS NULL THEN t_local ELSE timezone({place}, t_instant) END AS DATE)"


def ordered_parts(column: str) -> Sequence[str]:
    """Returns the first and the second number of a date such as 5/3/2024, null for other values."""
    shape = r"'^\s*(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})\b'"
    return tuple(f"TRY_CAST(regexp_extract({column}, {shape}, {part}) AS INTEGER)" for part in (1, 2))
