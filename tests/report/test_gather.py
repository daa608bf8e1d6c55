from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from jingzhe.core.errors import EngineError
from jingzhe.core.text import Text
from jingzhe.report import ReportData, collect_data
from jingzhe.report.contents import DayGap, Move, RfmCell, RfmClass, SilenceBin
from jingzhe.report.gather import masked
from jingzhe.store.engine.duck import DuckSession
from tests.report.business import AS_OF, frame
from tests.report.conftest import Gather


def person(person_id: int, state: str, **given: Any) -> dict[str, Any]:
    values = {
        "purchases": 5, "spend": 100.0, "monetary": 90.0, "recency_days": 10, "cycle_days": 10.0, "gaps": 4,
        "last_purchase_day": AS_OF - timedelta(days=10), "rhythm_known": True,
    }  # fmt: skip
    return {"person_id": person_id, "state": state, **values, **given}


def score(person_id: int, p_return: float, **given: Any) -> dict[str, Any]:
    return {
        "person_id": person_id, "p_return": p_return, "risk": 1 - p_return, "expected_value": 10.0,
        "value_tier": "high", "edge": False, **given,
    }  # fmt: skip


def day_row(person_id: int, days_ago: int, spend: float) -> dict[str, Any]:
    return {"person_id": person_id, "day": AS_OF - timedelta(days=days_ago), "purchases": 1, "spend": spend}


def test_totals_count_buyers_orders_and_the_last_year_only(gather: Gather) -> None:
    data = gather(
        people=[
            person(1, "active"),
            person(2, "dormant", rhythm_known=False),
            person(3, "prospect", purchases=0, spend=0.0, rhythm_known=False),
        ],
        scores=[score(1, 0.9)],
        person_days=[day_row(1, 0, 40.0), day_row(1, 364, 30.0), day_row(1, 365, 20.0), day_row(2, 400, 10.0)],
    )
    totals = data.totals
    assert (totals.people, totals.buyers, totals.orders, totals.scored, totals.rhythmless) == (3, 2, 10, 1, 1)
    assert totals.spend_year == 70.0
    assert (totals.first_day, totals.last_day) == (AS_OF - timedelta(days=400), AS_OF)


def test_later_days_than_as_of_are_not_seen(gather: Gather) -> None:
    data = gather(people=[person(1, "active")], person_days=[day_row(1, 1, 5.0), day_row(1, -1, 500.0)])
    assert data.totals.spend_year == 5.0
    assert data.totals.last_day == AS_OF - timedelta(days=1)


def test_movement_counts_pairs_and_those_who_are_new(gather: Gather) -> None:
    data = gather(
        frame(),
        people=[person(1, "dormant"), person(2, "dormant"), person(3, "active"), person(4, "new")],
        before=[
            {"person_id": 1, "state": "active"},
            {"person_id": 2, "state": "active"},
            {"person_id": 3, "state": "dormant"},
        ],
    )
    assert set(data.moves) == {
        Move("active", "dormant", 2),
        Move("dormant", "active", 1),
        Move("absent", "new", 1),
    }
    before = {state.state: (state.people_before, state.people) for state in data.states}
    assert before == {"new": (0, 1), "active": (2, 1), "dormant": (1, 2)}


def test_buyers_fall_into_exactly_one_group_of_stakes(gather: Gather) -> None:
    data = gather(
        people=[
            person(1, "active"),
            person(2, "declining"),
            person(3, "dormant"),
            person(4, "lost"),
            person(5, "prospect", purchases=0),
        ],
        scores=[score(1, 0.9), score(2, 0.2, edge=True), score(3, 0.1, edge=True), score(4, 0.01)],
        person_days=[day_row(2, 3, 50.0)],
    )
    assert [(stake.group, stake.people) for stake in data.stakes] == [
        ("steady", 1),
        ("edge", 1),
        ("dormant", 1),
        ("lost", 1),
    ]
    assert data.stake("edge").spend_year == 50.0
    assert data.stake("edge").expected_value == 10.0


def test_quiet_tiers_sum_probabilities_and_their_variance(gather: Gather) -> None:
    data = gather(
        people=[person(1, "dormant"), person(2, "dormant"), person(3, "lost"), person(4, "active")],
        scores=[score(1, 0.5), score(2, 0.1), score(3, 0.0, value_tier="low"), score(4, 0.9)],
    )
    dormant, lost = data.tiers
    assert (dormant.state, dormant.tier, dormant.people, dormant.spend) == ("dormant", "high", 2, 180.0)
    assert dormant.expected_returns == pytest.approx(0.6)
    assert dormant.expected_returns_sd == pytest.approx((0.25 + 0.09) ** 0.5)
    assert (lost.state, lost.tier, lost.people) == ("lost", "low", 1)


