from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from jingzhe.dormancy.choosing import lead_of
from jingzhe.dormancy.judging import auc, brier, calibration, calibration_error, judge, top_decile_lift

pairs = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=4, max_size=60).filter(
    lambda drawn: 0 < sum(outcome for _, outcome in drawn) < len(drawn)
)


@given(pairs)
def test_auc_is_that_of_scikit_learn_with_ties(drawn: list[tuple[int, bool]]) -> None:
    scores, outcome = np.array([s for s, _ in drawn], dtype=float), np.array([o for _, o in drawn])
    assert auc(scores, outcome) == pytest.approx(roc_auc_score(outcome, scores))


def test_auc_needs_both_outcomes() -> None:
    assert auc(np.array([0.1, 0.2]), np.array([True, True])) is None


def test_calibration_counts_everybody_once() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(size=1003)
    outcome = generator.uniform(size=1003) < probabilities
    groups = calibration(probabilities, outcome)
    assert sum(group.people for group in groups) == 1003
    assert [g.predicted for g in groups] == sorted(g.predicted for g in groups)
    assert calibration_error(groups) < 0.05
    assert calibration_error(calibration(np.full(1003, 0.9), outcome)) == pytest.approx(0.9 - outcome.mean())
    assert brier(outcome.astype(float), outcome) == 0


def test_lift_of_a_perfect_score_and_of_none() -> None:
    outcome = np.arange(200) < 20
    assert top_decile_lift(outcome.astype(float), outcome) == pytest.approx(10)
    assert top_decile_lift(np.zeros(200), outcome) == pytest.approx(1)
    assert top_decile_lift(np.zeros(200), np.zeros(200, dtype=bool)) is None


def test_expected_purchases_are_judged_where_given() -> None:
    judged = judge("m", np.array([0.2, 0.8]), np.array([0.0, 3.0]), expected=np.array([1.0, 2.0]))
    assert judged.purchases_mae == 1.0
    assert judged.purchases_correlation == pytest.approx(1.0)
    assert judge("r", np.array([0.2, 0.8]), np.array([0.0, 3.0])).purchases_mae is None


def test_standard_error_of_a_lead_is_that_of_the_bootstrap() -> None:
    generator = np.random.default_rng(4)
    truth = generator.normal(size=1500)
    outcome = truth + generator.normal(size=1500) > 0.5
    first, second = truth + generator.normal(0, 0.5, 1500), truth + generator.normal(0, 0.9, 1500)
    lead, error = lead_of(first, second, outcome)
    assert lead == pytest.approx((auc(first, outcome) or 0) - (auc(second, outcome) or 0))
    drawn = []
    for _ in range(400):
        rows = generator.integers(0, 1500, 1500)
        drawn.append((auc(first[rows], outcome[rows]) or 0) - (auc(second[rows], outcome[rows]) or 0))
    assert error == pytest.approx(np.std(drawn), rel=0.15)
