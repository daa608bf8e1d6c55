"""How a file is read: its columns matched to fields, and each field's way of writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jingzhe.collect.columns import Look, date_order, look
from jingzhe.collect.fields import BY_NAME
from jingzhe.collect.key_columns import is_key
from jingzhe.collect.mapping import NO_KEYS, Keys, Table, match_columns, own_kind_of
from jingzhe.collect.report import FieldMatch, MappingReport
from jingzhe.collect.sources import Input
from jingzhe.collect.values import DecimalStyle, Reading, TimeStyle
from jingzhe.store.engine import LocalSession

_STYLES: Mapping[TimeStyle, str] = {
    "compact": "written as digits, such as 20240305",
    "epoch-seconds": "seconds since 1970",
    "epoch-milliseconds": "milliseconds since 1970",
    "excel": "days since 1900, as Excel counts them",
}


@dataclass(frozen=True)
class Wish:
    """What people said about the mapping.

    Args:
        columns: columns by field.
        why: where that comes from: ``given`` or ``preset``.
        dates: how times are written, where guessing errs.
        decimal: what stands before the decimals, where guessing errs.
        keys: what may be guessed of people.
    """

    columns: Mapping[str, str]
    why: str = "given"
    dates: TimeStyle | None = None
    decimal: DecimalStyle | None = None
    keys: Keys = NO_KEYS


@dataclass(frozen=True)
class Understood:
    """How one file is read.

    Args:
        readings: how each field is read.
        report: the same, for people.
    """

    readings: Mapping[str, Reading]
    report: MappingReport


def understand(session: LocalSession, given: Input, wish: Wish) -> Understood:
    """Returns how a file is read.

    Raises:
        ImportRefusedError: customer, time or amount cannot be found in it; says what was looked for and found.
    """
    types = session.scan("scan", given.raw)
    looks = {one_.alias: one_ for one_ in look(session, "scan", given.raw, types)}
    session.rejections()
    table = Table(given.name, given.raw.columns, list(looks.values()))
    matches = match_columns(table, wish.columns, wish.why, wish.keys)
    readings: dict[str, Reading] = {}
    for name, match in matches.items():
        alias = given.raw.aliases[given.raw.columns.index(match.column)]
        readings[name], note = _reading(session, "id" if is_key(name) else BY_NAME[name].kind, looks[alias], wish)
        matches[name] = replace(match, note=note)
    session.rejections()
    return Understood(readings, _report(given, matches, own_kind_of(table, matches, wish.keys)))


def _reading(session: LocalSession, kind: str, look_: Look, wish: Wish) -> tuple[Reading, str]:
    reading = Reading(look_.alias, _plain_type(look_.type), spreadsheet=look_.dotted > 0)
    if kind == "number" and reading.is_text:
        decimal = wish.decimal or look_.decimal
        return replace(reading, decimal=decimal), "decimal comma" if decimal == "comma" else ""
    if kind != "time" or look_.is_native_time:
        return reading, ""
    style = wish.dates or look_.time_style()
    if style is None:
        order = date_order(session, "scan", look_.alias)
        return replace(reading, time=order.style), order.note
    return replace(reading, time=style), _STYLES.get(style, "")


def _plain_type(kind: str) -> str:
    return "VARCHAR" if kind.startswith(("VARCHAR", "ENUM")) else kind


def _report(given: Input, matches: Mapping[str, FieldMatch], key_kind: str) -> MappingReport:
    if "ordered_at" not in matches:
        shape = "people"
    elif "event_name" in matches:
        shape = "events"
    else:
        shape = (
            "lines" if {"product_id", "product_name", "category"} & set(matches) and "order_id" in matches else "orders"
        )
    used = {match.column for match in matches.values()}
    unused = tuple(column for column in given.raw.columns if column not in used)
    delimiter = given.raw.delimiter if given.raw.kind == "csv" else ""
    return MappingReport(given.name, shape, tuple(matches.values()), unused, given.encoding, delimiter, key_kind)