def test_a_key_that_is_a_hash_is_shown_as_it_was_written_and_masked(gather: Gather) -> None:
    written = {"hashed:7": "13912345678"}.get
    data = gather(
        written=lambda key: written(key, key),
        people=[person(1, "declining"), person(2, "active")],
        scores=[score(1, 0.1, edge=True), score(2, 0.3, edge=True)],
        person_days=[day_row(1, 10, 100.0), day_row(2, 10, 50.0)],
        identities=[
            {"person_id": 1, "kind": "phone", "value": "hashed:7"},
            {"person_id": 2, "kind": "customer", "value": "C-0001234"},
        ],
    )
    assert {entry.person_id: entry.key for entry in data.edge} == {1: "13•••78", 2: "C-•••34"}


def test_edge_lists_those_with_most_to_lose_first_masked_and_with_reasons(gather: Gather) -> None:
    silent = {"recency_days": 34, "last_purchase_day": AS_OF - timedelta(days=34)}
    fallen = {"purchases_before": 6, "purchases_recent": 2, "spend_before": 300.0, "spend_recent": 80.0}
    data = gather(
        frame(before=None, top=2),
        people=[person(1, "declining"), person(2, "active", **fallen, **silent), person(3, "active")],
        scores=[
            score(1, 0.1, edge=True, overdue=0.9),
            score(2, 0.3, edge=True, overdue=0.95, dormant_on=AS_OF + timedelta(days=7)),
            score(3, 0.2, edge=True),
        ],
        person_days=[day_row(1, 10, 100.0), day_row(2, 10, 1000.0)],
        identities=[
            {"person_id": 2, "kind": "customer", "value": "13800138000"},
            {"person_id": 2, "kind": "phone", "value": "other"},
        ],
    )
    assert [entry.person_id for entry in data.edge] == [2, 1]
    first, second = data.edge
    assert (first.key, second.key) == ("13•••00", "")
    assert first.evidence == Text(
        "silent 34 days; usually buys every 10 days, 95 % of the gaps would be over; "
        "spend in the last 90 days down 73 % on the 90 days before",
        "已沉默34天，通常每10天购买一次，95%的购买间隔此时已结束；近90天消费比之前90天下降73%",
    )
    assert "13800138000" not in repr(data)
    assert [(week.first_day, week.people) for week in data.edge_weeks] == [(AS_OF + timedelta(days=1), 1)]


def test_rfm_and_silence_are_counted_among_buyers(gather: Gather) -> None:
    best = {"rfm_class": "important_value", "r_score": 5, "f_score": 5}
    data = gather(
        people=[
            person(1, "active", **best),
            person(2, "active", **best, recency_days=40),
            person(3, "new", rfm_class="general_develop", r_score=5, f_score=1, cycle_days=None, gaps=0),
            person(4, "prospect", purchases=0, rfm_class=None),
        ]
    )
    assert data.rfm_classes == (RfmClass("important_value", 2, 180.0), RfmClass("general_develop", 1, 90.0))
    assert set(data.rfm_cells) == {RfmCell(5, 5, 2, 180.0), RfmCell(5, 1, 1, 90.0)}
    assert data.silence == (
        SilenceBin("under_two", "active", 1),
        SilenceBin("under_eight", "active", 1),
        SilenceBin("no_rhythm", "new", 1),
    )


def test_quality_finds_reasons_and_the_longest_gap(gather: Gather) -> None:
    refused = [{"reason": "bad-date", "field": "ts"}] * 2 + [{"reason": "odd", "field": None}]
    data = gather(
        people=[person(1, "active")],
        person_days=[day_row(1, 100, 1.0), day_row(1, 99, 1.0), day_row(1, 40, 1.0), day_row(1, 0, 1.0)],
        quarantine=refused,
    )
    quality = data.quality
    assert [(entry.reason, entry.field, entry.rows) for entry in quality.rejected] == [
        (Text("not a date", "日期无效"), "ts", 2),
        (Text("odd", "odd"), "", 1),
    ]
    assert quality.rejected_rows == 3
    assert (quality.days_with_orders, quality.days_in_range) == (4, 101)
    assert quality.longest_gap == DayGap(AS_OF - timedelta(days=98), AS_OF - timedelta(days=41))
    assert quality.longest_gap.days == 58


def test_silence_up_to_the_day_of_the_report_is_a_gap(gather: Gather) -> None:
    data = gather(people=[person(1, "active")], person_days=[day_row(1, 30, 1.0), day_row(1, 29, 1.0)])
    assert data.quality.longest_gap == DayGap(date(2026, 2, 5), AS_OF)


def test_nothing_at_all_is_an_answer(gather: Gather) -> None:
    data = gather()
    assert data == ReportData(frame=data.frame, quality=data.quality)
    assert data.quality.days_in_range == 0


def test_a_missing_relation_is_named(session: DuckSession) -> None:
    with pytest.raises(EngineError, match="person_days"):
        collect_data(session, frame())


def test_the_session_is_left_as_it_was(gather: Gather, session: DuckSession) -> None:
    first = gather(people=[person(1, "active")])
    assert collect_data(session, first.frame) == first


@pytest.mark.parametrize(
    ("key", "shown"),
    [("13800138000", "13•••00"), ("2469", "2•••9"), ("7", "•••"), ("", "•••"), ("a@example.com", "a@e•••com")],
)
def test_masks_hide_the_middle(key: str, shown: str) -> None:
    assert masked(key) == shown
