from __future__ import annotations

import math
from typing import Any

import pytest

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import StateError
from jingzhe.store.state import Document, State
from tests.store.state.conftest import NOON
from tests.store.state.other_process import Other


def test_every_change_is_a_version(state: State) -> None:
    assert state.document("model", "bgnbd") is None
    assert state.put_document("model", "bgnbd", {"r": 0.243, "alpha": 4.414}) == 1
    assert state.put_document("model", "bgnbd", {"r": 0.25}) == 2
    assert state.put_document("model", "other", {}) == 1
    assert state.document("model", "bgnbd") == Document("model", "bgnbd", 2, {"r": 0.25}, NOON)
    first = state.document("model", "bgnbd", version=1)
    assert first is not None
    assert first.body == {"r": 0.243, "alpha": 4.414}
    assert state.document("model", "bgnbd", version=3) is None


def test_the_newest_of_each_name_in_one_order_everywhere(state: State) -> None:
    for name in ("b", "A", "ä", "店", "a", "b"):
        state.put_document("preset", name, {"name": name})
    state.put_document("model", "c", {})
    assert [(one.name, one.version) for one in state.documents("preset")] == [
        ("A", 1),
        ("a", 1),
        ("b", 2),
        ("ä", 1),
        ("店", 1),
    ]


def test_dropping_takes_all_versions_of_one_document(state: State) -> None:
    for name in ("shop", "shop", "till"):
        state.put_document("preset", name, {})
    state.drop_document("preset", "shop")
    state.drop_document("preset", "never was")
    assert [one.name for one in state.documents("preset")] == ["till"]
    assert state.put_document("preset", "shop", {}) == 1


def test_what_is_read_equals_what_was_written(state: State, clock: FixedClock) -> None:
    body: dict[str, Any] = {
        "z": 1,
        "a": [0.1, 1e-300, -(2**60), True, None, "惊蛰 \u0000 \" ' \\ %s :x"],
        "nested": {"empty": {}, "list": []},
    }
    state.put_document("model", "惊蛰", body)
    found = state.document("model", "惊蛰")
    assert found is not None
    assert found.body == body
    assert list(found.body) == ["z", "a", "nested"]
    assert found.created_at == clock.now()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"a": {1: "x"}}, "model/m.a"),
        ({"a": [1.0, math.nan]}, "model/m.a[1]"),
        ({"a": math.inf}, "model/m.a"),
        ({"a": {"b": NOON}}, "model/m.a.b"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(state: State, body: dict[str, Any], place: str) -> None:
    with pytest.raises(StateError) as caught:
        state.put_document("model", "m", body)
    assert caught.value.where["at"] == place
    assert state.document("model", "m") is None


def test_versions_are_unique_and_without_gaps_under_concurrency(
    state: State, state_url: str, others: tuple[Other, Other]
) -> None:
    assert [one.ask("open", state_url) for one in others] == ["done", "done"]
    for one in others:
        one.tell("put", "watermark", "profile", "10")
    mine = [state.put_document("watermark", "profile", {}) for _ in range(10)]
    versions = [*mine, *others[0].answer(), *others[1].answer()]
    assert sorted(versions) == list(range(1, 31))
