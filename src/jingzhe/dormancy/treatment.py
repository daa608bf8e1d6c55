"""What to do about whom: a suggestion per state and value tier, in both languages. A small table, as data.

The suggestions keep to one rule: the more a person is worth and the quieter they are, the more personal the contact and
the dearer the incentive; whoever is worth little and gone for long is let lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from jingzhe.core.text import Text

TIERS: Mapping[str, Text] = {
    "high": Text("High", "高价值"),
    "middle": Text("Middle", "中价值"),
    "low": Text("Low", "低价值"),
}


class Treatment(NamedTuple):
    """A suggestion.

    Args:
        code: stable name.
        text: what to do, in words.
    """

    code: str
    text: Text


_WELCOME = Treatment("welcome", Text("Welcome series, no incentive", "新客欢迎序列，无需优惠"))
_WELCOME_PERSONAL = Treatment(
    "welcome_personal", Text("Personal welcome and help with the second order", "专属欢迎，引导第二次购买")
)
_LEAVE = Treatment("leave", Text("Nothing: usual content only", "无需干预，仅常规内容"))
_THANK = Treatment("thank", Text("Thank, early access, no discount", "感谢与优先体验，不打折"))
_ASK = Treatment("ask", Text("Personal contact: ask what is missing", "专人联系，了解缺了什么"))
_REMIND = Treatment("remind", Text("Reminder at their own rhythm with what is new", "按个人周期提醒，推荐新品"))
_NUDGE = Treatment("nudge", Text("One message with what they buy most", "推送一条最常买品类的内容"))
_WIN_BACK_PERSONAL = Treatment(
    "win_back_personal", Text("Personal win-back with the best offer", "专人唤醒，给予最优权益")
)
_WIN_BACK = Treatment("win_back", Text("Win-back series with a moderate offer", "唤醒序列，适度优惠"))
_WIN_BACK_LIGHT = Treatment("win_back_light", Text("One win-back message without an offer", "一条唤醒消息，不给优惠"))
_LAST_CALL = Treatment("last_call", Text("Last personal call, ask why they left", "最后一次专人联系，了解流失原因"))
_YEARLY = Treatment("yearly", Text("One seasonal message a year", "每年一次节令问候"))
_LET_LIE = Treatment("let_lie", Text("Let lie: no contact", "静默，不打扰"))
_SECURE = Treatment(
    "secure", Text("Secure the return: service call, then their category", "稳住回流：服务回访，再推常买品类")
)
_FOLLOW_UP = Treatment("follow_up", Text("Follow up within two weeks", "两周内跟进"))
_INVITE = Treatment("invite", Text("Invite to the first order", "邀请首次下单"))

TREATMENTS: Mapping[tuple[str, str], Treatment] = {
    ("prospect", "high"): _INVITE, ("prospect", "middle"): _INVITE, ("prospect", "low"): _INVITE,
    ("new", "high"): _WELCOME_PERSONAL, ("new", "middle"): _WELCOME, ("new", "low"): _WELCOME,
    ("active", "high"): _THANK, ("active", "middle"): _LEAVE, ("active", "low"): _LEAVE,
    ("declining", "high"): _ASK, ("declining", "middle"): _REMIND, ("declining", "low"): _NUDGE,
    ("dormant", "high"): _WIN_BACK_PERSONAL, ("dormant", "middle"): _WIN_BACK, ("dormant", "low"): _WIN_BACK_LIGHT,
    ("lost", "high"): _LAST_CALL, ("lost", "middle"): _YEARLY, ("lost", "low"): _LET_LIE,
    ("returned", "high"): _SECURE, ("returned", "middle"): _FOLLOW_UP, ("returned", "low"): _LEAVE,
}  # fmt: skip
"""The suggestion for each state and value tier; prospects have no tier and stand as low."""


def treatment(state: str, tier: str | None) -> Treatment:
    """Returns the suggestion for a person.

    Args:
        state: prospect, new, active, declining, dormant, lost or returned.
        tier: high, middle or low; None where the person has no value yet.

    >>> treatment("dormant", "high").text.zh
    '专人唤醒，给予最优权益'
    """
    return TREATMENTS[state, tier or "low"]


def treatment_table() -> pa.Table:
    """Returns the table as Arrow, to be joined: ``state, value_tier, treatment, treatment_en, treatment_zh``."""
    rows = [
        {"state": state, "value_tier": tier, "treatment": one.code, "treatment_en": one.text.en,
         "treatment_zh": one.text.zh}
        for (state, tier), one in TREATMENTS.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)
