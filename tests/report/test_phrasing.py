from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jingzhe.core.text import Text
from jingzhe.report.phrasing import days, moment, money, percent, say, short_money


@pytest.mark.parametrize(
    ("amount", "currency", "full", "short"),
    [
        (12_345.4, "CNY", Text("¥12,345", "¥12,345"), Text("¥12,345", "¥1.2万")),
        (9_999.0, "CNY", Text("¥9,999", "¥9,999"), Text("¥9,999", "¥9,999")),
        (12_345_678.0, "USD", Text("$12,345,678", "$12,345,678"), Text("$12.3 m", "$1,234.6万")),
        (2.5e9, "", Text("2,500,000,000", "2,500,000,000"), Text("2.50 bn", "25.00亿")),
        (-12.6, "CHF", Text("−CHF 13", "−CHF 13"), Text("−CHF 13", "−CHF 13")),
        (2.5, "EUR", Text("€2.50", "€2.50"), Text("€2.50", "€2.50")),
        (0.0, "EUR", Text("€0", "€0"), Text("€0", "€0")),
        (None, "EUR", Text("–", "–"), Text("–", "–")),
        (float("nan"), "EUR", Text("–", "–"), Text("–", "–")),
    ],
)
def test_amounts(amount: float | None, currency: str, full: Text, short: Text) -> None:
    assert money(amount, currency) == full
    assert short_money(amount, currency) == short


@pytest.mark.parametrize(
    ("share", "shown"), [(0.5, "50.0%"), (0.0, "0.0%"), (0.0001, "<0.1%"), (1.0, "100.0%"), (None, "–")]
)
def test_small_shares_do_not_become_zero(share: float | None, shown: str) -> None:
    assert percent(share).en == shown


def test_days_and_dates() -> None:
    assert days(1) == Text("1 day", "1 天")
    assert days(7.25) == Text("7.2 days", "7.2 天")
    assert moment(datetime(2026, 3, 5, 9, 4, tzinfo=UTC)) == Text("5 Mar 2026, 09:04 UTC", "2026年3月5日 09:04 UTC")


def test_parts_are_not_read_as_templates() -> None:
    assert say("{name} slept", "{name} 睡了", name="{0.__class__}") == Text("{0.__class__} slept", "{0.__class__} 睡了")
