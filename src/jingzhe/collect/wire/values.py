"""Values as clients write them: ids, numbers, moments. What cannot be meant is None or a refusal, never a guess."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from jingzhe.collect.wire.call import BadCallError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US = 253_402_300_799_000_000
"""The end of the year 9999, UTC microseconds."""
ID_LENGTH = 1024
_LARGEST = 1e12


def text(value: Any, limit: int = ID_LENGTH) -> str | None:
    """Returns an id or a name as text without the signs that databases refuse; None where there is none.

    Args:
        value: text or a number; anything else is none.
        limit: signs that are kept.
    """
    if value is None:
        return None
    if type(value) is not str:
        if value is True or value is False or not isinstance(value, int | float):
            return None
        value = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if "\0" in value:
        value = value.replace("\0", "")
    value = value.strip()
    return value if 0 < len(value) <= limit else value[:limit] or None


def number(value: Any) -> float | None:
    """Returns an amount or a quantity; None where there is none that can be meant.

    Raises:
        BadCallError: it is beyond a thousand billion.
    """
    if value is None or value is True or value is False:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        if isinstance(value, int):
            raise BadCallError("number-out-of-range", detail="beyond a thousand billion") from None
        return None
    if math.isnan(found):
        return None
    if abs(found) > _LARGEST:
        raise BadCallError("number-out-of-range", detail="beyond a thousand billion")
    return found


def size(value: Any) -> float | None:
    """Returns an amount or a quantity without its sign; None where there is none that can be meant.

    Raises:
        BadCallError: it is beyond a thousand billion.
    """
    if value is None:
        return None
    if type(value) is float and -_LARGEST <= value <= _LARGEST:
        return -value if value < 0.0 else value
    found = number(value)
    return None if found is None else abs(found)


def currency(value: Any) -> str | None:
    """Returns an ISO 4217 code in upper case; None where it is none."""
    found = text(value)
    return found.upper() if found and len(found) == 3 and found.isascii() and found.isalpha() else None


def moment_us(value: Any, field: str, zone: tzinfo = UTC) -> int | None:
    """Returns a moment in UTC microseconds; None where there is none.

    Args:
        value: ISO 8601, or seconds or milliseconds since 1970.
        field: what to call it in a refusal.
        zone: of a text without an offset.

    Raises:
        BadCallError: it cannot be read.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return _as_number(value, field)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        try:
            since = found - _EPOCH
        except OverflowError:
            raise BadCallError("bad-time", field, value[:80]) from None
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return _from_number(value, field)


def sent_us(value: Any) -> int | None:
    """Returns when a client sent a request; None where it does not say or cannot be read: clocks stay as they are."""
    try:
        return moment_us(value, "sentAt")
    except BadCallError:
        return None


def _as_number(value: str, field: str) -> int:
    try:
        return _from_number(float(value), field)
    except ValueError:
        raise BadCallError("bad-time", field, value[:80]) from None


def _from_number(value: Any, field: str) -> int:
    """Reads seconds or milliseconds: in 1971 there were 3e7 of the one, in 5138 there will be 1e11."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - no number
        raise BadCallError("bad-time", field, str(value)[:80])
    # Before anything is computed: a whole number of 400 digits is no float.
    if abs(value) > LATEST_US:
        raise BadCallError("time-out-of-range", field, "after 9999")
    micros = value * 1_000_000 if abs(value) < 1e11 else value * 1000
    if abs(micros) > LATEST_US:
        raise BadCallError("time-out-of-range", field, str(value)[:80])
    return int(micros)


def zone_named(name: str) -> tzinfo:
    """Returns the time zone of a project."""
    return UTC if name == "UTC" else ZoneInfo(name)
