"""Industry packs: what ships, own thresholds, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from jingzhe.core.errors import SettingError
from jingzhe.profile.packs import PACKS, STATES, StatePack, pack


def test_what_the_product_means_by_dormant() -> None:
    general = pack("general")
    assert (general.dormant_after_days, general.lost_after_days) == (180, 365)
    assert general == StatePack()


@pytest.mark.parametrize("name", list(PACKS))
def test_packs_know_their_names_and_are_consistent(name: str) -> None:
    found = pack(name)
    assert found.name == name
    assert found.new_days < found.dormant_after_days < found.lost_after_days
    assert found.returned_days <= found.dormant_after_days
    assert found.dormant_min_days <= found.dormant_after_days <= found.dormant_max_days
    assert StatePack(**found.to_dict()) == found


def test_own_thresholds_replace_those_of_the_pack() -> None:
    own = pack("supermarket", dormant_after_days=45)
    assert (own.dormant_after_days, own.lost_after_days, own.name) == (45, 180, "supermarket")
    assert PACKS["supermarket"].dormant_after_days == 60


def test_unknown_names_say_which_there_are() -> None:
    with pytest.raises(SettingError, match="bookshop") as no_pack:
        pack("bookshop")
    assert "supermarket" in no_pack.value.hint
    with pytest.raises(SettingError, match="sleepy_days") as no_threshold:
        pack("general", sleepy_days=3)
    assert "dormant_after_days" in no_threshold.value.hint


@pytest.mark.parametrize(
    "own",
    [
        {"dormant_after_days": 0},
        {"dormant_after_days": 365},
        {"cooling_quantile": 0.99},
        {"dormant_quantile": 1.0},
        {"dormant_min_days": 0},
        {"dormant_min_days": 400},
        {"new_days": -1},
        {"returned_days": -1},
        {"min_gaps": 0},
        {"decline_ratio": 0.0},
        {"decline_ratio": 1.5},
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(own: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        pack("general", **own)


def test_states_are_named_in_both_languages() -> None:
    assert {name: text.zh for name, text in STATES.items()} == {
        "prospect": "潜在",
        "new": "新客",
        "active": "活跃",
        "declining": "下滑",
        "dormant": "沉睡",
        "lost": "流失",
        "returned": "回流",
    }
