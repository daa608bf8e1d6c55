"""Memory stays bounded while the business grows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from jingzhe.simulate import BLOCK_PEOPLE, Business, draw


def most_memory(people: int) -> int:
    most = 0
    for chunk in draw(Business(people=people), people_per_chunk=BLOCK_PEOPLE):
        assert len(chunk.truth) <= BLOCK_PEOPLE
        most = max(most, pa.total_allocated_bytes() + chunk.events.nbytes)
    return most


def test_ten_times_the_people_take_the_same_memory() -> None:
    assert most_memory(10 * BLOCK_PEOPLE) < 1.5 * most_memory(1 * BLOCK_PEOPLE) + 2**20


@pytest.mark.slow
def test_a_million_people_are_drawn() -> None:
    events = people = 0
    for chunk in draw(Business(people=1_000_000)):
        events += len(chunk.events)
        people += len(chunk.truth)
    assert people == 1_000_000
    assert events == pytest.approx(20_000_000, rel=0.03)
