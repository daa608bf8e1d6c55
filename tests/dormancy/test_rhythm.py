from __future__ import annotations

import math
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from jingzhe.dormancy.queries import KNOWN
from jingzhe.dormancy.rhythm import Rhythm, _likelihood, clock, fit_cells, fit_rhythm, overdue, rhythm_values
from jingzhe.dormancy.snapshots import know
from jingzhe.profile.packs import pack
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.query import one
from tests.dormancy.conftest import Opened, Tables
from tests.dormancy.histories import cdnow, complete_journey, online_retail

RHYTHM = Rhythm(location=3.0, strength=1.5, shape=4.0, rate=2.0, people=100, gaps=400)


def facts(gaps: list[list[int]]) -> pa.Table:
    """Returns the facts of rhythm of people with these gaps, silent for 40 days."""
    logs = [np.log(np.array(own, dtype=float)) for own in gaps]
    return pa.table(
        {
            "person_id": pa.array(range(len(gaps)), pa.int64()),
            "gaps": pa.array([len(own) for own in gaps], pa.int32()),
            "gap_log_sum": [float(own.sum()) for own in logs],
            "gap_log_square_sum": [float((own**2).sum()) for own in logs],
            "last_gap_days": pa.array([own[-1] if own else None for own in gaps], pa.int32()),
            "last_purchase_day": pa.array([date(2024, 1, 1)] * len(gaps), pa.date32()),
        }
    )


def clocked(session: DuckSession, table: pa.Table, rhythm: Rhythm = RHYTHM) -> list[dict[str, object]]:
    session.offer("people", table)
    columns = clock(rhythm, pack("general"))
    sql = f"SELECT *, {overdue(rhythm)} AS overdue FROM ({columns.select('people')}) ORDER BY person_id"
    values = {**columns.values, **rhythm_values(rhythm), "as_of": date(2024, 2, 10)}
    rows: list[dict[str, object]] = session.run(one("clocked", sql), values).to_pylist()
    return rows


def test_marginal_likelihood_is_the_integral_over_location_and_variance() -> None:
    logs = np.log([10.0, 14.0, 9.0])

    precision, location = np.meshgrid(np.linspace(0.01, 15, 1500), np.linspace(0, 6, 1201))
    joint = stats.gamma(RHYTHM.shape, scale=1 / RHYTHM.rate).pdf(precision)
    joint *= stats.norm(RHYTHM.location, 1 / np.sqrt(RHYTHM.strength * precision)).pdf(location)
    for log in logs:
        joint *= stats.norm(location, 1 / np.sqrt(precision)).pdf(log)
    inner = integrate.trapezoid(joint, precision, axis=1)
    expected = float(integrate.trapezoid(inner, location[:, 0]))
    theta = np.array([RHYTHM.location, *np.log([RHYTHM.strength, RHYTHM.shape, RHYTHM.rate])])
    cell = [np.array([value]) for value in (3.0, logs.mean(), logs.var(), 1.0)]
    value, _ = _likelihood(theta, *cell)
    assert value == pytest.approx(math.log(expected), abs=1e-4)


@given(
    st.floats(1, 5), st.floats(-1, 2), st.floats(0.1, 2), st.floats(-1, 1),
    st.lists(st.tuples(st.integers(1, 30), st.floats(0, 5), st.floats(0, 2), st.integers(1, 9)), min_size=1),
)  # fmt: skip
def test_gradient_is_that_of_the_likelihood(
    location: float, strength: float, shape: float, rate: float, cells: list[tuple[int, float, float, int]]
) -> None:
    columns = [np.array(column, dtype=float) for column in zip(*cells, strict=True)]
    theta = np.array([location, strength, shape, rate])
    _, gradient = _likelihood(theta, *columns)
    for position in range(4):
        step = np.eye(4)[position] * 1e-5
        slope = (_likelihood(theta + step, *columns)[0] - _likelihood(theta - step, *columns)[0]) / 2e-5
        assert gradient[position] == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_population_is_recovered_from_draws() -> None:
    generator = np.random.default_rng(3)
    people = 4000
    variance = 2.0 / generator.gamma(4.0, 1.0, people)
    location = generator.normal(3.0, np.sqrt(variance / 1.5))
    count = generator.integers(1, 12, people)
    logs = [generator.normal(m, math.sqrt(v), n) for m, v, n in zip(location, variance, count, strict=True)]
    mean, spread = np.array([own.mean() for own in logs]), np.array([own.var() for own in logs])
    found = fit_cells(count.astype(float), mean, spread, np.ones(people))
    assert found.location == pytest.approx(3.0, abs=0.04)
    assert found.strength == pytest.approx(1.5, rel=0.1)
    assert found.shape == pytest.approx(4.0, rel=0.2)
    assert found.rate == pytest.approx(2.0, rel=0.2)


