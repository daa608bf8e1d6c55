"""Section on RFM: the 8 classes and the grid."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.blocks import Cell, Heading, Section, Table, row
from jingzhe.report.charts.rfm import classes_chart, grid_chart
from jingzhe.report.contents import ReportData
from jingzhe.report.names import RFM_MEANINGS, RFM_NAMES
from jingzhe.report.phrasing import count, days, decimal, money, say, share_of

TITLE = Text("Value: RFM", "价值：RFM")


def rfm_section(data: ReportData) -> Section:
    """Returns the classes with people and spend, and recency by frequency."""
    classes = data.rfm_classes
    if not classes:
        return Section("rfm", TITLE, (Text("No RFM classes have been computed yet.", "尚未计算 RFM 分类。"),))
    people = sum(rfm.people for rfm in classes)
    spend = sum(rfm.spend for rfm in classes)
    important = [rfm for rfm in classes if rfm.key.startswith("important")]
    sleeping = [rfm for rfm in important if rfm.key in ("important_keep", "important_retain")]
    lead = say(
        "The four important classes are {people} of buyers and {spend} of spend; {quiet} of them have "
        "not bought "
        "recently.",
        "四类重要客户占购买客户的 {people}、消费的 {spend}；其中 {quiet} 位近期未购买。",
        people=share_of(sum(rfm.people for rfm in important), people),
        spend=share_of(sum(rfm.spend for rfm in important), spend),
        quiet=count(sum(rfm.people for rfm in sleeping)),
    )
    table = Table(
        Text("RFM classes: people and spend", "RFM 分类：人数与消费"),
        (
            Heading(Text("Class", "类别")),
            Heading(Text("Customers", "客户数"), number=True),
            Heading(Text("Share", "人数占比"), number=True),
            Heading(Text("Spent so far", "累计消费"), number=True),
            Heading(Text("Share of spend", "消费占比"), number=True),
        ),
        tuple(
            row(
                Cell(RFM_NAMES[rfm.key], RFM_MEANINGS[rfm.key]),
                count(rfm.people),
                share_of(rfm.people, people),
                money(rfm.spend, data.frame.currency),
                share_of(rfm.spend, spend),
            )
            for rfm in classes
        ),
    )
    charts = (classes_chart(data), grid_chart(data)) if data.rfm_cells else (classes_chart(data),)
    return Section("rfm", TITLE, (lead, *_thresholds(data)), charts, (table,))


def _thresholds(data: ReportData) -> tuple[Text, ...]:
    found = data.frame.rfm
    if found is None:
        return ()
    return (
        say(
            "Recent: an order within {recency}; frequent: more than {frequency} orders; high spend: more than "
            "{monetary} so far.",
            "近：{recency}内有订单；频：订单数超过 {frequency}；高消费：累计消费超过 {monetary}。",
            recency=days(found.recency_days),
            frequency=decimal(found.frequency, 0),
            monetary=money(found.monetary, data.frame.currency),
        ),
    )
