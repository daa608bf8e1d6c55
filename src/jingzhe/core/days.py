"""Days as people write them on a command line."""

from __future__ import annotations

from datetime import date

from jingzhe.core.errors import SettingError


def day_given(text: str | None, option: str) -> date | None:
    """Returns the day that ``text`` names (YYYY-MM-DD), None for None.

    Args:
        text: what was written.
        option: where, for the error.

    Raises:
        SettingError: it is no day.

    >>> day_given("2026-03-05", "--as-of")
    datetime.date(2026, 3, 5)
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingError(f"{text!r} is no day", hint="Write it as 2026-03-05.", option=option) from error
