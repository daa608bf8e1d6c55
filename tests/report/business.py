"""Small tables of a made-up shop, as the report's queries find them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from jingzhe.core.text import Text
from jingzhe.dormancy.columns import SCORES
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.profile.rfm import Thresholds
from jingzhe.report import Backtest, CalibrationBin, Frame, Imports, ModelResult
from jingzhe.report.names import RFM_CLASSES
from jingzhe.report.phrasing import same
from jingzhe.store.catalogue import Column, Table
from jingzhe.store.engine import Session
from jingzhe.store.facts import IDENTITIES, QUARANTINE

AS_OF = date(2026, 3, 5)
BEFORE = date(2025, 12, 5)
PEOPLE = PROFILES.with_columns(
    (
        Column("recency_days", "INTEGER", "days since the last order"),
        Column("age_days", "INTEGER", "days since the first order"),
        Column("rfm_r", "BOOLEAN", "recent"),
        Column("rfm_f", "BOOLEAN", "frequent"),
        Column("rfm_m", "BOOLEAN", "high spend"),
        Column("rfm_class", "VARCHAR", "RFM class"),
        Column("r_score", "INTEGER", "1 to 5"),
        Column("f_score", "INTEGER", "1 to 5"),
        Column("m_score", "INTEGER", "1 to 5"),
    )
)
BEFORE_SCHEMA = pa.schema([("person_id", pa.int64()), ("state", pa.string())])
Rows = Sequence[dict[str, Any]]


def table_of(declared: Table, rows: Rows) -> pa.Table:
    """Returns rows in a table's columns; what a row leaves out is null."""
    schema = declared.arrow_schema
    return pa.table({name: [row.get(name) for row in rows] for name in schema.names}, schema=schema)


def offer(
    session: Session,
    *,
    people: Rows = (),
    scores: Rows = (),
    person_days: Rows = (),
    identities: Rows = (),
    quarantine: Rows = (),
    before: Rows | None = None,
) -> None:
    """Makes the relations of a report readable."""
    session.offer("people", table_of(PEOPLE, people))
    session.offer("scores", table_of(SCORES, scores))
    session.offer("person_days", table_of(PERSON_DAYS, person_days))
    session.offer("identities", table_of(IDENTITIES, identities))
    session.offer("quarantine", table_of(QUARANTINE, quarantine))
    if before is not None:
        session.offer("people_before", pa.Table.from_pylist(list(before), schema=BEFORE_SCHEMA))


def backtest(advantage: float = 0.012, advantage_se: float | None = 0.004, chosen: str = "edge") -> Backtest:
    """Returns a plausible backtest."""
    return Backtest(
        cut=date(2025, 9, 6),
        horizon_days=180,
        people=2_310,
        returned=1_502,
        models=(
            ModelResult("edge", Text("Churn edge", "流失边缘模型"), 0.842, 0.008, 0.1493, 1.53),
            ModelResult("pareto_nbd", same("Pareto/NBD"), 0.842 - advantage, 0.008, 0.1571, 1.52),
            ModelResult("bgnbd", same("BG/NBD"), 0.821, 0.009, 0.1602, 1.51),
            ModelResult("recency", Text("Recency alone", "仅看近度"), 0.774, 0.010, None, 1.44),
        ),
        chosen=chosen,
        candidate="edge",
        rival="pareto_nbd",
        advantage=advantage,
        advantage_se=advantage_se,
        calibration=tuple(
            CalibrationBin(predicted, min(max(predicted + shift, 0.0), 1.0), people)
            for predicted, shift, people in (
                (0.03, 0.01, 231),
                (0.12, -0.02, 231),
                (0.28, 0.04, 231),
                (0.46, -0.03, 231),
                (0.62, 0.02, 231),
                (0.75, 0.01, 231),
                (0.84, -0.06, 231),
                (0.91, 0.01, 231),
                (0.96, 0.0, 231),
                (0.99, 0.0, 231),
            )
        ),
    )


def frame(**given: Any) -> Frame:
    """Returns what the tables do not say, with defaults."""
    values: dict[str, Any] = {
        "project": "Spring Tea House 春茶舍",
        "as_of": AS_OF,
        "rfm": Thresholds(40.0, 10.0, 900.0, (1.0,), (1.0,), (1.0,)),
        "generated_at": datetime(2026, 3, 6, 8, 30, tzinfo=UTC),
        "horizon_days": 180,
        "before": BEFORE,
        "currency": "CNY",
        "sources": ("orders.csv", "shop till"),
        "backtest": backtest(),
        "imports": Imports(rows_read=182_340, rows_accepted=181_920, duplicates=301),
        "reason_names": {
            "no-customer": Text("no customer", "缺少客户"),
            "bad-date": Text("not a date", "日期无效"),
        },
    }
    return Frame(**{**values, **given})


