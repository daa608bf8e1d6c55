"""What came of codes, in numbers that flatter nobody.

Bots count apart. Where no browser may be known, nobody is counted as a visitor. Purchases after a scan are purchases
after a scan: some of these people would have bought anyway, and only a control group says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jingzhe.core.errors import SettingError
from jingzhe.links.queries import CODE_FIGURES
from jingzhe.store.warehouse import Warehouse

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class CodeFigures:
    """What came of one code.

    Args:
        code: its slug.
        scans: by people, as far as anybody can tell.
        scans_of_anyone: those of them whose browser is not known, because the project allows no cookie.
        bot_scans: by bots and link previews; in no other number.
        visitors: different people behind the scans whose browser is known.
        identified: those of them whom the business knows by a key of its own.
        purchases: orders of visitors within the days after a scan.
        buyers: people who placed them.
        revenue: net revenue of these orders, in their own currencies.
        first_at: first scan; None where there was none.
        last_at: last scan.
    """

    code: str
    scans: int = 0
    scans_of_anyone: int = 0
    bot_scans: int = 0
    visitors: int = 0
    identified: int = 0
    purchases: int = 0
    buyers: int = 0
    revenue: float = 0.0
    first_at: datetime | None = None
    last_at: datetime | None = None


def figures(
    warehouse: Warehouse,
    *,
    code: str = "",
    within_days: int = 7,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[CodeFigures]:
    """Returns the figures of codes that were scanned, in order of their slugs.

    Args:
        warehouse: where the scans are.
        code: slug of one code; empty for all.
        within_days: how long after a scan a purchase counts, days.
        since: only scans from this moment on, aware.
        until: only scans before this moment, aware.

    Raises:
        SettingError: ``within_days`` is not between 1 and 365.
    """
    if not 1 <= within_days <= 365:
        raise SettingError("Purchases count within 1 to 365 days", field="within_days")
    values: dict[str, Any] = {
        "code": code, "within_us": within_days * _US_PER_DAY, "since": since or _EARLIEST,
        "until": until or warehouse.clock.now() + timedelta(days=1),
    }  # fmt: skip
    with warehouse.reading() as session:
        rows = session.run(CODE_FIGURES, values).to_pylist()
    return [CodeFigures(**row) for row in rows]


def figures_of(warehouse: Warehouse, code: str, *, within_days: int = 7) -> CodeFigures:
    """Returns the figures of one code, noughts where it was never scanned."""
    return next(iter(figures(warehouse, code=code, within_days=within_days)), CodeFigures(code))
