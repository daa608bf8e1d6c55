"""What happens to lapsed people who are contacted, and to those who are not."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jingzhe.simulate.arrays import Floats, Ints
from jingzhe.simulate.season import EPOCH

HORIZON_DAYS = 90


def respond(truth: pa.Table, contacted_person_ids: npt.ArrayLike, on: date, seed: int) -> pa.Table:
    """Draws who returns within 90 days of ``on``, contacted or not.

    Only people who are dormant on that day answer: they have lapsed and not returned by then. Each has one
    chance number per ``seed``, whether contacted or not: the same people answer the same way in every arm,
    so what a contact changes for a person can be read off two calls (potential outcomes: Rubin, 1974). It is
    a future drawn afresh; what the truth knows of days after ``on`` is not looked at.

    Args:
        truth: the truth of ``draw``, or a part of it.
        contacted_person_ids: shape (n,), who is contacted; people who are not dormant are passed over.
        on: day of the contact.
        seed: 0 or more.

    Returns:
        A row per dormant person: ``person_id``, ``contacted``, ``returned`` (within 90 days), ``returned_on``
        (1 to 90 days after ``on``, null if not returned).
    """
    day = pa.scalar(on, pa.date32())
    away = pc.or_kleene(pc.is_null(truth["returned_on"]), pc.greater(truth["returned_on"], day))
    gone = pc.fill_null(pc.less_equal(truth["lapsed_on"], day), False)
    dormant = truth.filter(pc.and_(gone, away))
    person: Ints = dormant["person_id"].to_numpy()
    contacted = np.isin(person, np.asarray(contacted_person_ids, dtype=np.int64))
    chance: Floats = np.where(
        contacted, dormant["treated_return_90d"].to_numpy(), dormant["base_return_90d"].to_numpy()
    )
    luck = uniforms(person, seed)
    returned = luck < chance
    # The hazard is constant, so the same number tells when: -log(1 - luck) has passed at the hazard's pace.
    pace = np.where(returned, np.log1p(-luck) / np.log1p(-np.where(returned, chance, 0.5)), 0.0)
    after = np.clip(np.ceil(pace * HORIZON_DAYS), 1, HORIZON_DAYS).astype(np.int32)
    days = pa.array(after + np.int32((on - EPOCH).days), mask=~returned).view(pa.date32())
    return pa.table(
        {
            "person_id": pa.array(person),
            "contacted": pa.array(contacted),
            "returned": pa.array(returned),
            "returned_on": days,
        }
    )


def uniforms(person_ids: Ints, seed: int) -> Floats:
    """Returns a number in [0, 1) for each person, by hashing: it does not depend on who else is asked.

    The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    x = person_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    top: Floats = ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64)
    return top * 2.0**-53
