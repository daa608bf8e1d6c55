"""Charts of money: what is at stake, the quiet by value, the edge by week."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import AMBER, BLUE, GREY, MUTED, Chart, Sheet
from jingzhe.report.contents import EdgeWeek, QuietTier, ReportData, Stake
from jingzhe.report.names import GROUP_NAMES, STATE_COLOURS, STATE_NAMES, TIER_NAMES
from jingzhe.report.phrasing import count, currency_unit, joined, same, say, short_money
from jingzhe.report.sources import source_line


def usual_spend(stake: Stake, horizon_days: int) -> float:
    """Returns what the group spent per ``horizon_days`` on average over the last 365 days."""
    return stake.spend_year * horizon_days / 365


def stake_chart(data: ReportData) -> Chart:
    """Returns spend at last year's pace against expected spend, by group."""
    horizon = data.frame.horizon_days
    currency = data.frame.currency
    alt = joined(
        tuple(
            say(
                "{name}: {usual} at last year's pace, {expected} expected",
                "{name}：按过去一年节奏 {usual}，预期 {expected}",
                name=GROUP_NAMES[stake.group],
                usual=short_money(usual_spend(stake, horizon), currency),
                expected=short_money(stake.expected_value, currency),
            )
            for stake in data.stakes
        )
    )
    height = 24 + 54 * len(data.stakes)
    return Chart(
        "stake",
        say(
            "Spend at last year's pace and expected, {days} days",
            "过去一年节奏与预期消费（{days} 天）",
            days=str(horizon),
        ),
        say(
            "{unit} per {days} days, before refunds",
            "{unit}，每 {days} 天，退款前",
            unit=currency_unit(currency),
            days=str(horizon),
        ),
        source_line(data),
        alt,
        lambda sheet: _draw_stake(sheet, data),
        (height, height),
    )


def _draw_stake(sheet: Sheet, data: ReportData) -> None:
    horizon, currency = data.frame.horizon_days, data.frame.currency
    largest = max(max(usual_spend(stake, horizon), stake.expected_value) for stake in data.stakes) or 1
    left, right = (104.0, 80.0) if sheet.narrow else (124.0, 104.0)
    room = sheet.width - left - right
    pace, expected = Text("last year's pace", "过去一年节奏"), Text("expected", "预期")
    sheet.box(left, sheet.top + 1, 11, 11, GREY)
    sheet.words(left + 17, sheet.top + 11, pace, size=sheet.size - 1)
    sheet.box(left + 128, sheet.top + 1, 11, 11, BLUE)
    sheet.words(left + 145, sheet.top + 11, expected, size=sheet.size - 1)
    for row, stake in enumerate(data.stakes):
        y = sheet.top + 26 + row * 54
        sheet.middle(left - 10, y + 14, GROUP_NAMES[stake.group], anchor="right")
        people = say("n = {n}", "n = {n}", n=count(stake.people))
        sheet.middle(left - 10, y + 31, people, anchor="right", size=sheet.size - 2, colour=MUTED)
        for line, (amount, colour) in enumerate(((usual_spend(stake, horizon), GREY), (stake.expected_value, BLUE))):
            top = y + line * 21
            width = max(room * amount / largest, 1.5 if amount > 0 else 0)
            sheet.box(left, top, width, 18, colour)
            sheet.middle(left + width + 7, top + 9, short_money(amount, currency))
    sheet.line(left, sheet.top + 22, left, sheet.bottom, colour=MUTED)


def tiers_chart(data: ReportData) -> Chart:
    """Returns the dormant and lost by value tier: people, and what they have spent so far."""
    currency = data.frame.currency
    alt = joined(
        tuple(
            say(
                "{state}, {tier}: {people} customers, {spend} spent so far",
                "{state}、{tier}：{people} 位，累计消费 {spend}",
                state=STATE_NAMES[tier.state],
                tier=TIER_NAMES[tier.tier],
                people=count(tier.people),
                spend=short_money(tier.spend, currency),
            )
            for tier in data.tiers
        )
    )
    height = 24 + 30 * len(data.tiers)
    return Chart(
        "tiers",
        Text("The quiet by value: how many, and what they were worth", "沉默客户的价值：人数与累计消费"),
        say(
            "customers · {unit} spent so far, net of refunds",
            "客户数（位）· 累计消费（{unit}，扣除退款）",
            unit=currency_unit(currency),
        ),
        source_line(data),
        alt,
        lambda sheet: _draw_tiers(sheet, data.tiers, currency),
        (height, height),
    )


