"""The report's aggregates, as named steps over people, scores, person-days, identities and quarantine."""

from __future__ import annotations

from jingzhe.dormancy.reasons import evidence
from jingzhe.store.query import Query, Step, one

_PARTS = 2
"""Pieces of evidence per person; the full list has more room."""

PEOPLE = Step(
    "report_people",
    """
    WITH last_year AS (
      SELECT person_id, sum(spend) AS spend_year
      FROM person_days WHERE day > $year_start AND day <= $as_of GROUP BY person_id
    )
    SELECT p.person_id, p.state, p.purchases, p.spend, p.monetary, p.rhythm_known, p.last_purchase_day,
      p.recency_days, p.cycle_days, p.gaps, p.rfm_class, p.r_score, p.f_score,
      coalesce(y.spend_year, 0) AS spend_year,
      s.p_return, s.risk, s.dormant_on, s.expected_value, s.value_tier,
      coalesce(s.edge, false) AS edge
    FROM people p
    LEFT JOIN last_year y ON y.person_id = p.person_id
    LEFT JOIN scores s ON s.person_id = p.person_id
    """,
    kept=True,
)
"""One row per person with what the other queries count; kept for the length of one report."""

TOTALS = one(
    "report_totals",
    """
    SELECT count(*) AS people,
      count(*) FILTER (purchases > 0) AS buyers,
      count(p_return) AS scored,
      count(*) FILTER (purchases > 0 AND NOT coalesce(rhythm_known, false)) AS rhythmless,
      coalesce(sum(purchases), 0)::BIGINT AS orders,
      coalesce(sum(spend), 0)::DOUBLE AS spend,
      coalesce(sum(spend_year), 0)::DOUBLE AS spend_year
    FROM report_people
    """,
    doc="the whole pool, one row",
)

STATES = one(
    "report_states",
    """
    SELECT state, count(*) AS people, sum(spend_year)::DOUBLE AS spend_year,
      sum(expected_value)::DOUBLE AS expected_value
    FROM report_people GROUP BY state ORDER BY state
    """,
    doc="a state",
)

MOVES = one(
    "report_moves",
    """
    SELECT coalesce(b.state, 'absent') AS before, p.state AS now, count(*) AS people
    FROM report_people p LEFT JOIN people_before b ON b.person_id = p.person_id
    GROUP BY ALL ORDER BY ALL
    """,
    doc="a pair of states on the earlier day and now",
)

STAKES = one(
    "report_stakes",
    """
    SELECT CASE WHEN state = 'dormant' THEN 'dormant' WHEN state = 'lost' THEN 'lost'
        WHEN edge THEN 'edge' ELSE 'steady' END AS quiet_group,
      count(*) AS people, sum(spend_year)::DOUBLE AS spend_year,
      coalesce(sum(expected_value), 0)::DOUBLE AS expected_value
    FROM report_people WHERE purchases > 0 GROUP BY ALL ORDER BY ALL
    """,
    doc="a group of buyers: steady, edge, dormant, lost",
)

RFM_CLASSES = one(
    "report_rfm_classes",
    """
    SELECT rfm_class, count(*) AS people, sum(monetary)::DOUBLE AS spend
    FROM report_people WHERE purchases > 0 AND rfm_class IS NOT NULL GROUP BY rfm_class ORDER BY rfm_class
    """,
    doc="an RFM class",
)

RFM_CELLS = one(
    "report_rfm_cells",
    """
    SELECT r_score, f_score, count(*) AS people, sum(monetary)::DOUBLE AS spend
    FROM report_people WHERE purchases > 0 AND r_score IS NOT NULL AND f_score IS NOT NULL
    GROUP BY r_score, f_score ORDER BY r_score, f_score
    """,
    doc="a pair of recency and frequency scores",
)

TIERS = one(
    "report_tiers",
    """
    SELECT state, value_tier, count(*) AS people, sum(monetary)::DOUBLE AS spend,
      coalesce(sum(expected_value), 0)::DOUBLE AS expected_value,
      coalesce(sum(p_return), 0)::DOUBLE AS expected_returns,
      coalesce(sqrt(sum(p_return * (1 - p_return))), 0)::DOUBLE AS expected_returns_sd
    FROM report_people WHERE state IN ('dormant', 'lost') AND value_tier IS NOT NULL
    GROUP BY state, value_tier ORDER BY state, value_tier
    """,
    doc="dormant or lost people of a value tier",
)

