"""The source line under every chart."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.contents import ReportData
from jingzhe.report.phrasing import day, same, say

_NAMED = 2
_LONGEST = 40


def source_names(data: ReportData) -> Text:
    """Returns the names of the sources, the first ones if there are many."""
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in data.frame.sources]
    if not names:
        return Text("the project's data", "本项目数据")
    listed = Text(", ".join(names[:_NAMED]), "、".join(names[:_NAMED]))
    more = len(names) - _NAMED
    if more <= 0:
        return listed
    return say(
        "{listed} and {more} more",
        "{listed} 等 {all} 个来源",
        listed=listed,
        more=str(more),
        all=str(len(names)),
    )


def source_line(data: ReportData) -> Text:
    """Returns ``Source: … as of …``."""
    return say(
        "Source: {names}, as of {day}",
        "来源：{names}，截至 {day}",
        names=source_names(data),
        day=day(data.frame.as_of),
    )


def cut_line(data: ReportData) -> Text:
    """Returns the source line of charts that judge the models."""
    backtest = data.frame.backtest
    if backtest is None:
        return source_line(data)
    return say(
        "Source: {names}; models saw data up to {cut}, judged on the {days} days after",
        "来源：{names}；模型只用 {cut} 及之前的数据，以其后 {days} 天检验",
        names=source_names(data),
        cut=day(backtest.cut),
        days=same(str(backtest.horizon_days)),
    )
