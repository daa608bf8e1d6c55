"""Industry packs: the thresholds from which states are told, per kind of business.

The general pack says what the whole product means by dormant where a person's rhythm is unknown: no purchase for
180 days is dormant, for 365 days lost. The other packs are starting points for businesses that are bought from
more or less often; a company sets its own in its settings file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from jingzhe.core.errors import SettingError
from jingzhe.core.text import Text


@dataclass(frozen=True)
class StatePack:
    """Thresholds of the states.

    Args:
        name: of the pack.
        dormant_after_days: silence that counts as dormant where the rhythm is unknown, days.
        lost_after_days: silence that counts as lost, at least, days.
        new_days: days after the first purchase in which a person is new.
        returned_days: days after the purchase that ended a dormancy in which a person counts as returned; another
            purchase ends it.
        dormant_quantile: quantile of the person's own gaps at which silence becomes dormancy, 0 to 1.
        cooling_quantile: the same for slowing down.
        dormant_min_days: personal thresholds are never shorter than this, days.
        dormant_max_days: personal thresholds are never longer than this, days.
        min_gaps: gaps between purchase days from which a rhythm counts as known.
        horizon_days: horizon of the probabilities where nobody asks for another, days.
        decline_ratio: activity or spend of the last window below this share of the window before is a decline.
    """

    name: str = "general"
    dormant_after_days: int = 180
    lost_after_days: int = 365
    new_days: int = 30
    returned_days: int = 60
    dormant_quantile: float = 0.95
    cooling_quantile: float = 0.80
    dormant_min_days: int = 14
    dormant_max_days: int = 365
    min_gaps: int = 3
    decline_ratio: float = 0.5
    horizon_days: int = 90

    def __post_init__(self) -> None:
        if not 0 < self.dormant_after_days < self.lost_after_days:
            raise SettingError(
                "A person is dormant before being lost: dormant_after_days must be above 0 and below lost_after_days",
                pack=self.name,
            )
        if not 0 < self.cooling_quantile <= self.dormant_quantile < 1:
            raise SettingError("Quantiles must fulfil 0 < cooling_quantile <= dormant_quantile < 1", pack=self.name)
        if not 0 < self.dormant_min_days <= self.dormant_max_days:
            raise SettingError("dormant_min_days must be above 0 and at most dormant_max_days", pack=self.name)
        if self.new_days < 0 or self.returned_days < 0 or self.min_gaps < 1:
            raise SettingError("new_days and returned_days must be 0 or more, min_gaps 1 or more", pack=self.name)
        if not 0 < self.decline_ratio <= 1:
            raise SettingError("decline_ratio must be above 0 and at most 1", pack=self.name)

    def to_dict(self) -> dict[str, Any]:
        """Returns the thresholds by name."""
        return asdict(self)


PACKS: Mapping[str, StatePack] = {
    pack.name: pack
    for pack in (
        StatePack(),
        StatePack("ecommerce", 120, 365, dormant_min_days=21),
        StatePack("beauty", 120, 300, new_days=45, dormant_min_days=30),
        StatePack(
            "appliances",
            540,
            1095,
            new_days=90,
            returned_days=120,
            dormant_min_days=120,
            dormant_max_days=1095,
            horizon_days=365,
        ),
        StatePack("supermarket", 60, 180, dormant_min_days=14, dormant_max_days=180, horizon_days=28),
        StatePack(
            "scenic",
            400,
            800,
            new_days=60,
            returned_days=90,
            dormant_min_days=90,
            dormant_max_days=800,
            horizon_days=180,
        ),
    )
}
"""Packs that ship, by name."""

STATES: Mapping[str, Text] = {
    "prospect": Text("Prospect", "潜在"),
    "new": Text("New", "新客"),
    "active": Text("Active", "活跃"),
    "declining": Text("Declining", "下滑"),
    "dormant": Text("Dormant", "沉睡"),
    "lost": Text("Lost", "流失"),
    "returned": Text("Returned", "回流"),
}
"""The states in the order in which people usually pass through them."""


def pack(name: str, **own: Any) -> StatePack:
    """Returns a pack by name, with own thresholds in place of its own.

    Raises:
        SettingError: there is no such pack or threshold.
    """
    if name not in PACKS:
        raise SettingError(f"There is no industry pack {name!r}", hint=f"Packs: {', '.join(PACKS)}")
    known = {field.name for field in fields(StatePack)}
    unknown = set(own) - known
    if unknown:
        raise SettingError(f"A pack has no threshold {min(unknown)!r}", hint=f"Thresholds: {', '.join(sorted(known))}")
    return replace(PACKS[name], **own)