def test_95_percent_quantile_is_that_of_the_student_t() -> None:
    for gaps in (0, 1, 5, 40):
        logs = np.linspace(2.0, 3.0, gaps) if gaps else np.array([])
        location, scale = RHYTHM.predictive(*(np.array([v]) for v in (float(gaps), logs.sum(), (logs**2).sum())))
        strength, shape = RHYTHM.strength + gaps, RHYTHM.shape + gaps / 2
        mean = logs.mean() if gaps else RHYTHM.location
        rate = RHYTHM.rate + (logs.var() * gaps if gaps else 0) / 2
        rate += RHYTHM.strength * gaps * (mean - RHYTHM.location) ** 2 / (2 * strength)
        t = stats.t(2 * shape, location[0], math.sqrt(rate / shape * (1 + 1 / strength)))
        assert location[0] + scale[0] * math.log(19) == pytest.approx(t.ppf(0.95), rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 400), max_size=12), min_size=1, max_size=8))
def test_engine_computes_what_the_formula_says(gaps: list[list[int]]) -> None:
    table = facts(gaps)
    with DuckSessions() as session:
        rows = clocked(session, table)
    columns = [table[name].to_numpy().astype(float) for name in ("gaps", "gap_log_sum", "gap_log_square_sum")]
    location, scale = RHYTHM.predictive(*columns)
    for row, own, centre, width in zip(rows, gaps, location, scale, strict=True):
        assert row["overdue"] == pytest.approx(1 / (1 + math.exp(-(math.log(40) - centre) / width)), rel=1e-9)
        dormant, cooling = row["dormant_after_days"], row["cooling_after_days"]
        assert isinstance(dormant, int)
        assert isinstance(cooling, int)
        assert cooling <= dormant
        assert row["lost_after_days"] == max(365, 2 * dormant)
        assert row["rhythm_known"] == (len(own) >= 3)
        if len(own) < 3:
            assert (dormant, row["dormant_before_days"]) == (180, 180)
        else:
            exact = math.exp(centre + width * math.log(0.95 / (1 - 0.95)))
            assert dormant in {min(max(math.ceil(exact + slip), 14), 365) for slip in (-1e-6, 1e-6)}
            before = clock_of(own[:-1])
            assert row["dormant_before_days"] in before


def clock_of(gaps: list[int]) -> set[int]:
    """Returns dormant_after_days of somebody with these gaps, both neighbours where it falls on a whole day."""
    if len(gaps) < 3:
        return {180}
    logs = np.log(np.array(gaps, dtype=float))
    location, scale = RHYTHM.predictive(*(np.array([v]) for v in (float(len(gaps)), logs.sum(), (logs**2).sum())))
    exact = math.exp(location[0] + scale[0] * math.log(19))
    return {min(max(math.ceil(exact + slip), 14), 365) for slip in (-1e-6, 1e-6)}


class DuckSessions:
    """A session for examples that hypothesis draws, which cannot take a fixture per example."""

    def __enter__(self) -> DuckSession:
        import tempfile  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415

        from jingzhe.store.engine.duck import DuckEngine  # noqa: PLC0415

        self._folder = tempfile.TemporaryDirectory()
        self._session = DuckEngine(Path(self._folder.name), memory_limit_mb=512, threads=1).session()
        return self._session.__enter__()

    def __exit__(self, *failure: object) -> None:
        self._session.__exit__(None, None, None)
        self._folder.cleanup()


