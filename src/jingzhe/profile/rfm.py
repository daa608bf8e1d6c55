"""Recency, frequency, monetary: eight classes, five scores, and how people moved between classes.

Thresholds depend on everybody, so classes are computed when they are read, from facts that do not: a refresh of
a few people stays a refresh of a few people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

import pyarrow as pa

from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.core.text import Text
from jingzhe.profile.columns import PEOPLE as PEOPLE_TABLE
from jingzhe.store.catalogue import identifier
from jingzhe.store.engine import Session
from jingzhe.store.query import Query, Step, one

Method = Literal["quantile", "mean", "given"]

CLASSES: Mapping[str, Text] = {
    "important_value": Text("Champions (recent, frequent, high spend)", "重要价值客户"),
    "important_develop": Text("High spend, recent, rare", "重要发展客户"),
    "important_keep": Text("High spend, frequent, not recent", "重要保持客户"),
    "important_retain": Text("High spend, rare, not recent", "重要挽留客户"),
    "general_value": Text("Recent, frequent, low spend", "一般价值客户"),
    "general_develop": Text("Recent, rare, low spend", "一般发展客户"),
    "general_keep": Text("Frequent, not recent, low spend", "一般保持客户"),
    "general_retain": Text("Rare, not recent, low spend", "一般挽留客户"),
}
"""The eight classes: important is high monetary; value, develop, keep, retain follow recency and frequency."""


@dataclass(frozen=True)
class Thresholds:
    """What counts as recent, frequent and valuable.

    Args:
        recency_days: at most this many days since the last order is recent.
        frequency: more orders than this is frequent.
        monetary: more net spend than this is high.
        recency_cuts, frequency_cuts, monetary_cuts: four quantiles each (0.2, 0.4, 0.6, 0.8) for the five scores.
        method: how the thresholds were found.
    """

    recency_days: float
    frequency: float
    monetary: float
    recency_cuts: tuple[float, ...]
    frequency_cuts: tuple[float, ...]
    monetary_cuts: tuple[float, ...]
    method: Method = "quantile"

    def to_dict(self) -> dict[str, Any]:
        """Returns the thresholds by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Thresholds:
        """Returns the thresholds that :meth:`to_dict` wrote."""
        cuts = {name: tuple(body[name]) for name in ("recency_cuts", "frequency_cuts", "monetary_cuts")}
        return cls(**{**body, **cuts})


NOBODY = Thresholds(0, 0, 0, (0,) * 4, (0,) * 4, (0,) * 4, "given")
"""Thresholds where nobody has bought: they put nobody into a class."""

_BUYERS = Step(
    "buyers",
    "SELECT CAST($as_of - last_purchase_day AS DOUBLE) AS recency, CAST(purchases AS DOUBLE) AS frequency, monetary "
    "FROM profiles WHERE last_purchase_day IS NOT NULL",
)
_CUTS = "[0.2, 0.4, 0.6, 0.8]"
THRESHOLDS = Query(
    "rfm_thresholds",
    (
        _BUYERS,
        Step(
            "thresholds",
            "SELECT count(*) AS buyers, avg(recency) AS recency_mean, avg(frequency) AS frequency_mean, "
            "avg(monetary) AS monetary_mean, quantile_cont(recency, $quantile) AS recency_quantile, "
            "quantile_cont(frequency, 1 - $quantile) AS frequency_quantile, "
            "quantile_cont(monetary, 1 - $quantile) AS monetary_quantile, "
            f"quantile_cont(recency, {_CUTS}) AS recency_cuts, quantile_cont(frequency, {_CUTS}) AS frequency_cuts, "
            f"quantile_cont(monetary, {_CUTS}) AS monetary_cuts FROM buyers",
        ),
    ),
    "one row: means, quantiles and cuts of recency, frequency and monetary among buyers",
)


