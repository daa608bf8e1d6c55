from __future__ import annotations

import numpy as np
import pytest

from jingzhe.simulate.arrays import Stream, generator
from jingzhe.simulate.business import Business
from jingzhe.simulate.people import draw_relative
from jingzhe.simulate.rhythm import LAST_INTENSITY, renewals, spells_of, visits_at
from jingzhe.simulate.season import season_of


@pytest.mark.parametrize("shape", [0.6, 1.0, 8.0])
def test_renewals_are_gamma_distributed_and_none_is_missing(shape: float) -> None:
    n, length = 2_000, 30.0
    rng = generator(5, Stream.PURCHASES)
    # From the equilibrium the expected number is the length, whatever the shape (Cox, 1962, section 4.5).
    first = rng.random(n) * rng.standard_gamma(shape + 1, n) / shape
    row, time = renewals(np.full(n, length), np.full(n, shape), first, rng)
    assert (np.diff(row) >= 0).all()
    assert ((np.diff(time) >= 0) | (np.diff(row) > 0)).all()
    assert time.max() < length
    assert len(row) / n == pytest.approx(length, rel=0.02)
    gaps = np.diff(time)[np.diff(row) == 0]
    assert gaps.std() / gaps.mean() == pytest.approx(shape**-0.5, rel=0.06)


def test_renewals_of_nothing_are_nothing() -> None:
    row, time = renewals(np.zeros(3), np.ones(3), np.zeros(3), generator(5, Stream.PURCHASES))
    assert len(row) == len(time) == 0


def test_visits_keep_to_their_spell_and_thin_out_in_a_decline() -> None:
    business = Business(months=(1.0,) * 12, weekdays=(1.0,) * 7, hours=(1.0,) * 24, declining=1.0)
    season = season_of(business)
    people = draw_relative(business, 0)
    spells = spells_of(people, season)
    spell = np.repeat(np.arange(len(spells.person)), 400)
    worth = np.tile((np.arange(400) + 0.5) / 400, len(spells.person)) * spells.exposure[spell]
    visits = visits_at(spells, season, spell, worth)
    assert (visits.second >= spells.first_second[spell]).all()
    assert (visits.second <= spells.last_second[spell]).all()
    assert ((np.diff(visits.second) >= 0) | (np.diff(spell) > 0)).all()

    # With even steps at the constant rate, the number of visits per day is the intensity.
    whole = (spells.decline > 0) & (people.lapse[spells.person] < season.end)
    chosen = whole[spell] & (visits.faded > 0)
    weight = spells.exposure[spell][chosen] / 400 / spells.decline[spell][chosen]
    density, _ = np.histogram(visits.faded[chosen], bins=4, range=(0, 1), weights=weight)
    middles = np.array([0.125, 0.375, 0.625, 0.875])
    expected = (1 - (1 - LAST_INTENSITY) * middles) / 4 * whole.sum()
    np.testing.assert_allclose(density, expected, rtol=0.05)
