"""What comes out: people with everything known of them, states, classes, and the list to act on."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from jingzhe.app.views import View
from jingzhe.core.errors import SettingError
from jingzhe.dormancy.reasons import evidence, evidence_values
from jingzhe.dormancy.treatment import TIERS, treatment_table
from jingzhe.identity import personal_keys
from jingzhe.identity.filing import IS_FILED, is_filed
from jingzhe.profile.packs import STATES as STATE_NAMES
from jingzhe.store.query import Query, Step, one
from jingzhe.store.state import State

KEYS = Step(
    "keys",
    f"SELECT person_id, coalesce(min(CASE WHEN {IS_FILED} THEN NULL ELSE value END), max(value)) AS customer_id "
    "FROM identities GROUP BY person_id",
)
"""What a business calls its customers; a hash where it knows them by telephone or e-mail alone."""
_SCORES = (
    "p_alive, expected_purchases, p_return, risk, overdue, dormant_on, expected_spend, expected_value, clv, clv_low, "
    "clv_high, value_tier, edge"
)
_WHOLE = Step(
    "whole",
    "SELECT k.customer_id, p.*, s.* EXCLUDE (person_id) FROM people AS p LEFT JOIN keys AS k USING (person_id) "
    f"LEFT JOIN (SELECT person_id, {_SCORES} FROM scores) AS s USING (person_id)",
)
PEOPLE = Query("everybody", (KEYS, Step("answer", _WHOLE.sql)), "one person: keys, profile, classes, scores")
PERSON = Query(
    "one_person",
    (KEYS, _WHOLE, Step("answer", "SELECT * FROM whole SEMI JOIN sought USING (person_id) ORDER BY person_id")),
    "the same of the people in the offered table ``sought``",
)
STATES = one(
    "state_counts",
    "SELECT state, count(*) AS people, CAST(sum(purchases) AS BIGINT) AS purchases, sum(monetary) AS monetary "
    "FROM people GROUP BY state ORDER BY people DESC, state",
)
CLASSES = one(
    "rfm_classes",
    "SELECT rfm_class, count(*) AS people, sum(monetary) AS monetary, avg(recency_days) AS recency_days_mean, "
    "avg(purchases) AS purchases_mean FROM people WHERE rfm_class IS NOT NULL GROUP BY rfm_class "
    "ORDER BY monetary DESC, rfm_class",
)

LIST_COLUMNS = (
    "customer_id", "person_id", "state", "since", "value_tier", "value_at_risk", "spend_year", "expected_value",
    "p_return", "overdue", "dormant_on", "last_purchase_day", "recency_days", "cycle_days", "purchases", "monetary",
    "rfm_class", "top_category", "treatment", "treatment_en", "treatment_zh", "evidence_en", "evidence_zh",
)  # fmt: skip
"""Columns of the list to act on, in order; ``value_at_risk`` is the risk times the spend of the last 365 days."""


_MOST_FIRST = "value_at_risk DESC, risk DESC, person_id"
_BEHIND = (
    "$after_person IS NULL OR value_at_risk < $after_value OR (value_at_risk = $after_value AND "
    "(risk < $after_risk OR (risk = $after_risk AND person_id > $after_person)))"
)


def _listing(language_columns: str) -> Query:
    steps = (
        KEYS,
        Step(
            "years",
            "SELECT person_id, sum(spend) AS spend_year FROM person_days WHERE day > $year_start AND day <= $as_of "
            "GROUP BY person_id",
        ),
        Step(
            "candidates",
            "SELECT p.*, s.* EXCLUDE (person_id, as_of), coalesce(y.spend_year, 0) AS spend_year, "
            "s.risk * coalesce(y.spend_year, 0) AS value_at_risk FROM people AS p JOIN scores AS s USING (person_id) "
            "LEFT JOIN years AS y USING (person_id) "
            "WHERE list_contains($states, p.state) AND list_contains($tiers, s.value_tier)",
        ),
        Step("first", f"SELECT * FROM candidates WHERE {_BEHIND} ORDER BY {_MOST_FIRST} LIMIT $top"),
        Step("worded", f"SELECT *, {language_columns} FROM first"),
        Step(
            "answer",
            "SELECT k.customer_id, w.person_id, w.state, w.state_since AS since, w.value_tier, w.value_at_risk, "
            "w.spend_year, w.expected_value, w.p_return, w.overdue, w.dormant_on, w.last_purchase_day, "
            "w.recency_days, w.cycle_days, w.purchases, w.monetary, w.rfm_class, w.top_category, t.treatment, "
            "t.treatment_en, t.treatment_zh, w.evidence_en, w.evidence_zh FROM worded AS w "
            "LEFT JOIN keys AS k USING (person_id) LEFT JOIN treatments AS t USING (state, value_tier) "
            "ORDER BY w.value_at_risk DESC, w.risk DESC, w.person_id",
        ),
    )
    return Query("list_to_act_on", steps, "one person of the list: LIST_COLUMNS")


LISTING = _listing(f"{evidence('en')} AS evidence_en, {evidence('zh')} AS evidence_zh")


def listed(
    view: View,
    *,
    top: int | None,
    states: tuple[str, ...],
    tiers: tuple[str, ...],
    after: tuple[float, float, int] | None = None,
) -> pa.Table:
    """Returns the people to act on, those with most value at risk first.

    Args:
        view: as of the day.
        top: at most this many; None for all.
        states: which states.
        tiers: which value tiers.
        after: value at risk, risk and number of the person behind whom to go on; None: from the beginning.

    Raises:
        SettingError: there is no such state or tier.
    """
    for name, given, known in (("state", states, STATE_NAMES), ("tier", tiers, TIERS)):
        unknown = [one_ for one_ in given if one_ not in known]
        if unknown:
            raise SettingError(f"There is no {name} {unknown[0]!r}", hint=f"There are: {', '.join(known)}")
    view.session.offer("treatments", treatment_table())
    value, risk, person = after or (None, None, None)
    values = {
        **evidence_values(view.basis.pack),
        "as_of": view.as_of,
        "year_start": view.as_of - timedelta(days=365),
        "states": list(states),
        "tiers": list(tiers),
        "after_value": value,
        "after_risk": risk,
        "after_person": person,
        "top": top if top is not None else 2**31 - 1,
    }
    return view.session.run(LISTING, values).select(LIST_COLUMNS)


def with_written_keys(state: State, rows: pa.Table) -> pa.Table:
    """Returns people with their keys as files wrote them where ``customer_id`` is a hash, as far as these are kept.

    Args:
        state: has them, sealed.
        rows: people, with a column ``customer_id``.

    Raises:
        SealError: the store was opened without the keys that open them.
    """
    place = rows.column_names.index("customer_id")
    shown = rows["customer_id"].to_pylist()
    written = personal_keys.opened(state, (key for key in shown if key is not None and is_filed(key)))
    made = pa.array([written.get(key, key) if key is not None else None for key in shown], pa.string())
    return rows.set_column(place, rows.field(place), made)


def hidden_keys(rows: pa.Table) -> int:
    """Returns how many people stand under a hash in the column ``customer_id``."""
    return sum(key is not None and is_filed(key) for key in rows["customer_id"].to_pylist())