def thresholds(
    session: Session,
    as_of: date,
    *,
    method: Method = "quantile",
    quantile: float = 0.5,
    given: tuple[float, float, float] | None = None,
) -> Thresholds:
    """Finds the thresholds among the buyers of ``profiles``.

    Args:
        session: with ``profiles`` attached.
        as_of: day from which recency is counted.
        method: quantile, mean, or given.
        quantile: share of buyers that counts as recent (frequent, valuable: the upper share), 0 to 1.
        given: recency in days, frequency in orders, monetary, for method ``given``.

    Raises:
        NoDataError: nobody has bought anything yet.
        SettingError: the quantile is no share, or ``given`` and the method do not fit.
    """
    if (method == "given") != (given is not None):
        raise SettingError("The method 'given', and no other, takes three thresholds: recency in days, orders, spend")
    if not 0 < quantile < 1:
        raise SettingError("The quantile of the RFM thresholds must be above 0 and below 1", quantile=quantile)
    row = session.run(THRESHOLDS, {"as_of": as_of, "quantile": quantile}).to_pylist()[0]
    if not row["buyers"]:
        raise NoDataError("Nobody has bought anything yet, so there are no RFM classes", as_of=as_of)
    names = ("recency", "frequency", "monetary")
    if given is not None:
        recency, frequency, monetary = given
    else:
        recency, frequency, monetary = (float(row[f"{name}_{method}"]) for name in names)
    cuts = {f"{name}_cuts": tuple(float(cut) for cut in row[f"{name}_cuts"]) for name in names}
    return Thresholds(recency, frequency, monetary, **cuts, method=method)


_BOUGHT = "last_purchase_day IS NOT NULL"
_RECENCY = "($as_of - last_purchase_day)"
_RANK = "CASE WHEN rfm_r AND rfm_f THEN 'value' WHEN rfm_r THEN 'develop' WHEN rfm_f THEN 'keep' ELSE 'retain' END"
_CLASS = f"CASE WHEN {_BOUGHT} THEN (CASE WHEN rfm_m THEN 'important_' ELSE 'general_' END) || ({_RANK}) END"


def _score_sql(column: str, name: str, *, low_is_good: bool) -> str:
    comparison = "<=" if low_is_good else ">"
    terms = " + ".join(f"CAST({column} {comparison} ${name}_cut_{cut} AS INTEGER)" for cut in range(1, 5))
    return f"CASE WHEN {_BOUGHT} THEN 1 + {terms} END"


_RFM = {
    "recency_days": _RECENCY,
    "age_days": "$as_of - first_day",
    "rfm_r": f"{_RECENCY} <= $recency_days",
    "rfm_f": f"CASE WHEN {_BOUGHT} THEN purchases > $frequency END",
    "rfm_m": f"CASE WHEN {_BOUGHT} THEN monetary > $monetary END",
    "r_score": _score_sql(_RECENCY, "recency", low_is_good=True),
    "f_score": _score_sql("purchases", "frequency", low_is_good=False),
    "m_score": _score_sql("monetary", "monetary", low_is_good=False),
}


def people_steps(source: str = "profiles") -> tuple[Step, ...]:
    """Returns the steps from profiles to :data:`jingzhe.profile.columns.PEOPLE`; the last is called ``people``.

    Args:
        source: relation with the columns of profiles, as of the day that :func:`people_values` is given.
    """
    flags = ", ".join(f"CAST({sql} AS {PEOPLE_TABLE[name].type}) AS {name}" for name, sql in _RFM.items())
    return (
        Step("flagged", f"SELECT *, {flags} FROM {identifier(source)}"),
        Step("people", f"SELECT *, {_CLASS} AS rfm_class FROM flagged"),
    )


PEOPLE = Query("people", people_steps(), "one person: the profile with recency, age, RFM flags, class and scores")


def people_values(found: Thresholds, as_of: date) -> dict[str, Any]:
    """Returns what PEOPLE binds."""
    values: dict[str, Any] = {
        "as_of": as_of,
        "recency_days": found.recency_days,
        "frequency": found.frequency,
        "monetary": found.monetary,
    }
    for name in ("recency", "frequency", "monetary"):
        for position, cut in enumerate(getattr(found, f"{name}_cuts"), start=1):
            values[f"{name}_cut_{position}"] = cut
    return values


MIGRATION = one(
    "rfm_migration",
    "SELECT b.rfm_class AS class_before, p.rfm_class AS class_now, count(*) AS people, sum(p.monetary) AS monetary "
    "FROM people AS p LEFT JOIN people_before AS b USING (person_id) "
    "WHERE p.rfm_class IS NOT NULL GROUP BY ALL ORDER BY class_before NULLS FIRST, class_now",
    "how many people moved from one class to another between two dates; class_before is null for new buyers",
)


def migration(session: Session) -> pa.Table:
    """Returns how people moved between classes; ``people_before`` and ``people`` must be readable."""
    return session.run(MIGRATION)
