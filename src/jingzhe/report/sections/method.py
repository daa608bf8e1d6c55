"""Sections at the end: what the data are like, and how to read the page."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.blocks import Cell, Heading, Section, Table, row
from jingzhe.report.contents import Imports, ReportData
from jingzhe.report.names import STATE_COLOURS, STATE_MEANINGS, STATE_NAMES, STATES
from jingzhe.report.phrasing import count, day, days, same, say, share_of


def quality_section(data: ReportData) -> Section:
    """Returns what was read, refused and skipped, and the gaps."""
    quality = data.quality
    lead: list[Text] = []
    if quality.imports:
        lead.append(_imported(quality.imports, quality.rejected_rows))
    if quality.days_in_range:
        lead.append(
            say(
                "There were orders on {with_orders} of {all} days from {first} to {last}.",
                "{first} 至 {last} 的 {all} 天中，{with_orders} 天有订单。",
                with_orders=count(quality.days_with_orders),
                all=count(quality.days_in_range),
                first=day(data.totals.first_day),
                last=day(data.frame.as_of),
            )
        )
    if quality.longest_gap and quality.longest_gap.days > 1:
        gap = quality.longest_gap
        lead.append(
            say(
                "The longest time without any order: {days}, {first} to {last}. "
                "If the business was open then, data may be missing.",
                "最长的无订单时段：{days}，{first} 至 {last}。若当时正常营业，数据可能缺失。",
                days=days(gap.days),
                first=day(gap.first_day),
                last=day(gap.last_day),
            )
        )
    silent = data.totals.people - data.totals.buyers
    if silent:
        lead.append(
            say(
                "{n} of {all} people have no order.",
                "{all} 人中有 {n} 人没有订单。",
                n=count(silent),
                all=count(data.totals.people),
            )
        )
    if not quality.rejected:
        lead.append(Text("No row was rejected.", "没有被拒绝的数据行。"))
    return Section(
        "quality",
        Text("Data quality", "数据质量"),
        tuple(lead),
        (),
        (_rejected_table(data),) if quality.rejected else (),
    )


def _imported(imports: Imports, rejected: int) -> Text:
    return say(
        "Read {read} rows: {accepted} accepted ({share}), {rejected} rejected, {duplicates} skipped "
        "because they "
        "were there already.",
        "共读取 {read} 行：接受 {accepted} 行（{share}），拒绝 {rejected} 行，因已存在而跳过 {duplicates} 行。",
        read=count(imports.rows_read),
        accepted=count(imports.rows_accepted),
        share=share_of(imports.rows_accepted, imports.rows_read),
        rejected=count(rejected),
        duplicates=count(imports.duplicates),
    )


def _rejected_table(data: ReportData) -> Table:
    total = data.quality.rejected_rows
    return Table(
        Text("Rejected rows by reason", "被拒绝的数据行（按原因）"),
        (
            Heading(Text("Reason", "原因")),
            Heading(Text("Field", "字段")),
            Heading(Text("Rows", "行数"), number=True),
            Heading(Text("Share", "占比"), number=True),
        ),
        tuple(
            row(rejected.reason, same(rejected.field), count(rejected.rows), share_of(rejected.rows, total))
            for rejected in data.quality.rejected
        ),
    )


def method_section(data: ReportData) -> Section:
    """Returns how to read the page, with the meaning of the states and the papers behind the numbers."""
    states = Table(
        Text("What the states mean", "各状态的含义"),
        (Heading(Text("State", "状态")), Heading(Text("Meaning", "含义"))),
        tuple(row(Cell(STATE_NAMES[state], None, STATE_COLOURS[state]), STATE_MEANINGS[state]) for state in STATES),
    )
    return Section("method", Text("How to read this", "如何阅读本报告"), _reading(data), (), (states,), _sources())


def _reading(data: ReportData) -> tuple[Text, ...]:
    return (
        say(
            "Everything holds as of the end of {day}, from what was known by then. Probabilities speak "
            "of an order "
            "within the next {days} days.",
            "所有内容均截至 {day} 结束时，仅使用届时已知的数据。概率均指未来 {days} 天内下单。",
            day=day(data.frame.as_of),
            days=str(data.frame.horizon_days),
        ),
        Text(
            "P(return) is a share: of 100 customers with 20%, about 20 are expected to order. It does not say which.",
            "回头概率是比例：100 位概率为 20% 的客户中，预计约 20 位会下单，但不说明是哪几位。",
        ),
        Text(
            "At the edge: not dormant yet, but the probability of an order is so low that dormancy is "
            "near. The "
            "predicted dormancy date is the day on which the silence would count as dormant if it lasted.",
            "沉睡边缘：尚未沉睡，但下单概率已低，沉睡将近。预计沉睡日指沉默若持续，将计为沉睡的日期。",
        ),
        Text(
            "Revenue is before refunds; RFM and “spent so far” are net of refunds. Nothing here shows "
            "that contact "
            "brings anybody back: only a comparison with customers left alone can.",
            "收入为退款前金额；RFM 与累计消费已扣除退款。本报告不能证明触达会让客户回头："
            "只有与未触达客户的对照才能证明。",
        ),
    )


def _sources() -> tuple[Text, ...]:
    return (
        Text(
            "Purchase models: Fader, Hardie and Lee (2005), BG/NBD, Marketing Science 24(2); Batislam, "
            "Denizel and "
            "Filiztekin (2007), MBG/NBD; Schmittlein, Morrison and Colombo (1987), Pareto/NBD; Fader and "
            "Hardie (2013), "
            "Gamma-Gamma. Score interval: Wilson (1927).",
            "购买模型：Fader、Hardie 与 Lee（2005）BG/NBD，Marketing Science 24(2)；Batislam、Denizel 与 "
            "Filiztekin（2007）"
            "MBG/NBD；Schmittlein、Morrison 与 Colombo（1987）Pareto/NBD；Fader 与 "
            "Hardie（2013）Gamma-Gamma。"
            "比例区间：Wilson（1927）。",
        ),
        Text("Colours: Okabe and Ito (2008).", "配色：Okabe 与 Ito（2008）。"),
    )
