from __future__ import annotations

import numpy as np

from jingzhe.simulate import Business
from jingzhe.simulate.season import first_second, season_of


def test_the_clocks_are_each_others_inverse() -> None:
    season = season_of(Business(days=400))
    real = np.linspace(0, 400, 1001)
    np.testing.assert_allclose(season.to_real(season.to_season(real)), real, atol=1e-9)


def test_a_busy_day_is_as_much_longer_in_season_time_as_its_weights_say() -> None:
    flat = Business(days=14, months=(1.0,) * 12, weekdays=(1, 1, 1, 1, 1, 5, 4), hours=(1.0,) * 24)
    season = season_of(flat)
    days = np.diff(season.to_season(np.arange(15.0)))
    # 2024-01-01 was a Monday.
    np.testing.assert_allclose(days, np.tile([0.5] * 5 + [2.5, 2.0], 2))


def test_the_hours_of_a_day_follow_their_profile() -> None:
    hours = (0.5,) * 12 + (1.5,) * 12
    season = season_of(Business(hours=hours))
    assert season.within_day(np.array([0.0, 0.25, 1.0])).tolist() == [0.0, 0.5, 1.0]


def test_the_first_second_is_midnight_utc() -> None:
    assert first_second(Business()) == 1_704_067_200
