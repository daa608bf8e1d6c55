"""The evidence in words, per person, built by the engine: why this person counts as quiet or is about to.

Every part says a fact of the person's own history, with its number; the most telling come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jingzhe.core.text import Language, Text
from jingzhe.profile.columns import WINDOW_DAYS
from jingzhe.profile.packs import StatePack

MOST_PARTS = 4

_SILENCE = "($as_of - last_purchase_day)"
_SEPARATOR = Text("; ", "；")


class Reason(NamedTuple):
    """One kind of evidence.

    Args:
        condition: SQL over facts, clock and scores: when it holds.
        text: the words; ``{name}`` stands for the number of that name.
        numbers: SQL of the numbers, by name; each becomes text.
    """

    condition: str
    text: Text
    numbers: Mapping[str, str]


def _whole(sql: str) -> str:
    return f"CAST(CAST(round({sql}) AS BIGINT) AS VARCHAR)"


def _percent(share: str) -> str:
    return _whole(f"100 * ({share})")


_DAYS = {"silence": _whole(_SILENCE), "window": f"'{WINDOW_DAYS}'"}

REASONS: tuple[Reason, ...] = (
    Reason(
        "rhythm_known AND overdue IS NOT NULL AND $as_of > last_purchase_day",
        Text(
            "silent {silence} days; usually buys every {cycle} days, {shorter} % of the gaps would be over",
            "已沉默{silence}天，通常每{cycle}天购买一次，{shorter}%的购买间隔此时已结束",
        ),
        {**_DAYS, "cycle": _whole("greatest(cycle_days, 1)"), "shorter": _whole("floor(least(100 * overdue, 99))")},
    ),
    Reason(
        "NOT rhythm_known AND purchase_days = 1 AND $as_of > last_purchase_day",
        Text("silent {silence} days after a single day of purchase", "仅在1天内购买过，已沉默{silence}天"),
        _DAYS,
    ),
    Reason(
        "NOT rhythm_known AND purchase_days > 1 AND $as_of > last_purchase_day",
        Text("silent {silence} days after {days} days with purchases", "共在{days}天购买过，已沉默{silence}天"),
        {**_DAYS, "days": _whole("purchase_days")},
    ),
    Reason(
        "last_day > last_purchase_day",
        Text("still seen {seen} days ago without buying", "{seen}天前仍有互动但未购买"),
        {"seen": _whole("$as_of - last_day")},
    ),
    Reason(
        "spend_before > 0 AND spend_recent > 0 AND spend_recent < CAST($decline_ratio AS DOUBLE) * spend_before",
        Text(
            "spend in the last {window} days down {drop} % on the {window} days before",
            "近{window}天消费比之前{window}天下降{drop}%",
        ),
        {**_DAYS, "drop": _percent("1 - spend_recent / spend_before")},
    ),
    Reason(
        "purchases_before > 0 AND purchases_recent = 0",
        Text(
            "no order in the last {window} days, {orders} in the {window} days before",
            "近{window}天没有下单，之前{window}天下单{orders}次",
        ),
        {**_DAYS, "orders": _whole("purchases_before")},
    ),
    Reason(
        f"gaps >= 3 AND last_gap_days >= 1.5 * cycle_days AND last_gap_days - cycle_days >= 7 AND {_SILENCE} > 0",
        Text(
            "the cycle was lengthening: the last gap took {last} days, the usual one {cycle}",
            "购买周期在拉长：最近一次间隔{last}天，通常为{cycle}天",
        ),
        {"last": _whole("last_gap_days"), "cycle": _whole("cycle_days")},
    ),
    Reason(
        "active_days_recent > 0 AND active_days_recent < CAST($decline_ratio AS DOUBLE) * active_days_before",
        Text(
            "active on {now} days in the last {window}, on {then} in the {window} before",
            "近{window}天有{now}天活跃，之前{window}天有{then}天",
        ),
        {**_DAYS, "now": _whole("active_days_recent"), "then": _whole("active_days_before")},
    ),
    Reason(
        "return_share >= 0.2",
        Text("returned {share} % of the money spent", "退货金额占消费的{share}%"),
        {"share": _percent("least(return_share, 1)")},
    ),
    Reason(
        "discount_share >= 0.3",
        Text("bought at {share} % off on average", "平均享受{share}%的折扣"),
        {"share": _percent("discount_share")},
    ),
    Reason(
        "top_category IS NOT NULL AND top_category_share >= 0.3",
        Text("bought mostly {category} ({share} % of the spend)", "主要购买{category}（占消费的{share}%）"),
        {"category": "top_category", "share": _percent("top_category_share")},
    ),
)
"""In the order in which they are told; a new one is one entry here."""


def evidence(language: Language, parts: int = MOST_PARTS) -> str:
    """Returns the SQL expression of a person's evidence in words, at most ``parts`` of them.

    It stands over rows that have facts, clock and scores (``profiles`` joined with ``scores``) and binds ``$as_of``
    and :func:`evidence_values`.
    """
    told = ", ".join(f"CASE WHEN {reason.condition} THEN {_words(reason, language)} END" for reason in REASONS)
    chosen = f"list_slice(list_filter([{told}], lambda part: part IS NOT NULL), 1, {int(parts)})"
    return f"array_to_string({chosen}, {_quoted(_SEPARATOR.of(language))})"


def evidence_values(pack: StatePack) -> dict[str, Any]:
    """Returns what :func:`evidence` binds besides ``$as_of``."""
    return {"decline_ratio": pack.decline_ratio}


def _words(reason: Reason, language: Language) -> str:
    """Returns the SQL that puts the numbers into the words."""
    pieces: list[str] = []
    rest = reason.text.of(language)
    while rest:
        before, opened, rest = rest.partition("{")
        if before:
            pieces.append(_quoted(before))
        if opened:
            name, _, rest = rest.partition("}")
            pieces.append(reason.numbers[name])
    return " || ".join(pieces)


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"
