"""RFM: thresholds, classes and scores by hand, and who moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.profile import rfm
from jingzhe.profile.columns import PEOPLE, PROFILES, RFM_COLUMNS
from jingzhe.profile.rfm import CLASSES, Thresholds, people_values, thresholds
from jingzhe.store.engine.duck import DuckSession
from tests.profile.shop import rows_of

AS_OF = date(2026, 3, 5)
NAMES = {
    "important_value": "重要价值客户",
    "important_develop": "重要发展客户",
    "important_keep": "重要保持客户",
    "important_retain": "重要挽留客户",
    "general_value": "一般价值客户",
    "general_develop": "一般发展客户",
    "general_keep": "一般保持客户",
    "general_retain": "一般挽留客户",
}
FIVE = {1: (10, 1, 50.0), 2: (20, 2, 40.0), 3: (30, 3, 30.0), 4: (40, 4, 20.0), 5: (50, 5, 10.0)}
"""Days since the last order, orders, net spend of five people."""


def offer(session: DuckSession, buyers: Mapping[int, tuple[int, int, float]], *, prospects: int = 0) -> None:
    """Makes ``profiles`` these buyers and some prospects."""
    rows: list[dict[str, Any]] = [
        {
            "person_id": who,
            "first_day": AS_OF - timedelta(days=100),
            "last_purchase_day": AS_OF - timedelta(days=recency),
            "purchases": orders,
            "monetary": monetary,
        }
        for who, (recency, orders, monetary) in buyers.items()
    ]
    rows += [
        {"person_id": 1000 + number, "first_day": AS_OF, "purchases": 0, "monetary": 0.0} for number in range(prospects)
    ]
    session.offer("profiles", rows_of(PROFILES, rows))


def people(session: DuckSession, found: Thresholds) -> dict[int, dict[str, Any]]:
    table = session.run(rfm.PEOPLE, people_values(found, AS_OF))
    assert table.schema.names == list(PEOPLE.column_names)
    assert table.schema.types == PEOPLE.arrow_schema.types
    return {row["person_id"]: row for row in table.to_pylist()}


def given(recency_days: float, frequency: float, monetary: float) -> Thresholds:
    """Thresholds with cuts that part nobody."""
    cuts = (1.0, 1.0, 1.0, 1.0)
    return Thresholds(recency_days, frequency, monetary, cuts, cuts, cuts, "given")


def test_the_eight_classes_have_their_chinese_names(session: DuckSession) -> None:
    assert {name: text.zh for name, text in CLASSES.items()} == NAMES
    assert len({text.en for text in CLASSES.values()}) == 8
    buyers = {
        1: (5, 9, 900.0),
        2: (5, 1, 900.0),
        3: (99, 9, 900.0),
        4: (99, 1, 900.0),
        5: (5, 9, 9.0),
        6: (5, 1, 9.0),
        7: (99, 9, 9.0),
        8: (99, 1, 9.0),
    }
    offer(session, buyers)
    rows = people(session, given(30, 3, 100))
    assert [rows[who]["rfm_class"] for who in buyers] == list(NAMES)


def test_recent_includes_the_threshold_frequent_and_valuable_are_above_it(session: DuckSession) -> None:
    offer(session, {1: (30, 3, 100.0), 2: (31, 4, 100.01)})
    rows = people(session, given(30, 3, 100))
    assert [(rows[who]["rfm_r"], rows[who]["rfm_f"], rows[who]["rfm_m"]) for who in (1, 2)] == [
        (True, False, False),
        (False, True, True),
    ]


def test_five_people_by_hand(session: DuckSession) -> None:
    offer(session, FIVE, prospects=3)
    found = thresholds(session, AS_OF)
    assert (found.recency_days, found.frequency, found.monetary) == (30, 3, 30)
    assert found.recency_cuts == pytest.approx((18, 26, 34, 42))
    assert found.frequency_cuts == pytest.approx((1.8, 2.6, 3.4, 4.2))
    rows = people(session, found)
    scores = {who: tuple(rows[who][f"{name}_score"] for name in "rfm") for who in FIVE}
    assert scores == {1: (5, 1, 5), 2: (4, 2, 4), 3: (3, 3, 3), 4: (2, 4, 2), 5: (1, 5, 1)}
    assert [rows[who]["rfm_class"] for who in FIVE] == [
        "important_develop",
        "important_develop",
        "general_develop",
        "general_keep",
        "general_keep",
    ]
    assert (rows[1]["recency_days"], rows[1]["age_days"]) == (10, 100)


def test_methods(session: DuckSession) -> None:
    offer(session, FIVE | {6: (90, 21, 450.0)})
    mean = thresholds(session, AS_OF, method="mean")
    assert (mean.recency_days, mean.frequency, mean.monetary) == (40, 6, 100)
    top_fifth = thresholds(session, AS_OF, quantile=0.2)
    assert (top_fifth.recency_days, top_fifth.frequency, top_fifth.monetary) == (20, 5, 50)
    own = thresholds(session, AS_OF, method="given", given=(7, 2, 33))
    assert (own.recency_days, own.frequency, own.monetary, own.method) == (7, 2, 33, "given")
    assert own.recency_cuts == top_fifth.recency_cuts


def test_thresholds_survive_a_document(session: DuckSession) -> None:
    offer(session, FIVE)
    found = thresholds(session, AS_OF)
    assert Thresholds.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_ties_share_class_and_score(session: DuckSession) -> None:
    offer(session, dict.fromkeys(range(1, 8), (10, 1, 50.0)))
    rows = people(session, thresholds(session, AS_OF))
    assert {row["rfm_class"] for row in rows.values()} == {"general_develop"}
    assert {(row["r_score"], row["f_score"], row["m_score"]) for row in rows.values()} == {(5, 1, 1)}
    offer(session, {who: (10, 1 + (who > 8), 50.0) for who in range(1, 11)})
    rows = people(session, thresholds(session, AS_OF))
    assert [rows[who]["rfm_f"] for who in (1, 8, 9, 10)] == [False, False, True, True]


def test_prospects_have_no_class(session: DuckSession) -> None:
    offer(session, FIVE, prospects=1)
    row = people(session, thresholds(session, AS_OF))[1000]
    assert {name: row[name] for name in [column.name for column in RFM_COLUMNS] if name != "age_days"} == dict.fromkeys(
        (column.name for column in RFM_COLUMNS if column.name != "age_days"), None
    )


def test_without_buyers_there_are_no_classes(session: DuckSession) -> None:
    for prospects in (0, 4):
        offer(session, {}, prospects=prospects)
        for method in ("quantile", "mean"):
            with pytest.raises(NoDataError, match="Nobody has bought"):
                thresholds(session, AS_OF, method=method)


def test_arguments_that_do_not_fit(session: DuckSession) -> None:
    offer(session, FIVE)
    with pytest.raises(SettingError, match="three thresholds"):
        thresholds(session, AS_OF, method="given")
    with pytest.raises(SettingError, match="three thresholds"):
        thresholds(session, AS_OF, method="mean", given=(1, 1, 1))
    with pytest.raises(SettingError, match="quantile"):
        thresholds(session, AS_OF, quantile=1.0)
