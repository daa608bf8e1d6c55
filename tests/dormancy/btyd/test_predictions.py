"""What the models predict: against simulated futures, against the papers' formulas, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import hyp2f1

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import BgNbd, MbgNbd, ParetoNbd
from jingzhe.dormancy.btyd.history import FloatArray
from tests.dormancy.btyd.populations import live

Model = BgNbd | MbgNbd | ParetoNbd

MODELS: list[Model] = [
    BgNbd(r=0.6, alpha=20.0, a=0.8, b=2.5, time_unit_days=1.0),
    MbgNbd(r=0.9, alpha=25.0, a=0.7, b=1.6, time_unit_days=1.0),
    ParetoNbd(r=0.8, alpha=25.0, s=0.7, beta=60.0, time_unit_days=1.0),
    ParetoNbd(r=1.4, alpha=90.0, s=1.0, beta=30.0, time_unit_days=1.0),
]
HORIZON = 80.0


def assert_mean(measured: FloatArray, predicted: FloatArray) -> None:
    """The difference is 0 within 4.5 standard errors."""
    difference = measured - predicted
    error = difference.std() / np.sqrt(difference.size)
    assert abs(difference.mean()) < 4.5 * error + 1e-12, (measured.mean(), predicted.mean(), measured.size)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_predictions_agree_with_simulated_lives(model: Model) -> None:
    people = live(model, np.random.default_rng(1).uniform(5, 150, 150_000), HORIZON, seed=2)
    p_alive = model.p_alive(*people.history)
    p_return = model.p_return(HORIZON, *people.history)
    expected = model.expected_purchases(HORIZON, *people.history)
    silence = people.age - people.recency
    groups = [people.frequency == x for x in range(4)] + [people.frequency > 3]
    groups += [silence < 10, (silence >= 10) & (silence < 50), silence >= 50, people.age < 20]
    for group in groups:
        assert group.sum() > 300
        assert_mean(people.alive[group], p_alive[group])
        assert_mean((people.later > 0)[group].astype(float), p_return[group])
        assert_mean(people.later[group], expected[group])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_simulated_futures_agree_with_predictions(model: Model) -> None:
    generator = np.random.default_rng(4)
    for x, recency, age in [(0.0, 0.0, 60.0), (1.0, 20.0, 90.0), (6.0, 50.0, 55.0)]:
        n = 100_000
        history = np.full(n, x), np.full(n, recency), np.full(n, age)
        count, delay = model.simulate_if_alive(HORIZON, history[0], history[2], generator)
        p_alive = model.p_alive(x, recency, age)
        assert_mean((count > 0) * p_alive, np.full(n, model.p_return(HORIZON, x, recency, age)))
        assert_mean(count * p_alive, np.full(n, model.expected_purchases(HORIZON, x, recency, age)))
        # Σ over purchases of their delay = ∫ t dE(t) = h E(h) - ∫ E(t) dt
        nodes, weights = np.polynomial.legendre.leggauss(12)
        days = (nodes + 1) * HORIZON / 2
        area = weights @ model.expected_purchases(days, x, recency, age) * HORIZON / 2
        total = HORIZON * model.expected_purchases(HORIZON, x, recency, age) - area
        assert_mean(count * delay * p_alive, np.full(n, total))


def test_expected_purchases_is_equation_10() -> None:
    """Fader, Hardie & Lee 2005, eq. 10, where 2F1 is well behaved."""
    r, alpha, a, b = 0.2426, 4.4136, 0.7929, 2.4259
    x, recency, age, t = np.array([0.0, 2, 7]), np.array([0.0, 30.43, 29]), np.array([38.86, 38.86, 35]), 39.0
    first = (a + b + x - 1) / (a - 1)
    hypergeometric = hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + age + t))
    second = 1 - ((alpha + age) / (alpha + age + t)) ** (r + x) * hypergeometric
    third = 1 + (x > 0) * a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + x)
    model = BgNbd(r=r, alpha=alpha, a=a, b=b)
    np.testing.assert_allclose(
        model.expected_purchases(t * 7, x, recency * 7, age * 7), first * second / third, rtol=1e-10
    )
    # brucehardie.com/notes/004 works customer 1 of CDNOW: 1.226 purchases in the next 39 weeks
    assert model.expected_purchases(39 * 7, 2, 30.43 * 7, 38.86 * 7) == pytest.approx(1.226, abs=5e-4)


def test_no_exception_at_a_of_1_and_s_of_1() -> None:
    """Both closed forms are 0/0 there; neighbours must meet."""
    args = (HORIZON, [0, 3, 20], [0, 30, 55], [60, 60, 60])
    for family in (BgNbd, MbgNbd):
        left, at, right = (
            family(r=0.6, alpha=9.0, a=a, b=2.0).expected_purchases(*args) for a in (1 - 1e-6, 1.0, 1 + 1e-6)
        )
        np.testing.assert_allclose((left + right) / 2, at, rtol=1e-9)
    left, at, right = (
        ParetoNbd(r=0.6, alpha=9.0, s=s, beta=12.0).expected_purchases(*args) for s in (1 - 1e-6, 1.0, 1 + 1e-6)
    )
    np.testing.assert_allclose((left + right) / 2, at, rtol=1e-9)


def test_people_with_one_purchase_are_alive_in_bgnbd_but_hardly_return() -> None:
    model = BgNbd(r=0.2426, alpha=4.4136, a=0.7929, b=2.4259)
    assert model.p_alive(0, 0, [10, 4000]).tolist() == [1.0, 1.0]
    soon, late = model.p_return(90, 0, 0, [10, 4000])
    assert late < 0.01
    assert soon > 0.2


PARAMETER = st.floats(0.03, 60.0)
AGE = st.one_of(st.floats(0.0, 18_262.0), st.sampled_from([0.0, 1.0, 18_262.0]))
WIDE_MODELS = st.one_of(
    st.builds(BgNbd, r=PARAMETER, alpha=PARAMETER, a=PARAMETER, b=PARAMETER),
    st.builds(MbgNbd, r=PARAMETER, alpha=PARAMETER, a=PARAMETER, b=PARAMETER),
    st.builds(ParetoNbd, r=PARAMETER, alpha=PARAMETER, s=PARAMETER, beta=PARAMETER),
)


@given(
    model=WIDE_MODELS,
    frequency=st.one_of(st.integers(0, 10_000), st.sampled_from([0, 1, 10_000])),
    share=st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0])),
    age=AGE,
    horizons=st.lists(st.floats(0.0, 3650.0), min_size=3, max_size=3).map(sorted),
)
def test_edges(model: Model, frequency: int, share: float, age: float, horizons: list[float]) -> None:
    recency = min(age, age * share) if frequency else 0.0
    ahead = np.array([0.0, *horizons])
    p_alive = float(model.p_alive(frequency, recency, age))
    p_return = model.p_return(ahead, frequency, recency, age)
    expected = model.expected_purchases(ahead, frequency, recency, age)
    assert 0 <= p_alive <= 1
    assert np.all((p_return >= 0) & (p_return <= p_alive + 1e-9))
    assert np.all(np.diff(p_return) >= -1e-9)
    assert np.all(np.isfinite(expected))
    assert np.all(np.diff(expected) >= -1e-6 * np.abs(expected[1:]))
    assert np.all(p_return <= expected * (1 + 1e-6) + 1e-9)
    assert p_return[0] == 0
    assert expected[0] == 0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_shapes_follow_the_arguments(model: Model) -> None:
    assert model.p_alive(1, 5, 9).shape == ()
    assert model.p_alive([[1], [2]], [[4], [5]], [9, 10, 11]).shape == (2, 3)
    grid = model.expected_purchases([[10.0], [20.0]], [0, 1, 2], [0, 4, 5], [9, 9, 9])
    assert grid.shape == (2, 3)
    assert grid[1, 2] == pytest.approx(float(model.expected_purchases(20, 2, 5, 9)), rel=1e-12)
    assert model.p_return(30, [], [], []).shape == (0,)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_unit_of_time_changes_nothing(model: Model) -> None:
    stored = model.to_dict()
    in_weeks = {k: v / 7 if k in {"alpha", "beta"} else v for k, v in model.parameters.items()}
    weeks = type(model).from_dict(stored | {"parameters": in_weeks, "time_unit_days": 7.0})
    history = [0, 2, 9], [0, 30, 70], [50, 60, 75]
    np.testing.assert_allclose(weeks.p_return(60, *history), model.p_return(60, *history), rtol=1e-10)
    np.testing.assert_allclose(
        weeks.expected_purchases(60, *history), model.expected_purchases(60, *history), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("horizon", "history", "message"),
    [
        (-1, ([1], [1], [2]), "horizon_days is negative"),
        (float("nan"), ([1], [1], [2]), "horizon_days is missing"),
        ([1, 2, 3], ([1, 1], [1, 1], [2, 2]), "horizon_days has shape"),
        (5, ([1], [3], [2]), "recency_days is larger than age_days"),
    ],
)
def test_what_cannot_be_asked_is_named(
    horizon: float, history: tuple[list[int], list[int], list[int]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        MODELS[0].p_return(horizon, *history)
