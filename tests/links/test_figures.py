"""What came of codes, in numbers that a small table of events shows to be right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.core.errors import SettingError
from jingzhe.links.codes import Code, Codes, NewCode
from jingzhe.links.figures import CodeFigures, figures, figures_of
from jingzhe.links.scans import Seen, scanned
from tests.collect.live import NOON, Live, live, track

PERSON = Seen("Mozilla/5.0 (iPhone)", "", False, "", "public-v4")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as opened:
        yield opened


def scan(shop: Live, code: Code, visitor: str, days: float = 0.0, *, bot: bool = False) -> None:
    shop.put(scanned(code, PERSON._replace(visitor=visitor, bot=bot), NOON + timedelta(days=days)))


def buy(shop: Live, visitor: str, order: str, days: float, revenue: float) -> None:
    """Buys on the site, in the browser that scanned; the test's identity goes by the first key."""
    shop.segment({
        "type": "track", "event": "Order Completed", "anonymousId": visitor, "messageId": order, "historical": True,
        "timestamp": (NOON + timedelta(days=days)).isoformat(), "properties": {"order_id": order, "revenue": revenue},
    })  # fmt: skip


def test_the_figures_of_two_codes(shop: Live) -> None:
    codes = Codes(shop.warehouse.state, shop.clock)
    wish = NewCode("Poster", "https://shop.example.com/")
    poster, receipt, unused = (codes.add(MACHINE, replace(wish, name=name)) for name in ("poster", "receipt", "unused"))
    for days in (0.0, 1.0, 2.0):
        scan(shop, poster, "visitor-ann", days)
    scan(shop, poster, "visitor-bob", 0.0)
    scan(shop, poster, "", 0.0)  # no cookie: nobody is known
    scan(shop, poster, "visitor-eve", 0.0, bot=True)
    scan(shop, receipt, "visitor-ann", 0.0)
    shop.clock.moment += timedelta(days=10)
    buy(shop, "visitor-ann", "before", -0.5, 100.0)
    buy(shop, "visitor-ann", "soon", 2.5, 20.0)  # after three scans of the poster: one purchase
    buy(shop, "visitor-ann", "edge", 7.0, 5.0)  # a week after the receipt's scan to the second: too late for it
    buy(shop, "visitor-bob", "late", 7.5, 40.0)
    buy(shop, "visitor-cat", "other", 1.0, 70.0)
    shop.segment(track("Signed In", userId="visitor-bob", messageId="in"))
    shop.drain.run()
    found = {one.code: one for one in figures(shop.warehouse)}
    assert set(found) == {poster.slug, receipt.slug}
    assert found[poster.slug] == CodeFigures(
        poster.slug, scans=5, scans_of_anyone=1, bot_scans=1, visitors=2, identified=1, purchases=2, buyers=1,
        revenue=25.0, first_at=NOON, last_at=NOON + timedelta(days=2),
    )  # fmt: skip
    assert found[receipt.slug] == CodeFigures(
        receipt.slug, scans=1, visitors=1, purchases=1, buyers=1, revenue=20.0, first_at=NOON, last_at=NOON
    )
    wider = figures_of(shop.warehouse, poster.slug, within_days=8)
    assert (wider.purchases, wider.buyers, wider.revenue) == (3, 2, 65.0)
    assert figures_of(shop.warehouse, unused.slug) == CodeFigures(unused.slug)
    early = figures(shop.warehouse, since=NOON + timedelta(days=1), until=NOON + timedelta(days=2))
    assert [(one.code, one.scans) for one in early] == [(poster.slug, 1)]


def test_days_that_cannot_be(shop: Live) -> None:
    with pytest.raises(SettingError):
        figures(shop.warehouse, within_days=0)


def test_scans_that_a_client_makes_up_do_not_count(shop: Live) -> None:
    forged = track("code_scanned", userId="u1", messageId="x", context={"page": {"path": "/l/k7m2xw9qpa"}})
    shop.segment(forged)
    shop.drain.run()
    assert figures(shop.warehouse) == []
