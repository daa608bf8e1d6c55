"""How sure the models are, said plainly: who won on data after the cut, and whether that could be chance."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.charts.model import wilson
from jingzhe.report.contents import Backtest
from jingzhe.report.phrasing import count, decimal, percent, say


def choice(backtest: Backtest) -> Text:
    """Returns which model the report uses and how its advantage compares with its standard error."""
    candidate, rival = backtest.model(backtest.candidate).name, backtest.model(backtest.rival).name
    used = backtest.model(backtest.chosen).name
    if backtest.candidate == backtest.rival:
        return say(
            "This report uses “{used}”; nothing was judged beside it.",
            "本报告采用“{used}”，没有可比的模型。",
            used=used,
        )
    difference, error = backtest.advantage, backtest.advantage_se
    size = decimal(abs(difference))
    shown = size if error is None else say("{size} ± {error}", "{size} ± {error}", size=size, error=decimal(error))
    if backtest.chosen != backtest.candidate:
        return say(
            "“{candidate}” did not beat “{rival}” on data after the cut (AUC difference {sign}{shown}); "
            "this report therefore uses “{used}”.",
            "在截断日之后的数据上，“{candidate}”未能胜过“{rival}”（AUC 差 {sign}{shown}），因此本报告采用“{used}”。",
            candidate=candidate,
            rival=rival,
            sign="−" if difference < 0 else "+",
            shown=shown,
            used=used,
        )
    if difference < 0:
        return say(
            "This report uses “{used}” although its AUC is {shown} below that of “{rival}”.",
            "本报告采用“{used}”，尽管其 AUC 比“{rival}”低 {shown}。",
            used=used,
            rival=rival,
            shown=shown,
        )
    return say(
        "This report uses “{used}”. Its AUC is {shown} above that of the next best, “{rival}”: {weight}",
        "本报告采用“{used}”，其 AUC 比次优的“{rival}”高 {shown}：{weight}",
        used=used,
        rival=rival,
        shown=shown,
        weight=_weight(difference, error),
    )


def _weight(difference: float, error: float | None) -> Text:
    if error is None:
        return Text(
            "the standard error was not measured, so it is unknown whether this is chance.",
            "未测量标准误，无法判断是否出于偶然。",
        )
    if difference <= error:
        return Text(
            "within one standard error, so there is no evidence that it is better.",
            "在一个标准误之内，没有证据表明它更好。",
        )
    if difference <= 2 * error:
        return Text(
            "more than one standard error but not two, so it may be chance.",
            "超过一个但不足两个标准误，可能出于偶然。",
        )
    return Text("more than two standard errors, unlikely to be chance.", "超过两个标准误，不大可能出于偶然。")


def base_rate(backtest: Backtest) -> Text:
    """Returns how many were judged and how many of them returned, with the interval."""
    share = backtest.returned / backtest.people if backtest.people else 0.0
    low, high = wilson(share, backtest.people)
    return say(
        "Judged on {n} buyers: {returned} ({share}; 95% interval {low} to {high}) ordered within {days} "
        "days of the cut.",
        "以 {n} 位购买客户检验：其中 {returned} 位（{share}，95% 区间 {low} 至 {high}）在截断日后 {days} 天内下单。",
        n=count(backtest.people),
        returned=count(backtest.returned),
        share=percent(share),
        low=percent(low),
        high=percent(high),
        days=str(backtest.horizon_days),
    )


def calibrated(backtest: Backtest) -> Text:
    """Returns in how many bins the observed share agrees with the prediction, and the mean distance."""
    bins = backtest.calibration
    inside = 0
    for bin_ in bins:
        low, high = wilson(bin_.observed, bin_.people)
        inside += low <= bin_.predicted <= high
    people = sum(bin_.people for bin_ in bins) or 1
    distance = sum(abs(bin_.observed - bin_.predicted) * bin_.people for bin_ in bins) / people
    return say(
        "In {inside} of {all} groups the prediction lies within the 95% interval of what happened; "
        "on average it is {distance} percentage points off.",
        "{all} 组中有 {inside} 组的预测落在实际比例的 95% 区间内；平均偏差 {distance} 个百分点。",
        inside=str(inside),
        all=str(len(bins)),
        distance=decimal(distance * 100, 1),
    )
