"""What states, RFM classes, value tiers and groups are called, mean and look like."""

from __future__ import annotations

from collections.abc import Mapping

from jingzhe.core.text import Text
from jingzhe.dormancy import treatment
from jingzhe.profile import packs, rfm

STATES = ("prospect", "new", "active", "returned", "declining", "dormant", "lost")
"""The states in the order in which a page shows them."""

STATE_NAMES: Mapping[str, Text] = packs.STATES

STATE_MEANINGS: Mapping[str, Text] = {
    "prospect": Text("known, no order yet", "已知客户，尚未下单"),
    "new": Text("first order not long ago", "近期首次下单"),
    "active": Text("buys within the usual rhythm", "按自身节奏购买"),
    "returned": Text("bought again after having been dormant", "沉睡后再次购买"),
    "declining": Text("slower than the usual rhythm, not dormant yet", "慢于自身节奏，尚未沉睡"),
    "dormant": Text("silent for longer than the own rhythm explains", "沉默时长已超出自身节奏"),
    "lost": Text("silent for so long that a return would be a surprise", "沉默过久，难以指望回头"),
}

STATE_COLOURS: Mapping[str, str] = {
    "prospect": "#a9b3bd",
    "new": "#56b4e9",
    "active": "#009e73",
    "returned": "#cc79a7",
    "declining": "#e69f00",
    "dormant": "#0072b2",
    "lost": "#6b7785",
}
"""Fixed colours, after Okabe and Ito (2008), which people with colour-blindness tell apart."""

ABSENT = "absent"
"""Stands for not being known on one of two dates."""

ABSENT_NAME = Text("Not known yet", "尚未出现")

RFM_CLASSES = tuple(rfm.CLASSES)

_SHORT = {
    "important_value": "Important: value",
    "important_develop": "Important: develop",
    "important_keep": "Important: keep",
    "important_retain": "Important: win back",
    "general_value": "General: value",
    "general_develop": "General: develop",
    "general_keep": "General: keep",
    "general_retain": "General: win back",
}
RFM_NAMES: Mapping[str, Text] = {key: Text(_SHORT[key], name.zh) for key, name in rfm.CLASSES.items()}
"""The classes, short enough for a chart in English."""

RFM_MEANINGS: Mapping[str, Text] = {
    "important_value": Text("recent, frequent, high spend", "近、频、高消费"),
    "important_develop": Text("recent, not frequent, high spend", "近、不频、高消费"),
    "important_keep": Text("not recent, frequent, high spend", "不近、频、高消费"),
    "important_retain": Text("not recent, not frequent, high spend", "不近、不频、高消费"),
    "general_value": Text("recent, frequent, low spend", "近、频、低消费"),
    "general_develop": Text("recent, not frequent, low spend", "近、不频、低消费"),
    "general_keep": Text("not recent, frequent, low spend", "不近、频、低消费"),
    "general_retain": Text("not recent, not frequent, low spend", "不近、不频、低消费"),
}

TIERS = tuple(treatment.TIERS)

TIER_NAMES: Mapping[str, Text] = {key: Text(f"{name.en} value", name.zh) for key, name in treatment.TIERS.items()}

GROUPS = ("steady", "edge", "dormant", "lost")

GROUP_NAMES: Mapping[str, Text] = {
    "steady": Text("Not at the edge", "未到边缘"),
    "edge": Text("At the edge", "沉睡边缘"),
    "dormant": STATE_NAMES["dormant"],
    "lost": STATE_NAMES["lost"],
}

SILENCE_BINS = (
    "under_half",
    "under_one",
    "under_two",
    "under_four",
    "under_eight",
    "eight_or_more",
    "no_rhythm",
)

SILENCE_NAMES: Mapping[str, Text] = {
    "under_half": Text("under 0.5×", "不足 0.5 倍"),
    "under_one": Text("0.5 to 1×", "0.5–1 倍"),
    "under_two": Text("1 to 2×", "1–2 倍"),
    "under_four": Text("2 to 4×", "2–4 倍"),
    "under_eight": Text("4 to 8×", "4–8 倍"),
    "eight_or_more": Text("8× and more", "8 倍及以上"),
    "no_rhythm": Text("one day only", "仅一个购买日"),
}
"""Silence as a multiple of the person's own median gap between purchase days."""
