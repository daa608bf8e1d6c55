"""Charts that judge the models on what came after the cut: calibration, and ranking."""

from __future__ import annotations

import math

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import BLUE, GREEN, GREY, MUTED, Chart, Sheet
from jingzhe.report.contents import Backtest, ReportData
from jingzhe.report.phrasing import count, decimal, joined, percent, say
from jingzhe.report.sources import cut_line

Z95 = 1.959964


def wilson(share: float, people: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share of ``people`` (Wilson 1927, formula for the score interval)."""
    if people <= 0:
        return 0.0, 1.0
    scale = 1 + Z95**2 / people
    centre = (share + Z95**2 / (2 * people)) / scale
    half = Z95 * math.sqrt(share * (1 - share) / people + Z95**2 / (4 * people**2)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)


def calibration_chart(data: ReportData, backtest: Backtest) -> Chart:
    """Returns predicted against observed shares, with 95 % intervals."""
    alt = joined(
        tuple(
            say(
                "predicted {predicted}, observed {observed} (n = {n})",
                "预测 {predicted}，实际 {observed}（n = {n}）",
                predicted=percent(bin_.predicted, 0),
                observed=percent(bin_.observed, 0),
                n=count(bin_.people),
            )
            for bin_ in backtest.calibration
        )
    )
    return Chart(
        "calibration",
        Text("Do the probabilities mean what they say?", "概率可信吗？预测与实际"),
        say(
            "% with an order within {days} days: predicted (across) and observed (up); bars: 95% intervals",
            "{days} 天内下单的比例（%）：横轴预测，纵轴实际；竖线为 95% 区间",
            days=str(backtest.horizon_days),
        ),
        cut_line(data),
        alt,
        lambda sheet: _draw_calibration(sheet, backtest),
        (320, 320),
    )


def _draw_calibration(sheet: Sheet, backtest: Backtest) -> None:
    left, base = 44.0, sheet.bottom - 44
    side = base - sheet.top - 6
    across = min(sheet.width - left - 14, side * 1.7)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + across * x, base - side * y

    small = sheet.size - 1.5
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(tick, tick)
        sheet.line(left, y, left + across, y)
        sheet.middle(left - 7, y, f"{tick:.0%}", anchor="right", size=small, colour=MUTED)
        sheet.words(x, base + 16, f"{tick:.0%}", anchor="center", size=small, colour=MUTED)
    sheet.line(*at(0, 0), *at(1, 1), colour=MUTED, dashed=True)
    most = max(bin_.people for bin_ in backtest.calibration) or 1
    for bin_ in backtest.calibration:
        low, high = wilson(bin_.observed, bin_.people)
        sheet.line(*at(bin_.predicted, low), *at(bin_.predicted, high), colour=BLUE, width=1.6)
        sheet.dot(*at(bin_.predicted, bin_.observed), 3.5 + 3.5 * math.sqrt(bin_.people / most), BLUE)
    note = Text(
        "dashed line: exactly as predicted; larger dot: more customers", "虚线：与预测完全一致；点越大，客户越多"
    )
    sheet.words(1, base + 36, note, size=small - (0.6 if sheet.narrow else 0), colour=MUTED)


def ranking_chart(data: ReportData, backtest: Backtest) -> Chart:
    """Returns the AUC of every model, with 95 % intervals where they are known."""
    models = backtest.ranked
    alt = joined(
        tuple(
            say("{name}: AUC {auc}", "{name}：AUC {auc}", name=model.name, auc=decimal(model.auc)) for model in models
        )
    )
    height = 44 + 40 * len(models)
    return Chart(
        "ranking",
        Text("How well each model tells who will return", "各模型分辨回头客的能力"),
        Text(
            "AUC: 0.5 is a coin, 1 is perfect; bars: 95% intervals; green: the one used",
            "AUC：0.5 等于抛硬币，1 为完美；横线为 95% 区间；绿色为采用的模型",
        ),
        cut_line(data),
        alt,
        lambda sheet: _draw_ranking(sheet, backtest),
        (height, height),
    )


def _draw_ranking(sheet: Sheet, backtest: Backtest) -> None:
    models = backtest.ranked
    reach = [Z95 * (model.auc_se or 0.0) for model in models]
    lowest = min(model.auc - half for model, half in zip(models, reach, strict=True))
    highest = max(model.auc + half for model, half in zip(models, reach, strict=True))
    low = max(math.floor((lowest - 0.005) * 20) / 20, 0.0)
    high = min(math.ceil((highest + 0.005) * 20) / 20, 1.0)
    left, right = 10.0, 60.0
    room = sheet.width - left - right
    base = sheet.bottom - 26

    def at(auc: float) -> float:
        return left + room * (auc - low) / (high - low)

    ticks = round((high - low) * 20)
    step = 1 if ticks <= 6 else 2 if ticks <= 12 else 4
    for tick in range(0, ticks + 1, step):
        x = at(low + tick / 20)
        sheet.line(x, sheet.top + 2, x, base)
        sheet.words(x, base + 16, f"{low + tick / 20:.2f}", anchor="center", size=sheet.size - 1.5, colour=MUTED)
    for row, (model, half) in enumerate(zip(models, reach, strict=True)):
        y = sheet.top + 12 + row * 40
        colour = GREEN if model.key == backtest.chosen else GREY
        bold = model.key == backtest.chosen
        sheet.middle(left, y, model.name, bold=bold, size=sheet.size - 0.5)
        if half:
            sheet.line(at(model.auc - half), y + 17, at(model.auc + half), y + 17, colour=colour, width=3)
        sheet.dot(at(model.auc), y + 17, 5.5, colour)
        sheet.middle(sheet.width - 2, y + 17, decimal(model.auc), anchor="right", bold=bold)
