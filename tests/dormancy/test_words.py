from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest

from jingzhe.core.text import Language
from jingzhe.dormancy.queries import KNOWN
from jingzhe.dormancy.reasons import REASONS, evidence, evidence_values
from jingzhe.dormancy.rhythm import clock, fit_rhythm, overdue
from jingzhe.dormancy.snapshots import know
from jingzhe.dormancy.treatment import TIERS, TREATMENTS, treatment, treatment_table
from jingzhe.profile.packs import STATES, pack
from jingzhe.store.engine.duck import DuckSession
from jingzhe.store.query import one
from tests.dormancy.conftest import Opened, Tables
from tests.dormancy.histories import items_of, person_days

AS_OF = date(2025, 9, 1)
GENERAL = pack("general")


def told(session: DuckSession, language: Language, person: int) -> str:
    know(session, AS_OF)
    rhythm = fit_rhythm(session, KNOWN)
    columns = clock(rhythm, GENERAL)
    source = f"(SELECT *, {overdue(rhythm)} AS overdue FROM ({columns.select(KNOWN)}))"
    query = one("evidence", f"SELECT {evidence(language)} AS words FROM {source} WHERE person_id = $person")
    values = {**columns.values, **evidence_values(GENERAL), "as_of": AS_OF, "person": person}
    return str(session.run(query, values)["words"][0].as_py())


def with_person(shop: Tables, ages: list[int], spend: list[float], **more: object) -> Tables:
    """Returns the shop with person 5000, who bought so many days before the day."""
    import pyarrow as pa  # noqa: PLC0415

    days = np.array([np.datetime64(AS_OF - timedelta(age)) for age in ages])
    own = person_days(np.full(len(ages), 5000), days, spend=np.array(spend), **more)
    return pa.concat_tables([shop[0], own]), items_of()


def test_a_steady_buyer_who_stopped(shop: Tables, opened: Opened) -> None:
    ages = list(range(143, 143 + 21 * 10, 21))
    with opened(with_person(shop, ages, [20.0] * 10)) as session:
        english = told(session, "en", 5000)
        chinese = told(session, "zh", 5000)
        location, scale = fit_rhythm(session, KNOWN).predictive(*(np.array([9 * math.log(21) ** n]) for n in (0, 1, 2)))
    shorter = math.floor(100 / (1 + math.exp(-(math.log(143) - location[0]) / scale[0])))
    assert english.startswith(f"silent 143 days; usually buys every 21 days, {shorter} % of the gaps would be over")
    assert "no order in the last 90 days, 2 in the 90 days before" in english
    assert chinese.startswith(f"已沉默143天，通常每21天购买一次，{shorter}%的购买间隔此时已结束")


def test_shrinking_spend_and_a_lengthening_cycle(shop: Tables, opened: Opened) -> None:
    ages = [30, 75, 100, 120, 140, 160]
    with opened(with_person(shop, ages, [10.0, 20.0, 60.0, 60.0, 60.0, 60.0])) as session:
        words = told(session, "en", 5000)
    assert "spend in the last 90 days down 88 % on the 90 days before" in words
    assert "the last gap took 45 days, the usual one 20" in words


def test_a_single_purchase(shop: Tables, opened: Opened) -> None:
    with opened(with_person(shop, [200], [20.0], returned=[10.0])) as session:
        words = told(session, "en", 5000)
    assert words == "silent 200 days after a single day of purchase; returned 50 % of the money spent"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_have_no_gap_left(language: Language) -> None:
    for reason in REASONS:
        text = reason.text.of(language)
        names = {part.partition("}")[0] for part in text.split("{")[1:]}
        assert names <= set(reason.numbers)
    assert "{" not in evidence(language)


def test_every_state_and_tier_has_a_treatment_in_both_languages() -> None:
    assert set(TREATMENTS) == {(state, tier) for state in STATES for tier in TIERS}
    assert treatment("prospect", None) == treatment("prospect", "low")
    assert treatment_table().num_rows == len(STATES) * len(TIERS)
    assert all(one.text.en and one.text.zh for one in TREATMENTS.values())
    assert treatment("dormant", "high").code != treatment("dormant", "low").code
