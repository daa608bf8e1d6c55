from __future__ import annotations

import numpy as np
import pytest

from jingzhe.simulate.business import RESPONSES, Business
from jingzhe.simulate.people import BLOCK_PEOPLE, concat, draw_relative


def test_people_are_as_the_business_says() -> None:
    business = Business(days=1_500, prospects=0.2, established=1.0, declining=0.0, median_life_days=300)
    people = concat([draw_relative(business, block) for block in range(10)])
    assert people.ids.tolist() == list(range(1, 10 * BLOCK_PEOPLE + 1))
    assert people.rate.mean() == pytest.approx(1, rel=0.03)
    assert people.rate.std() == pytest.approx(business.rate_shape**-0.5, rel=0.05)
    assert people.buys.mean() == pytest.approx(0.8, abs=0.01)
    assert np.median(people.lapse[people.buys]) == pytest.approx(300, rel=0.05)
    assert np.isinf(people.lapse[~people.buys]).all()
    assert np.median(people.regularity) == pytest.approx(business.regularity_median, rel=0.05)
    assert not people.decline_weeks.any()
    shares = np.bincount(people.response, minlength=len(RESPONSES)) / len(people)
    np.testing.assert_allclose(shares, business.response_shares, atol=0.02)


def test_declines_have_room_and_begin_within_the_window() -> None:
    business = Business(declining=1.0)
    people = draw_relative(business, 0)
    weeks = people.decline_weeks[people.decline_weeks > 0]
    assert weeks.min() == business.decline_weeks[0]
    assert weeks.max() == business.decline_weeks[1]
    turn = (people.lapse - 7 * people.decline_weeks)[people.decline_weeks > 0]
    assert turn.max() < business.days
    assert (turn > people.arrival[people.decline_weeks > 0]).all()


def test_nobody_buys_more_often_than_people_do() -> None:
    assert draw_relative(Business(), 0).scaled(10.0).rate.max() == 1.5