def _state(recency: int, cycle: float | None, purchases: int) -> str:
    if not purchases:
        return "prospect"
    dormant = 180 if cycle is None else max(3.2 * cycle, 30)
    if recency > 2.4 * dormant:
        return "lost"
    if recency > dormant:
        return "dormant"
    if purchases == 1:
        return "new" if recency < 60 else "declining"
    return "declining" if recency > 0.55 * dormant else "active"


def shop(count: int = 400, seed: int = 1) -> dict[str, Rows]:
    """Returns the relations of a shop with ``count`` people, for :func:`offer`."""
    draw = np.random.default_rng(seed)
    people, scores, days, keys, before = [], [], [], [], []
    for number in range(count):
        person_id = 7_000_000_000_000_000 + number
        purchases = int(draw.geometric(0.09)) if number % 23 else 0
        cycle = float(round(draw.gamma(3, 9) + 2, 1)) if purchases > 1 else None
        recency = int(min(draw.exponential(1.9 * (cycle or 60)), 700))
        state = _state(recency, cycle, purchases)
        if state == "active" and number % 17 == 0:
            state = "returned"
        spend = float(round(purchases * draw.gamma(2, 60), 2))
        high = (recency < 40, purchases > 10, spend > 900)
        spends = [spend / purchases] * purchases if purchases else []
        people.append(
            {
                "person_id": person_id,
                "state": state,
                "purchases": purchases,
                "spend": spend,
                "monetary": spend * 0.97,
                "rhythm_known": purchases > 3,
                "last_purchase_day": AS_OF - timedelta(days=recency) if purchases else None,
                "last_day": AS_OF - timedelta(days=recency if number % 5 else recency // 2),
                "purchase_days": purchases,
                "last_gap_days": round(cycle or 0),
                "top_category": "Oolong",
                "top_category_share": 0.2 + number % 7 / 10,
                "recency_days": recency if purchases else None,
                "cycle_days": cycle,
                "gaps": max(purchases - 1, 0),
                "purchases_recent": max(4 - recency // 20, 0) if purchases else 0,
                "purchases_before": 6 if purchases > 8 else 1,
                "spend_recent": 60.0,
                "spend_before": 420.0 if purchases > 8 else 50.0,
                "active_days_recent": 3,
                "active_days_before": 7,
                "rfm_class": RFM_CLASSES[4 * (not high[2]) + 2 * (not high[0]) + (not high[1])] if purchases else None,
                "r_score": max(5 - recency // 40, 1) if purchases else None,
                "f_score": min(1 + purchases // 5, 5) if purchases else None,
            }
        )
        if purchases:
            p_return = float(np.clip(draw.beta(2, 2) * np.exp(-recency / (6 * (cycle or 60))), 0.004, 0.995))
            tier = "high" if spend > 1_500 else "middle" if spend > 400 else "low"
            scores.append(
                {
                    "person_id": person_id,
                    "as_of": AS_OF,
                    "horizon_days": 180,
                    "p_return": p_return,
                    "risk": 1 - p_return,
                    "overdue": min(0.5 + recency / 400, 0.99),
                    "dormant_on": AS_OF + timedelta(days=int(draw.integers(1, 80))),
                    "expected_value": p_return * spend / 3,
                    "value_tier": tier,
                    "edge": p_return < 0.35 and state in ("active", "declining", "new"),
                }
            )
        for position, amount in enumerate(spends):
            at = AS_OF - timedelta(days=recency + round(position * (cycle or 0)))
            days.append({"person_id": person_id, "day": at, "events": 1, "purchases": 1, "spend": amount})
        keys.append({"person_id": person_id, "kind": "customer", "value": f"1380013{number:04d}"})
        if number % 9:
            before.append(
                {
                    "person_id": person_id,
                    "state": _state(max(recency - 90, int(draw.integers(0, 60))), cycle, purchases),
                }
            )
    refused = [{"reason": "no-customer", "field": "customer_id"}] * 94 + [{"reason": "bad-date", "field": "ts"}] * 25
    return {
        "people": people,
        "scores": scores,
        "person_days": days,
        "identities": keys,
        "quarantine": refused,
        "before": before,
    }