def _draw_tiers(sheet: Sheet, tiers: tuple[QuietTier, ...], currency: str) -> None:
    left = 112.0 if sheet.narrow else 148.0
    half = (sheet.width - left) / 2
    room = half - (46 if sheet.narrow else 62)
    spend_room = half - (66 if sheet.narrow else 88)
    most_people = max(tier.people for tier in tiers) or 1
    most_spend = max(tier.spend for tier in tiers) or 1
    sheet.words(left, sheet.top + 11, Text("customers", "客户数"), size=sheet.size - 1, colour=MUTED)
    sheet.words(left + half, sheet.top + 11, Text("spent so far", "累计消费"), size=sheet.size - 1, colour=MUTED)
    for row, tier in enumerate(tiers):
        y = sheet.top + 22 + row * 30
        short = Text(TIER_NAMES[tier.tier].en.split()[0].lower(), TIER_NAMES[tier.tier].zh)
        name = say("{state}, {tier}", "{state}·{tier}", state=STATE_NAMES[tier.state], tier=short)
        sheet.middle(left - 8, y + 11, name, anchor="right", size=sheet.size - 0.5)
        colour = STATE_COLOURS[tier.state]
        width = max(room * tier.people / most_people, 1.5)
        sheet.box(left, y, width, 22, colour)
        sheet.middle(left + width + 5, y + 11, count(tier.people), size=sheet.size - 0.5)
        width = max(spend_room * max(tier.spend, 0) / most_spend, 1.5)
        sheet.box(left + half, y, width, 22, colour)
        sheet.middle(left + half + width + 5, y + 11, short_money(tier.spend, currency), size=sheet.size - 0.5)


def weeks_chart(data: ReportData) -> Chart:
    """Returns how many at the edge turn dormant in each coming week if nothing is heard of them."""
    weeks = data.edge_weeks
    total = sum(week.people for week in weeks)
    soon = sum(week.people for week in weeks[:2])
    return Chart(
        "weeks",
        Text("At the edge: the week in which silence becomes dormancy", "沉睡边缘：沉默将成为沉睡的周次"),
        Text("customers per week, if they stay silent until then", "每周客户数（位），假设在此之前一直沉默"),
        source_line(data),
        say(
            "{soon} of {total} customers at the edge would turn dormant within two weeks",
            "{total} 位边缘客户中，{soon} 位将在两周内沉睡",
            soon=count(soon),
            total=count(total),
        ),
        lambda sheet: _draw_weeks(sheet, weeks),
        (190, 190),
    )


def _draw_weeks(sheet: Sheet, weeks: tuple[EdgeWeek, ...]) -> None:
    largest = max(week.people for week in weeks) or 1
    base = sheet.bottom - 34
    room = base - sheet.top - 20
    step = min((sheet.width - 4) / len(weeks), 72.0)
    every = 1 if step >= 44 else 2 if step >= 24 else 3
    for position, week in enumerate(weeks):
        x = 2 + position * step
        height = max(room * week.people / largest, 1.5 if week.people else 0)
        sheet.box(x, base - height, step - 4, height, AMBER)
        if week.people:
            sheet.words(
                x + (step - 4) / 2,
                base - height - 5,
                count(week.people),
                anchor="center",
                size=sheet.size - 1.5,
            )
        if position % every == 0:
            last = position == len(weeks) - 1 and position == 12
            label = same(f"{week.first_day.month}/{week.first_day.day}{'+' if last else ''}")
            sheet.words(x + (step - 4) / 2, base + 15, label, anchor="center", size=sheet.size - 2, colour=MUTED)
    sheet.line(2, base, 2 + step * len(weeks) - 4, base, colour=MUTED)
    note = say("week from, month/day of {year}", "各周起始日（{year}年，月/日）", year=str(weeks[0].first_day.year))
    sheet.words(2, base + 31, note, size=sheet.size - 2, colour=MUTED)
