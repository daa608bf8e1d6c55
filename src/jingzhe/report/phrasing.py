"""Numbers, amounts, dates and sentences in both languages at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime

from jingzhe.core.text import Language, Text

SYMBOLS: Mapping[str, str] = {
    "CNY": "¥",
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "HKD": "HK$",
    "JPY": "JP¥",
    "TWD": "NT$",
}
"""Signs of currencies; the others are written with their code."""

LANGUAGES: tuple[Language, ...] = ("en", "zh")
NOTHING = Text("–", "–")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def say(en: str, zh: str, **parts: Text | str) -> Text:
    """Returns a sentence in both languages, each filled with its own form of the parts.

    Args:
        en: English, with ``{name}`` for a part.
        zh: the same in Chinese.
        parts: what is filled in.
    """

    def filled(template: str, language: Language) -> str:
        return template.format(
            **{name: part.of(language) if isinstance(part, Text) else part for name, part in parts.items()}
        )

    return Text(filled(en, "en"), filled(zh, "zh"))


def same(words: str) -> Text:
    """Returns a text that reads alike in both languages: a name, a number."""
    return Text(words, words)


def joined(texts: tuple[Text, ...]) -> Text:
    """Returns clauses as one: with semicolons in English and in Chinese."""
    return Text("; ".join(text.en for text in texts), "；".join(text.zh for text in texts))


def count(number: float) -> Text:
    """Returns a whole number with thousands separators."""
    return same(f"{round(number):,}")


def decimal(number: float | None, digits: int = 3) -> Text:
    """Returns a number with ``digits`` decimals; a dash where it is not known."""
    if number is None or not math.isfinite(number):
        return NOTHING
    return same(f"{number:,.{digits}f}")


def percent(share: float | None, digits: int = 1) -> Text:
    """Returns a share as a percentage; small but positive shares do not become zero."""
    if share is None or not math.isfinite(share):
        return NOTHING
    smallest = 10.0**-digits
    value = share * 100
    if 0 < value < smallest:
        return same(f"<{smallest:.{digits}f}%")
    return same(f"{value:.{digits}f}%")


def share_of(part: float, whole: float) -> Text:
    """Returns ``part / whole`` as a percentage; a dash where the whole is nothing."""
    return percent(part / whole) if whole else NOTHING


def money(amount: float | None, currency: str) -> Text:
    """Returns an amount in full, as it stands in tables.

    Args:
        amount: in the currency's unit; None where it is not known.
        currency: ISO 4217 code, or empty.
    """
    if amount is None or not math.isfinite(amount):
        return NOTHING
    return same(f"{_signed(amount, currency)}{_plain(abs(amount))}")


def short_money(amount: float | None, currency: str) -> Text:
    """Returns an amount as it stands in sentences and charts, shortened.

    English amounts are in full below ten millions, Chinese ones below ten thousand (万).

    Args:
        amount: in the currency's unit; None where it is not known.
        currency: ISO 4217 code, or empty.
    """
    if amount is None or not math.isfinite(amount):
        return NOTHING
    sign, size = _signed(amount, currency), abs(amount)
    return Text(f"{sign}{_english(size)}", f"{sign}{_chinese(size)}")


def _signed(amount: float, currency: str) -> str:
    symbol = SYMBOLS.get(currency, f"{currency} " if currency else "")
    return f"{'−' if amount < 0 else ''}{symbol}"


def _english(size: float) -> str:
    if size >= 999_950_000:
        return f"{size / 1e9:,.2f} bn"
    if size >= 9_999_500:
        return f"{size / 1e6:,.1f} m"
    return _plain(size)


def _chinese(size: float) -> str:
    if size >= 99_995_000:
        return f"{size / 1e8:,.2f}亿"
    if size >= 9_999.5:
        return f"{size / 1e4:,.1f}万"
    return _plain(size)


def _plain(size: float) -> str:
    return f"{size:,.0f}" if size >= 9.995 or size == round(size) else f"{size:,.2f}"


def currency_unit(currency: str) -> Text:
    """Returns the name of the unit in which amounts stand."""
    return same(currency) if currency else Text("currency as in the source", "币种同数据来源")


def day(value: date | None) -> Text:
    """Returns a calendar day as people write it."""
    if value is None:
        return NOTHING
    return Text(f"{value.day} {_MONTHS[value.month - 1]} {value.year}", f"{value.year}年{value.month}月{value.day}日")


def moment(value: datetime) -> Text:
    """Returns a moment to the minute, with its zone."""
    zone = value.strftime("%Z") or "UTC"
    written = day(value.date())
    clock = f"{value:%H:%M} {zone}"
    return Text(f"{written.en}, {clock}", f"{written.zh} {clock}")


def days(number: float | None) -> Text:
    """Returns a length in days."""
    if number is None or not math.isfinite(number):
        return NOTHING
    shown = f"{number:,.0f}" if number >= 10 or number == round(number) else f"{number:.1f}"
    return Text(f"{shown} day" if shown == "1" else f"{shown} days", f"{shown} 天")


def people(number: float) -> Text:
    """Returns a number of people."""
    shown = f"{round(number):,}"
    return Text(f"{shown} customer" if shown == "1" else f"{shown} customers", f"{shown} 位客户")


def span(low: Text, high: Text) -> Text:
    """Returns an interval."""
    return Text(f"{low.en}–{high.en}", f"{low.zh}–{high.zh}")
