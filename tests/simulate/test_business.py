from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.simulate import Business


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": 0},
        {"days": 0},
        {"seed": -1},
        {"events_per_person": 1.0},
        {"prospects": 1.5},
        {"rate_shape": 0.0},
        {"browsing": -1.0},
        {"decline_weeks": (5, 4)},
        {"months": (1.0,) * 11},
        {"hours": (0.0,) * 24},
        {"products": 39},
        {"source_shares": (0.0,) * 4},
        {"response_shares": (1.0, -1.0, 1.0, 1.0)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_value_that_cannot_be_drawn_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError) as refused:
        Business(**wrong)
    assert next(iter(wrong)) in refused.value.where["field"]


def test_the_window_ends_before_its_end() -> None:
    assert Business(start=date(2024, 1, 1), days=366).end == date(2025, 1, 1)
