from __future__ import annotations

import pytest

from jingzhe.simulate import Business, Chunk
from tests.simulate.whole import whole


@pytest.fixture(scope="session")
def business() -> Business:
    """Many events per person, so that rhythms show."""
    return Business(people=5_000, events_per_person=60)


@pytest.fixture(scope="session")
def drawn(business: Business) -> Chunk:
    return whole(business)
