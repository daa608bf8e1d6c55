"""Section on the models: how far to trust them."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.blocks import Cell, Heading, Section, Table, row
from jingzhe.report.charts.model import calibration_chart, ranking_chart
from jingzhe.report.charts.sheet import Chart
from jingzhe.report.contents import Backtest, ModelResult, ReportData
from jingzhe.report.headlines import NO_BACKTEST
from jingzhe.report.phrasing import NOTHING, decimal, say
from jingzhe.report.verdict import base_rate, calibrated, choice

TITLE = Text("How sure we are", "有多可信")


def model_section(data: ReportData) -> Section:
    """Returns how the models did on data they had not seen."""
    backtest = data.frame.backtest
    if backtest is None:
        return Section("model", TITLE, (NO_BACKTEST,))
    lead: tuple[Text, ...] = (base_rate(backtest), choice(backtest))
    charts: tuple[Chart, ...] = (ranking_chart(data, backtest),)
    if backtest.calibration:
        lead += (calibrated(backtest),)
        charts = (calibration_chart(data, backtest), *charts)
    notes = (
        Text(
            "AUC: the chance that a customer who returned had a higher score than one who did not. "
            "Brier: mean squared "
            "error of the probability, smaller is better. Lift: returners among the tenth with the "
            "highest score, "
            "relative to everybody.",
            "AUC：回头客户的评分高于未回头客户的概率。Brier：概率的均方误差，越小越好。"
            "提升度：评分最高的十分之一客户中回头者的比例相对于全体的倍数。",
        ),
    )
    return Section("model", TITLE, lead, charts, (_models_table(backtest),), notes)


def _models_table(backtest: Backtest) -> Table:
    return Table(
        Text("Models on data after the cut", "各模型在截断日之后的表现"),
        (
            Heading(Text("Model", "模型")),
            Heading(Text("AUC ± standard error", "AUC ± 标准误"), number=True),
            Heading(Text("Brier", "Brier"), number=True),
            Heading(Text("Lift, top tenth", "前 10% 提升度"), number=True),
        ),
        tuple(_model_row(model, backtest) for model in backtest.ranked),
    )


def _model_row(model: ModelResult, backtest: Backtest) -> tuple[Cell, ...]:
    used = Text("used in this report", "本报告采用") if model.key == backtest.chosen else None
    auc = decimal(model.auc)
    if model.auc_se is not None:
        auc = say("{auc} ± {error}", "{auc} ± {error}", auc=auc, error=decimal(model.auc_se))
    lift = say("{lift}×", "{lift} 倍", lift=decimal(model.lift, 2)) if model.lift is not None else NOTHING
    return row(Cell(model.name, used), auc, decimal(model.brier, 4), lift)
