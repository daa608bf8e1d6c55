"""Sections on the quiet and those about to be: what is at stake, by value, and at the edge."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.dormancy.treatment import treatment
from jingzhe.report.blocks import Cell, Heading, Section, Table, row
from jingzhe.report.charts.value import stake_chart, tiers_chart, usual_spend, weeks_chart
from jingzhe.report.contents import EdgePerson, ReportData
from jingzhe.report.headlines import NO_SCORES, NOBODY_QUIET, expected_returns, return_share
from jingzhe.report.names import GROUP_NAMES, STATE_COLOURS, STATE_NAMES, TIER_NAMES
from jingzhe.report.phrasing import (
    NOTHING,
    count,
    day,
    days,
    money,
    percent,
    same,
    say,
    share_of,
    short_money,
)

STAKE = Text("Value at stake", "面临流失的价值")
QUIET = Text("The quiet, by value", "沉默客户：按价值分层")
EDGE = Text("At the edge", "沉睡边缘")


def stake_section(data: ReportData) -> Section:
    """Returns what the groups spent last year and what is expected of them."""
    if not data.totals.scored:
        return Section("stake", STAKE, (NO_SCORES,))
    horizon, currency = data.frame.horizon_days, data.frame.currency
    at_stake = [data.stake(group) for group in ("edge", "dormant", "lost")]
    usual = sum(usual_spend(stake, horizon) for stake in at_stake)
    expected = sum(stake.expected_value for stake in at_stake)
    lead = say(
        "Those at the edge, dormant or lost spent {usual} per {days} days over the last year; the model "
        "expects "
        "{expected} of them in the next {days} days{gap}",
        "过去一年，边缘、沉睡与流失客户平均每 {days} 天消费 {usual}；模型预期未来 {days} 天为 {expected}{gap}",
        usual=short_money(usual, currency),
        expected=short_money(expected, currency),
        days=str(horizon),
        gap=_gap(usual - expected, currency),
    )
    caution = Text(
        "Last year's pace knows no season: compare with the same weeks of last year before acting on the "
        "difference. "
        "An expected value is a mean over many people, not a promise about one.",
        "过去一年的节奏未考虑季节：据此行动前，请与去年同期比较。预期值是众人的平均，并非对个人的承诺。",
    )
    table = Table(
        Text("Revenue and expected spend by group", "各组收入与预期消费"),
        (
            Heading(Text("Group", "分组")),
            Heading(Text("Customers", "客户数"), number=True),
            Heading(Text("Revenue, last 365 days", "近 365 天收入"), number=True),
            Heading(Text("Share of revenue", "收入占比"), number=True),
            Heading(say("Expected, next {days} days", "未来 {days} 天预期", days=str(horizon)), number=True),
        ),
        tuple(
            row(
                GROUP_NAMES[stake.group],
                count(stake.people),
                money(stake.spend_year, currency),
                share_of(stake.spend_year, data.totals.spend_year),
                money(stake.expected_value, currency),
            )
            for stake in data.stakes
        ),
    )
    return Section("stake", STAKE, (lead,), (stake_chart(data),), (table,), (caution,))


def _gap(difference: float, currency: str) -> Text:
    if difference <= 0:
        return Text(".", "。")
    return say(", {gap} less.", "，少 {gap}。", gap=short_money(difference, currency))


def tiers_section(data: ReportData) -> Section:
    """Returns the dormant and lost by value tier, each with a suggested treatment."""
    if not data.state_people("dormant", "lost"):
        return Section("quiet", QUIET, (NOBODY_QUIET,))
    if not data.tiers:
        return Section("quiet", QUIET, (NO_SCORES,))
    horizon, currency = str(data.frame.horizon_days), data.frame.currency
    table = Table(
        Text(
            "Dormant and lost customers by value, with a suggested treatment",
            "按价值分层的沉睡与流失客户及建议",
        ),
        (
            Heading(Text("Group", "分组")),
            Heading(Text("Customers", "客户数"), number=True),
            Heading(Text("Spent so far", "累计消费"), number=True),
            Heading(
                say("Return by themselves in {days} days (95%)", "{days} 天内自行回头（95%）", days=horizon),
                number=True,
            ),
            Heading(Text("Mean P(return)", "平均回头概率"), number=True),
            Heading(Text("Expected spend", "预期消费"), number=True),
            Heading(Text("Suggested treatment", "建议")),
        ),
        tuple(
            row(
                Cell(
                    say(
                        "{state}, {tier}",
                        "{state}·{tier}",
                        state=STATE_NAMES[tier.state],
                        tier=_inner(tier.tier),
                    ),
                    None,
                    STATE_COLOURS[tier.state],
                ),
                count(tier.people),
                money(tier.spend, currency),
                expected_returns(tier),
                return_share(tier),
                money(tier.expected_value, currency),
                treatment(tier.state, tier.tier).text,
            )
            for tier in data.tiers
        ),
        stacked=True,
    )
    return Section("quiet", QUIET, _tiers_lead(data), (tiers_chart(data),), (table,))


def _tiers_lead(data: ReportData) -> tuple[Text, ...]:
    spend = sum(tier.spend for tier in data.tiers)
    high = [tier for tier in data.tiers if tier.tier == "high"]
    return (
        say(
            "{n} of {all} dormant or lost customers are of high value; {share} of all that this group has spent "
            "so far is theirs. Value tiers compare all buyers.",
            "{all} 位沉睡或流失客户中，{n} 位为高价值，占该群体累计消费的 {share}。价值分层以全部购买客户为基准。",
            n=count(sum(tier.people for tier in high)),
            all=count(sum(tier.people for tier in data.tiers)),
            share=share_of(sum(tier.spend for tier in high), spend),
        ),
        Text(
            "The treatments are starting points to be tested, not findings. Whoever returns without being contacted "
            "would be counted as a success of any campaign: keep a control group that is left alone.",
            "建议仅为待检验的起点，并非结论。未经触达也会回头的客户会被算作任何活动的功劳：请保留不触达的对照组。",
        ),
        Text(
            "The intervals cover chance alone: they assume that people decide independently and that the model is "
            "right.",
            "区间仅反映偶然性：假设各人独立决定且模型正确。",
        ),
    )


def _inner(tier: str) -> Text:
    name = TIER_NAMES[tier]
    return Text(name.en.lower(), name.zh)


def edge_section(data: ReportData) -> Section:
    """Returns who is at the edge, the most to lose first."""
    if not data.totals.scored:
        return Section("edge", EDGE, (NO_SCORES,))
    total = data.stake("edge").people
    if not total:
        return Section(
            "edge",
            EDGE,
            (
                Text(
                    "Nobody stands at the edge: whoever is not dormant is expected to buy again in time.",
                    "没有客户处于边缘：未沉睡的客户预计都会按时再次购买。",
                ),
            ),
        )
    lead = say(
        "{n} of {total} at the edge, ordered by last year's revenue times the risk of no order within {days} days.",
        "边缘客户共 {total} 位，列出 {n} 位，按近一年收入 × {days} 天内不下单的风险排序。",
        n=count(len(data.edge)),
        total=count(total),
        days=str(data.frame.horizon_days),
    )
    masks = Text(
        "Customer keys are masked; the number below each is its person id in the full list (jingzhe dormant).",
        "客户标识已脱敏；下方编号为完整名单（jingzhe dormant）中的 person_id。",
    )
    unmasked = Text(
        "The number below each customer is its person id in the full list (jingzhe dormant).",
        "客户下方编号为完整名单（jingzhe dormant）中的 person_id。",
    )
    charts = (weeks_chart(data),) if data.edge_weeks else ()
    soon = say(
        "{n} of them would turn dormant within two weeks if they stayed silent.",
        "其中 {n} 位若继续沉默，将在两周内沉睡。",
        n=count(sum(week.people for week in data.edge_weeks[:2])),
    )
    keys = masks if data.frame.mask_keys else unmasked
    return Section("edge", EDGE, (lead, soon, keys) if charts else (lead, keys), charts, (_edge_table(data),))


def _edge_table(data: ReportData) -> Table:
    horizon = str(data.frame.horizon_days)
    return Table(
        Text("Customers at the edge of dormancy", "沉睡边缘客户"),
        (
            Heading(Text("Customer", "客户")),
            Heading(Text("State", "状态")),
            Heading(Text("Last order", "最近下单")),
            Heading(say("P(order in {days} days)", "{days} 天内下单概率", days=horizon), number=True),
            Heading(Text("Dormant from", "预计沉睡日")),
            Heading(Text("Revenue, last 365 days", "近 365 天收入"), number=True),
            Heading(say("Expected, {days} days", "{days} 天预期", days=horizon), number=True),
            Heading(Text("Why", "依据")),
        ),
        tuple(_edge_row(data, person) for person in data.edge),
        stacked=True,
    )


def _edge_row(data: ReportData, person: EdgePerson) -> tuple[Cell, ...]:
    currency = data.frame.currency
    return row(
        Cell(same(person.key) if person.key else Text("no key", "无标识"), same(str(person.person_id))),
        Cell(STATE_NAMES[person.state], TIER_NAMES.get(person.tier), STATE_COLOURS[person.state]),
        Cell(day(person.last_order), say("{silence} ago", "{silence}前", silence=days(person.silence_days))),
        percent(person.p_return, 0),
        day(person.dormant_on) if person.dormant_on else NOTHING,
        money(person.spend_year, currency),
        money(person.expected_value, currency),
        person.evidence,
    )
