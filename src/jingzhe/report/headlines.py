"""The few sentences to read if there is time for no more."""

from __future__ import annotations

import math

from jingzhe.core.text import Text
from jingzhe.report.contents import QuietTier, ReportData
from jingzhe.report.names import ABSENT
from jingzhe.report.phrasing import count, day, people, percent, say, share_of, short_money
from jingzhe.report.verdict import choice

NO_BUYERS = Text(
    "There are no orders up to this day, so there is nobody who could have gone quiet.",
    "截至该日没有任何订单，因此谈不上谁已沉睡。",
)
NO_SCORES = Text(
    "There are no scores yet: states and facts are shown, probabilities and expected values are not.",
    "尚无评分：仅展示状态与事实，不含概率与预期价值。",
)
NO_BACKTEST = Text(
    "The models have not been tested on data after a cut, so it is unknown how far to trust the probabilities.",
    "模型尚未用截断日之后的数据检验，概率的可信程度未知。",
)
NOBODY_QUIET = Text("Nobody is dormant or lost.", "没有沉睡或流失的客户。")


def headlines(data: ReportData) -> tuple[Text, ...]:
    """Returns up to five sentences, the most important first."""
    if not data.totals.buyers:
        return (NO_BUYERS,)
    found = [_quiet(data), _edge(data), _moved(data), _first(data), _trust(data)]
    return tuple(sentence for sentence in found if sentence is not None)


def _quiet(data: ReportData) -> Text:
    dormant, lost = data.state_people("dormant"), data.state_people("lost")
    if not dormant + lost:
        return NOBODY_QUIET
    buyers = data.totals.buyers
    spend = data.stake("dormant").spend_year + data.stake("lost").spend_year
    return say(
        "Of {buyers} with an order, {dormant} ({dormant_share}) are dormant and {lost} ({lost_share}) lost; "
        "in the last 365 days they still brought {spend} ({spend_share} of revenue).",
        "{buyers}中，{dormant} 位（{dormant_share}）已沉睡，{lost} 位（{lost_share}）已流失；"
        "近 365 天他们仍贡献 {spend}（占收入 {spend_share}）。",
        buyers=people(buyers),
        dormant=count(dormant),
        dormant_share=share_of(dormant, buyers),
        lost=count(lost),
        lost_share=share_of(lost, buyers),
        spend=short_money(spend, data.frame.currency),
        spend_share=share_of(spend, data.totals.spend_year),
    )


def _edge(data: ReportData) -> Text:
    if not data.totals.scored:
        return NO_SCORES
    edge = data.stake("edge")
    if not edge.people:
        return Text("Nobody is at the edge of dormancy.", "没有客户处于沉睡边缘。")
    return say(
        "{edge} not dormant yet but at the edge: {spend} in the last 365 days ({share} of revenue).",
        "{edge}尚未沉睡但已在边缘：近 365 天消费 {spend}（占收入 {share}）。",
        edge=say("{n} is", "{n}", n=people(1)) if edge.people == 1 else say("{n} are", "{n}", n=people(edge.people)),
        spend=short_money(edge.spend_year, data.frame.currency),
        share=share_of(edge.spend_year, data.totals.spend_year),
    )


def _moved(data: ReportData) -> Text | None:
    known = [move for move in data.moves if move.before != ABSENT]
    if not known or data.frame.before is None:
        return None
    quiet = ("dormant", "lost")
    fell = sum(move.people for move in known if move.before not in quiet and move.now in quiet)
    woke = sum(move.people for move in known if move.before in quiet and move.now not in quiet)
    return say(
        "Since {day}, {fell} went quiet and {woke} came back.",
        "自 {day}以来，{fell}转入沉睡或流失，{woke} 位恢复购买。",
        day=day(data.frame.before),
        fell=people(fell),
        woke=Text(f"{woke:,}", f"{woke:,}"),
    )


def _first(data: ReportData) -> Text | None:
    tier = next((tier for tier in data.tiers if (tier.state, tier.tier) == ("dormant", "high")), None)
    if tier is None:
        return None
    parts: dict[str, Text | str] = {
        "n": count(tier.people),
        "spend": short_money(tier.spend, data.frame.currency),
        "returns": expected_returns(tier),
        "days": str(data.frame.horizon_days),
    }
    if tier.expected_returns >= tier.people / 2:
        return say(
            "The {n} dormant of high value have spent {spend} so far; without any contact {returns} of them are "
            "expected to order within {days} days, so wait, or contact them against a control group.",
            "{n} 位高价值沉睡客户累计消费 {spend}；不做任何触达，预计 {days} 天内也有 {returns}位下单，"
            "宜先观察，或设对照组再触达。",
            **parts,
        )
    return say(
        "Start with the {n} dormant of high value: they have spent {spend} so far, and without any contact only "
        "{returns} of them are expected to order within {days} days.",
        "先从 {n} 位高价值沉睡客户入手：累计消费 {spend}；不做任何触达，预计 {days} 天内仅有 {returns}位下单。",
        **parts,
    )


def _trust(data: ReportData) -> Text:
    return choice(data.frame.backtest) if data.frame.backtest else NO_BACKTEST


def expected_returns(tier: QuietTier) -> Text:
    """Returns how many are expected to return, with the 95 % interval of chance."""
    low = max(tier.expected_returns - 1.96 * tier.expected_returns_sd, 0.0)
    high = min(tier.expected_returns + 1.96 * tier.expected_returns_sd, float(tier.people))
    return say(
        "{mean} ({low}–{high})",
        "{mean}（{low}–{high}）",
        mean=count(tier.expected_returns),
        low=count(math.floor(low)),
        high=count(math.ceil(high)),
    )


def return_share(tier: QuietTier) -> Text:
    """Returns the mean probability of an order within the horizon."""
    return percent(tier.expected_returns / tier.people if tier.people else None)