EDGE = Query(
    "report_edge",
    (
        Step(
            "edge_top",
            """
            SELECT person_id AS edge_person, state AS edge_state, recency_days AS silence_days,
              last_purchase_day AS last_order, p_return AS edge_p_return, dormant_on AS edge_dormant_on,
              value_tier AS edge_tier, expected_value AS edge_value, spend_year, risk * spend_year AS at_risk
            FROM report_people
            WHERE edge AND purchases > 0 AND state NOT IN ('dormant', 'lost')
            ORDER BY at_risk DESC, risk DESC, person_id LIMIT $top
            """,
        ),
        Step(
            "edge_keys",
            """
            SELECT i.person_id AS key_person, arg_min(i.value, (i.kind, i.value)) AS source_key
            FROM identities i JOIN edge_top ON edge_person = i.person_id GROUP BY i.person_id
            """,
        ),
        Step(
            "edge_evidence",
            f"""
            SELECT person_id AS evidence_person, {evidence("en", _PARTS)} AS evidence_en,
              {evidence("zh", _PARTS)} AS evidence_zh
            FROM people JOIN scores USING (person_id) JOIN edge_top ON edge_person = person_id
            """,
        ),
        Step(
            "edge_rows",
            """
            SELECT edge_top.*, source_key, evidence_en, evidence_zh
            FROM edge_top JOIN edge_evidence ON evidence_person = edge_person
            LEFT JOIN edge_keys ON key_person = edge_person
            ORDER BY at_risk DESC, edge_p_return, edge_person
            """,
        ),
    ),
    doc="a person at the edge, the one with most to lose first",
)

EDGE_WEEKS = one(
    "report_edge_weeks",
    """
    SELECT (greatest(date_diff('day', $as_of, dormant_on) - 1, 0) // 7)::INTEGER AS week,
      count(*) AS people, sum(spend_year)::DOUBLE AS spend_year
    FROM report_people
    WHERE edge AND purchases > 0 AND state NOT IN ('dormant', 'lost') AND dormant_on IS NOT NULL
    GROUP BY ALL ORDER BY week
    """,
    doc="a week after the report's day, counted from 0",
)

SILENCE = Query(
    "report_silence",
    (
        Step(
            "silence_ratio",
            """
            SELECT state, CASE WHEN gaps > 0 THEN recency_days / greatest(cycle_days, 1) END AS cycles
            FROM report_people WHERE purchases > 0
            """,
        ),
        Step(
            "silence_bins",
            """
            SELECT CASE WHEN cycles IS NULL THEN 'no_rhythm' WHEN cycles < 0.5 THEN 'under_half'
                WHEN cycles < 1 THEN 'under_one' WHEN cycles < 2 THEN 'under_two'
                WHEN cycles < 4 THEN 'under_four'
                WHEN cycles < 8 THEN 'under_eight' ELSE 'eight_or_more' END AS bin,
              state, count(*) AS people
            FROM silence_ratio GROUP BY ALL ORDER BY ALL
            """,
        ),
    ),
    doc="a multiple of the own cycle, by state",
)

REJECTED = one(
    "report_rejected",
    """
    SELECT reason, coalesce(field, '') AS field, count(*) AS rows_refused
    FROM quarantine GROUP BY ALL ORDER BY rows_refused DESC, reason, field
    """,
    doc="refused rows by reason and field",
)

DAYS = Query(
    "report_days",
    (
        Step(
            "order_days",
            "SELECT day FROM person_days WHERE purchases > 0 AND day <= $as_of GROUP BY day",
        ),
        Step(
            "spaced_days",
            "SELECT day, coalesce(lead(day) OVER (ORDER BY day), $day_after) AS next_day FROM order_days",
        ),
        Step(
            "day_summary",
            """
            SELECT count(*) AS days_with_orders, min(day) AS first_day, max(day) AS last_day,
              max(date_diff('day', day, next_day)) AS widest,
              arg_max(day, (date_diff('day', day, next_day), day))
                AS gap_after
            FROM spaced_days
            """,
        ),
    ),
    doc="days with orders and the longest time without, one row",
)
