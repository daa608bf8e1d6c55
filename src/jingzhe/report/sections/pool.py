"""Sections on the pool: states, movement, silence."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.blocks import Cell, Heading, Section, Table, row
from jingzhe.report.charts.pool import movement_chart, pool_chart
from jingzhe.report.charts.silence import silence_chart
from jingzhe.report.contents import ReportData, StateCount
from jingzhe.report.names import ABSENT, STATE_COLOURS, STATE_MEANINGS, STATE_NAMES
from jingzhe.report.phrasing import NOTHING, count, day, days, money, same, say, share_of

NO_EARLIER = Text(
    "No earlier day was given to compare with, so movement between states is not shown.",
    "未指定可比较的较早日期，因此不展示状态迁移。",
)
EARLIER_EMPTY = Text(
    "Nobody was known on the earlier day, so there is no movement to show.",
    "较早日期尚无已知客户，因此没有可展示的状态迁移。",
)


def pool_section(data: ReportData) -> Section:
    """Returns where everybody stands and how they moved."""
    known = any(move.before != ABSENT for move in data.moves)
    charts = (pool_chart(data), movement_chart(data)) if known else (pool_chart(data),)
    lead: tuple[Text, ...] = (
        Text(
            "Each customer stands in exactly one state. What counts as silence depends on the customer's "
            "own rhythm, "
            "not on one threshold for all.",
            "每位客户恰好处于一种状态。多久算沉默取决于客户自身的购买节奏，而非统一门槛。",
        ),
    )
    if data.totals.people == 1:
        lead += (
            Text(
                "There is one customer only; shares and averages say little here.",
                "仅有一位客户，占比与平均值意义有限。",
            ),
        )
    if not known:
        lead += (EARLIER_EMPTY if data.frame.before else NO_EARLIER,)
    return Section("pool", Text("The pool", "客户池"), lead, charts, (_states_table(data),))


def _states_table(data: ReportData) -> Table:
    horizon = str(data.frame.horizon_days)
    compared = any(state.people_before is not None for state in data.states)
    headings = [
        Heading(Text("State", "状态")),
        Heading(Text("Customers", "客户数"), number=True),
        Heading(Text("Share", "占比"), number=True),
    ]
    if compared:
        headings.append(Heading(say("Since {day}", "较 {day}", day=day(data.frame.before)), number=True))
    headings += [
        Heading(Text("Revenue, last 365 days", "近 365 天收入"), number=True),
        Heading(say("Expected, next {days} days", "未来 {days} 天预期", days=horizon), number=True),
    ]
    return Table(
        Text("The pool by state: customers and money", "各状态的客户数与金额"),
        tuple(headings),
        tuple(_state_row(data, state, compared=compared) for state in data.states),
    )


def _state_row(data: ReportData, state: StateCount, *, compared: bool) -> tuple[Cell, ...]:
    cells: list[Cell | Text] = [
        Cell(STATE_NAMES[state.state], STATE_MEANINGS[state.state], STATE_COLOURS[state.state]),
        count(state.people),
        share_of(state.people, data.totals.people),
    ]
    if compared:
        cells.append(_change(state.people - state.people_before) if state.people_before is not None else NOTHING)
    cells += [money(state.spend_year, data.frame.currency), money(state.expected_value, data.frame.currency)]
    return row(*cells)


def _change(difference: int) -> Text:
    return same("±0" if difference == 0 else f"{'+' if difference > 0 else '−'}{abs(difference):,}")


def silence_section(data: ReportData) -> Section:
    """Returns how long people have been quiet compared with their own cycle."""
    buyers = data.totals.buyers
    long_quiet = sum(part.people for part in data.silence if part.bin in ("under_four", "under_eight", "eight_or_more"))
    return Section(
        "silence",
        Text("How long quiet", "沉默了多久"),
        (
            say(
                "A silence of 1× is as long as the customer's usual gap. {n} of {buyers} buyers "
                "({share}) have no "
                "rhythm of their own yet: they count as dormant after {dormant} and as lost after {lost}.",
                "1 倍即与该客户平时的购买间隔一样长。{buyers} 位购买客户中有 {n} 位（{share}）尚无自身节奏："
                "沉默 {dormant}计为沉睡，{lost}计为流失。",
                n=count(data.totals.rhythmless),
                buyers=count(buyers),
                share=share_of(data.totals.rhythmless, buyers),
                dormant=days(data.frame.dormant_after_days),
                lost=days(data.frame.lost_after_days),
            ),
            say(
                "{n} buyers ({share}) have been quiet for at least twice as long as is usual for them.",
                "{n} 位购买客户（{share}）的沉默时长已达平时间隔的两倍以上。",
                n=count(long_quiet),
                share=share_of(long_quiet, buyers),
            ),
        ),
        (silence_chart(data),) if data.silence else (),
    )
