from __future__ import annotations

from dataclasses import replace

import pytest

from jingzhe.report import ReportData, headlines
from jingzhe.report.charts.model import wilson
from jingzhe.report.contents import CalibrationBin, QuietTier
from jingzhe.report.headlines import NO_BACKTEST, NO_BUYERS, NO_SCORES, expected_returns
from jingzhe.report.verdict import base_rate, calibrated, choice
from tests.report.business import backtest, frame


@pytest.mark.parametrize(
    ("advantage", "error", "said", "zh"),
    [
        (0.004, 0.006, "within one standard error, so there is no evidence", "没有证据"),
        (0.009, 0.006, "more than one standard error but not two", "可能出于偶然"),
        (0.020, 0.006, "unlikely to be chance", "不大可能"),
        (0.020, None, "the standard error was not measured", "未测量标准误"),
    ],
)
def test_an_advantage_is_weighed_against_its_standard_error(
    advantage: float, error: float | None, said: str, zh: str
) -> None:
    text = choice(backtest(advantage, error))
    assert said in text.en
    assert zh in text.zh


def test_a_model_that_lost_is_not_used_and_the_page_says_so() -> None:
    text = choice(backtest(-0.01, 0.004, chosen="pareto_nbd"))
    assert "“Churn edge” did not beat “Pareto/NBD” on data after the cut (AUC difference −0.010 ± 0.004)" in text.en
    assert "因此本报告采用“Pareto/NBD”" in text.zh


def test_a_model_that_is_used_although_it_ranks_worse_is_named() -> None:
    assert "although its AUC is 0.010 ± 0.004 below" in choice(backtest(-0.01, 0.004)).en
    alone = replace(backtest(), candidate="pareto_nbd", chosen="pareto_nbd")
    assert choice(alone).en == "This report uses “Pareto/NBD”; nothing was judged beside it."


def test_wilson_interval_is_that_of_the_textbook() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263, and 0 of 20.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = wilson(0.0, 20)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.1611)


def test_calibration_counts_groups_in_agreement() -> None:
    judged = replace(
        backtest(), calibration=(CalibrationBin(0.5, 0.52, 1000), CalibrationBin(0.9, 0.5, 1000)), people=0, returned=0
    )
    assert calibrated(judged).en.startswith("In 1 of 2 groups")
    assert "21.0 percentage points" in calibrated(judged).en
    assert "0.0%" in base_rate(judged).en


def test_expected_returns_stay_between_nobody_and_everybody() -> None:
    tier = QuietTier("dormant", "high", 3, 0.0, 0.0, expected_returns=1.5, expected_returns_sd=2.0)
    assert expected_returns(tier).en == "2 (0–3)"


def test_headlines_of_a_whole_shop(full: ReportData) -> None:
    lines = [line.en for line in headlines(full)]
    assert len(lines) == 5
    assert lines[0].startswith(f"Of {full.totals.buyers} customers with an order, {full.state_people('dormant')} (")
    assert "since" in lines[2].lower()
    assert lines[4] == choice(backtest()).en


def test_headlines_without_orders_scores_or_backtest(full: ReportData) -> None:
    assert headlines(ReportData(frame=frame())) == (NO_BUYERS,)
    unscored = replace(
        full, totals=replace(full.totals, scored=0), tiers=(), moves=(), frame=frame(before=None, backtest=None)
    )
    assert headlines(unscored)[1:] == (NO_SCORES, NO_BACKTEST)


def test_whoever_returns_by_themselves_is_not_where_to_start(full: ReportData) -> None:
    def with_returns(expected: float) -> str:
        tier = QuietTier("dormant", "high", 10, 5_000.0, 100.0, expected, 0.5)
        return headlines(replace(full, tiers=(tier,)))[3].en

    assert with_returns(2.0).startswith("Start with the 10 dormant of high value")
    assert "so wait, or contact them against a control group" in with_returns(8.0)
