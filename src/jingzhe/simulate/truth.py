"""The truth about the people, beside the events that they left."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jingzhe.simulate.arrays import Bools, Floats, Ints
from jingzhe.simulate.business import RESPONSES, SOURCES, Business
from jingzhe.simulate.catalogue import Catalogue
from jingzhe.simulate.people import People
from jingzhe.simulate.season import EPOCH


def truth_table(people: People, business: Business, catalogue: Catalogue) -> pa.Table:
    """Returns one row per person.

    ``arrived_on`` is null for people who were customers before the window, ``lapsed_on`` for those who did
    not lapse within it, ``returned_on`` for those who did not come back within it. ``lapsed_on`` is the
    first day on which the person is gone, ``decline_started_on`` the first of the decline, which may be
    under way at the end of the window. Prospects have a ``rate_per_year`` of 0. The chances of return hold
    from ``silence_days`` after the lapse on.
    """
    turn = people.lapse - 7 * people.decline_weeks
    lapsed = people.lapse < business.days
    return pa.table(
        {
            "person_id": pa.array(people.ids),
            "arrived_on": _dates(people.arrival, ~people.established, business),
            "prospect": pa.array(~people.buys),
            "rate_per_year": pa.array(np.where(people.buys, people.rate * 365.25, 0.0)),
            "regularity": pa.array(people.regularity),
            "lapsed_on": _dates(people.lapse, lapsed, business),
            "decline_started_on": _dates(turn, people.decline_weeks > 0, business),
            "decline_weeks": pa.array(people.decline_weeks),
            "returned_on": _dates(people.returned, np.isfinite(people.returned), business),
            "preferred_category": catalogue.names.take(pa.array(people.category)),
            "preferred_source": _named(SOURCES, people.source),
            "price_sensitivity": pa.array(people.sensitivity),
            "response": _named(RESPONSES, people.response),
            "base_return_90d": pa.array(people.base),
            "treated_return_90d": pa.array(people.treated),
        }
    )


def _dates(day: Floats, known: Bools, business: Business) -> pa.Array:
    """Returns dates, given days since the start, null where they are not ``known``."""
    number = np.where(known, np.floor(np.where(known, day, 0.0)), 0.0).astype(np.int32)
    return pa.array(number + np.int32((business.start - EPOCH).days), mask=~known).view(pa.date32())


def _named(names: tuple[str, ...], codes: Ints) -> pa.StringArray:
    return pa.array(names).take(pa.array(codes))