def test_steady_person_has_a_shorter_clock_than_an_erratic_one(opened: Opened, shop: Tables) -> None:
    with opened(shop) as session:
        steady, erratic = clocked(session, facts([[20, 21, 19, 20, 22, 20] * 4, [3, 60, 9, 45, 5, 38] * 4]))
    assert int(str(steady["dormant_after_days"])) < 70
    assert int(str(erratic["dormant_after_days"])) > 2 * int(str(steady["dormant_after_days"]))


def test_without_a_rhythm_the_pack_holds_for_everybody(opened: Opened, shop: Tables) -> None:
    unknown = fit_cells(np.array([2.0]), np.array([3.0]), np.array([0.2]), np.array([5.0]))
    assert "5 people" in unknown.reason
    with opened(shop) as session:
        row = clocked(session, facts([[20, 21, 19, 20]]), unknown)[0]
    assert (row["dormant_after_days"], row["lost_after_days"], row["rhythm_known"]) == (180, 365, False)
    assert row["overdue"] is None


def test_rhythm_is_the_same_in_any_order_of_the_rows(opened: Opened, shop: Tables) -> None:
    days, items = shop
    shuffled = days.take(pa.array(np.random.default_rng(1).permutation(days.num_rows)))
    fitted = []
    for tables in (shop, (shuffled, items)):
        with opened(tables) as session:
            know(session, date(2025, 12, 1))
            fitted.append(fit_rhythm(session, KNOWN))
    assert fitted[0] == fitted[1]
    assert Rhythm.from_dict(fitted[0].to_dict()) == fitted[0]


def coverage(tables: Tables, session: DuckSession, cut: date, least_gaps: int) -> tuple[float, int]:
    """Returns the share of the gaps begun within 60 days after the cut, and ended, up to their .95 quantile.

    The prediction for such a gap knows the gaps before it, the one across the cut included; the population is that of
    the cut.
    """
    know(session, cut)
    rhythm = fit_rhythm(session, KNOWN)
    bought = (
        tables[0].filter(pa.compute.field("purchases") > 0).sort_by([("person_id", "ascending"), ("day", "ascending")])
    )
    person, day = bought["person_id"].to_numpy(), bought["day"].to_numpy().astype("datetime64[D]").astype(int)
    at = int(np.datetime64(cut).astype(int))
    inside = total = 0
    for own in np.split(day, np.flatnonzero(np.diff(person)) + 1):
        start = int(np.searchsorted(own, at, side="right"))
        if start <= least_gaps or start + 1 >= own.size or own[start] > at + 60:
            continue
        logs = np.log(np.diff(own[: start + 1]))
        centre, width = rhythm.predictive(*(np.array([v]) for v in (float(logs.size), logs.sum(), (logs**2).sum())))
        total += 1
        inside += math.log(own[start + 1] - own[start]) <= centre[0] + width[0] * math.log(19)
    return inside / total, total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cut"),
    [("cdnow", date(1997, 9, 30)), ("online_retail", date(2011, 6, 30)), ("complete_journey", date(2017, 8, 1))],
)
def test_real_gaps_keep_to_their_95_percent_quantile(name: str, cut: date, opened: Opened) -> None:
    tables = {"cdnow": lambda: cdnow("full"), "online_retail": online_retail, "complete_journey": complete_journey}[
        name
    ]()
    with opened(tables) as session:
        share, people = coverage(tables, session, cut, least_gaps=3)
    assert people > 200
    assert 0.92 <= share <= 0.99


def test_simulated_gaps_keep_to_their_95_percent_quantile(opened: Opened, shop: Tables) -> None:
    with opened(shop) as session:
        share, people = coverage(shop, session, date(2025, 3, 1), least_gaps=3)
    assert people > 80
    assert 0.90 <= share <= 0.99
