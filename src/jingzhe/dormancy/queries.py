"""The SQL of this part, as named steps: facts to sufficient statistics, histories, labels and features."""

from __future__ import annotations

from jingzhe.profile.columns import FACT_COLUMNS
from jingzhe.profile.columnsets import ColumnSet
from jingzhe.profile.queries import facts_steps
from jingzhe.store.catalogue import identifier
from jingzhe.store.query import Query, Step, one

KNOWN = "known"
"""Name under which the facts of the buyers as of a day are kept in a session."""

CHOSEN = "chosen"
"""Name under which the people whose facts are wanted are kept, where not everybody's are."""

HISTORIES = "histories"
"""Name under which predictions per distinct purchase history are kept."""

MICRO = 1_000_000
"""Sums over people are of whole millionths, so that their order, and the number of threads, changes nothing."""


def buyers(*, chosen: bool = False) -> Query:
    """Returns the query that keeps the facts of the buyers as of ``$as_of`` as :data:`KNOWN` and counts them.

    Args:
        chosen: True to look at the people in the relation :data:`CHOSEN` only.
    """
    kept = Step(KNOWN, "SELECT * FROM facts WHERE purchase_days > 0", kept=True)
    steps = facts_steps(of=CHOSEN if chosen else None)
    return Query("buyers", (*steps, kept, Step("answer", f"SELECT count(*) AS people FROM {KNOWN}")))


PROFILED = Query(
    "profiled_buyers",
    (
        Step(
            KNOWN,
            "SELECT " + ", ".join(column.name for column in FACT_COLUMNS) + " FROM profiles WHERE purchase_days > 0",
            kept=True,
        ),
        Step("answer", f"SELECT count(*) AS people FROM {KNOWN}"),
    ),
)
"""Keeps the facts of the buyers that stand in the table of profiles as :data:`KNOWN` and counts them."""

SPAN = one(
    "span",
    "SELECT min(day) AS first_day, max(day) AS last_day, count(DISTINCT person_id) AS people FROM person_days "
    "WHERE purchases > 0 AND day <= $as_of",
    "the time in which there were purchases, and the people who made them",
)

CHOOSE = Step(
    CHOSEN,
    "SELECT DISTINCT person_id FROM person_days WHERE purchases > 0 AND day <= $as_of "
    "AND abs(person_id % 1000003) * 2654435761 % 1000003 % CAST($of AS BIGINT) < CAST($keep AS BIGINT)",
)
"""A fixed share ``$keep / $of`` of the buyers, by a multiplicative hash of the person (Knuth, TAOCP 3, 6.4)."""


def rhythm_cells(facts: str) -> Query:
    """Returns the people of a relation of facts by what their gaps are like, 1/20 of a log day fine.

    Cells hold the means of their people, so the likelihood of the cells is that of the people to second order. Above
    forty gaps neighbouring numbers share a cell.
    """
    return one(
        "rhythm_cells",
        f"""
SELECT sum(gaps) / count(*) AS gaps, sum(mean_micro) / count(*) / {MICRO}.0 AS log_mean,
    sum(variance_micro) / count(*) / {MICRO}.0 AS log_variance, count(*) AS people
FROM (
    SELECT gaps, CASE WHEN gaps <= 40 THEN gaps ELSE 40 + CAST(floor(20 * ln(gaps / 40.0)) AS INTEGER) END AS gap_class,
        CAST(round(gap_log_sum / gaps * {MICRO}) AS BIGINT) AS mean_micro,
        CAST(round(greatest(gap_log_square_sum / gaps - (gap_log_sum / gaps) ** 2, 0.0) * {MICRO}) AS BIGINT)
            AS variance_micro
    FROM {identifier(facts)} WHERE gaps > 0
)
GROUP BY gap_class, mean_micro // 50000, CAST(floor(sqrt(variance_micro / {MICRO}.0) * 20) AS INTEGER)
ORDER BY gaps, log_mean, log_variance""",
        "people whose gaps are alike",
    )


_HISTORY = (
    "gaps AS frequency, last_purchase_day - first_purchase_day AS recency_days, $as_of - first_purchase_day AS age_days"
)


DISTINCT_HISTORIES = "distinct_histories"
"""Name under which the distinct purchase histories are kept, each with the people who have it."""

DISTINCT_SPENDS = "distinct_spends"
"""Name under which the distinct mean repeat spends are kept, each with its number of days and people."""

VALUED = "valued_histories"
"""Name under which the discounted purchases of every distinct history are kept, and the cell it belongs to."""


def distinct_histories(facts: str) -> Step:
    """Returns the step that keeps the distinct purchase histories (x, t_x, T) as of ``$as_of``.

    ``facts`` must be as of ``$as_of``. This is all that fitting a purchase model needs (Fader, Hardie and Lee 2005).
    """
    return Step(
        DISTINCT_HISTORIES,
        f"SELECT frequency, recency_days, age_days, count(*) AS people FROM (SELECT {_HISTORY} "
        f"FROM {identifier(facts)} WHERE purchase_days > 0) GROUP BY ALL",
    )


HISTORIES_TO_FIT = one(
    "histories_to_fit", f"SELECT * FROM {DISTINCT_HISTORIES} ORDER BY ALL", "a distinct purchase history"
)
HISTORY_ROWS = one(
    "history_rows",
    f"SELECT frequency, recency_days, age_days FROM {DISTINCT_HISTORIES} ORDER BY frequency, recency_days, age_days",
    "a distinct purchase history; in order, so that the last digit of a prediction depends on no thread",
)
_COARSE_FREQUENCY = (
    "CASE WHEN frequency <= 40 THEN frequency ELSE 40 + CAST(floor(20 * ln(frequency / 40.0)) AS INTEGER) END"
)
_HISTORY_CELLS = Step(
    "history_cells",
    f"SELECT frequency, recency_days, age_days, people, {_COARSE_FREQUENCY} AS frequency_class, "
    "CAST(floor($fineness * ln(1 + recency_days / 7.0)) AS INTEGER) AS recency_class, "
    "CAST(floor($fineness * ln(1 + (age_days - recency_days) / 7.0)) AS INTEGER) AS silence_class "
    f"FROM {DISTINCT_HISTORIES}",
)
HISTORY_CELL_COUNT = Query(
    "history_cell_count",
    (
        _HISTORY_CELLS,
        Step(
            "answer",
            "SELECT count(DISTINCT (frequency_class, recency_class, silence_class)) AS cells FROM history_cells",
        ),
    ),
)
COARSE_HISTORIES = Query(
    "coarse_histories",
    (
        _HISTORY_CELLS,
        Step(
            "answer",
            "SELECT sum(frequency * people) / sum(people) AS frequency, sum(recency_days * people) / sum(people) AS "
            "recency_days, sum(age_days * people) / sum(people) AS age_days, CAST(sum(people) AS BIGINT) AS people "
            "FROM history_cells GROUP BY frequency_class, recency_class, silence_class ORDER BY ALL",
        ),
    ),
    "the mean history of people whose t_x and silence T - t_x are alike, on a logarithmic scale; above forty purchase "
    "days neighbouring numbers share a cell",
)


def distinct_spends(facts: str) -> Step:
    """Returns the step that keeps the mean spend of repeat purchase days, in hundredths, with its days and people."""
    return Step(
        DISTINCT_SPENDS,
        "SELECT gaps AS frequency, round(repeat_spend * 100) / 100 AS repeat_spend, count(*) AS people "
        f"FROM {identifier(facts)} WHERE gaps > 0 AND repeat_spend > 0 GROUP BY ALL",
    )


SPENDS_TO_FIT = one("spends_to_fit", f"SELECT * FROM {DISTINCT_SPENDS} ORDER BY ALL", "a distinct mean repeat spend")
COARSE_SPENDS = one(
    "coarse_spends",
    f"""
SELECT sum(frequency * people) / sum(people) AS frequency,
    sum(repeat_spend * people) / sum(people) AS repeat_spend, CAST(sum(people) AS BIGINT) AS people
FROM {DISTINCT_SPENDS}
GROUP BY {_COARSE_FREQUENCY}, CAST(floor(ln(repeat_spend) * 200) AS INTEGER) ORDER BY ALL""",
    "the mean of mean repeat spends within half a per cent of one another",
)

_CELL = "frequency_class, alive_class, expected_class"
TYPICAL_HISTORIES = Query(
    "typical_histories",
    (
        Step(
            "numbered",
            f"SELECT *, row_number() OVER (PARTITION BY {_CELL} ORDER BY frequency, recency_days, age_days) AS place "
            f"FROM {VALUED}",
        ),
        Step(
            "answer",
            f"SELECT {_CELL}, frequency, recency_days, age_days, discounted_purchases FROM numbered WHERE place = 1 "
            f"ORDER BY {_CELL}",
        ),
    ),
    "the first history of every cell of alike ones",
)
EVERY_HISTORY = one(
    "every_history",
    f"SELECT frequency, recency_days, age_days, discounted_purchases FROM {VALUED} "
    "ORDER BY frequency, recency_days, age_days",
)


def history_values(key: tuple[str, ...]) -> Step:
    """Returns the step that joins the simulated ratios to the valued histories, by ``key``."""
    return Step(
        VALUES,
        f"SELECT v.frequency, v.recency_days, v.age_days, v.discounted_purchases, low_ratio, high_ratio "
        f"FROM {VALUED} AS v LEFT JOIN {RATIOS} USING ({', '.join(key)})",
    )


OUTCOMES = one(
    "outcomes",
    f"""
SELECT {KNOWN}.person_id, gaps AS frequency, last_purchase_day - first_purchase_day AS recency_days,
    $as_of - first_purchase_day AS age_days, coalesce(bought_days, 0) AS bought_days
FROM {KNOWN} LEFT JOIN (
    SELECT person_id, count(*) AS bought_days FROM person_days
    WHERE purchases > 0 AND day > $as_of AND day <= $as_of + CAST($horizon_days AS INTEGER) GROUP BY person_id
) AS after USING (person_id)
ORDER BY person_id""",
    "one buyer as of $as_of with the purchase days of the horizon after it",
)

FEATURES = {
    "silence": "silence_days / horizon",
    "age": "age_days / horizon",
    "silence_share": "silence_days / (age_days + 1.0)",
    "frequency": "gaps",
    "rate": "gaps / (age_days + 1.0) * horizon",
    "silence_cycles": "silence_days / greatest(coalesce(cycle_days, age_days + 1.0), 1.0)",
    "cycle_spread": "cycle_spread_days / greatest(cycle_days, 1.0)",
    "cycle_lengthening": "ln(greatest(last_gap_days, 1) / greatest(cycle_days, 1.0))",
    "overdue": "overdue",
    "quiet": "($as_of - last_day) / horizon",
    "purchases_kept": "(purchases_recent + 0.5) / (purchases_recent + purchases_before + 1.0)",
    "spend_kept": "spend_recent / nullif(spend_recent + spend_before, 0)",
    "events_kept": "(events_recent + 0.5) / (events_recent + events_before + 1.0)",
    "days_kept": "(active_days_recent + 0.5) / (active_days_recent + active_days_before + 1.0)",
    "purchases_recent": "purchases_recent",
    "events_per_day": "events / active_days",
    "orders_per_day": "purchases / purchase_days",
    "average_order": "ln(1.0 + greatest(average_order, 0.0))",
    "spend_growth": "repeat_spend / nullif(spend / purchase_days, 0)",
    "units_per_order": "ln(1.0 + greatest(quantity / purchases, 0.0))",
    "discount_share": "discount_share",
    "return_share": "return_share",
    "refunds": "refunds",
    "interest": "(views + carts + favourites + searches + visits) / (purchases + 1.0)",
    "categories": "categories",
    "top_category_share": "top_category_share",
    "weekend_share": "weekend_share",
    "daypart_share": "peak_daypart_share",
}
"""What the churn edge looks at. Durations are in units of the horizon or of the person's own cycle, so that what was
learnt on a shorter horizon carries over to a longer one."""


def features(overdue: str, clock: ColumnSet, predictions: tuple[str, ...]) -> Query:
    """Returns the features of the people in :data:`KNOWN`, with the predictions of the purchase models joined.

    Args:
        overdue: expression of how overdue the silence is.
        clock: the personal clock; ``awake`` tells who is not dormant by it.
        predictions: columns of the relation :data:`HISTORIES` to hand on.
    """
    columns = ", ".join(f"CAST({sql} AS REAL) AS {name}" for name, sql in FEATURES.items())
    predicted = "".join(f", {identifier(name)}" for name in predictions)
    return Query(
        "features",
        (
            Step(
                "lives",
                f"SELECT *, {_HISTORY}, $as_of - last_purchase_day AS silence_days, "
                f"CAST($horizon_days AS DOUBLE) AS horizon, {overdue} AS overdue FROM ({clock.select(KNOWN)})",
            ),
            Step(
                "answer",
                f"SELECT person_id, silence_days < dormant_after_days AS awake, {columns}{predicted} FROM lives "
                f"JOIN {HISTORIES} USING (frequency, recency_days, age_days)",
            ),
        ),
        "features of one buyer as of $as_of",
    )


VALUES = "history_values"
"""Name under which the worth of each distinct purchase history is kept."""

RATIOS = "interval_ratios"
"""Name under which the bounds of the simulated intervals are offered, as shares of the mean."""

RISKS = "risks"
"""Name under which the churn edge's probabilities are kept."""

SCORED = "scored"
"""Name under which the table of scores is kept in a session."""

_SPEND = (
    "CASE WHEN CAST($spend_p AS DOUBLE) * gaps + CAST($spend_q AS DOUBLE) > 1.05 THEN "
    "CAST($spend_p AS DOUBLE) * (CAST($spend_gamma AS DOUBLE) + gaps * greatest(coalesce(repeat_spend, 0.0), 0.0)) "
    "/ (CAST($spend_p AS DOUBLE) * gaps + CAST($spend_q AS DOUBLE) - 1.0) ELSE greatest(spend / purchase_days, 0.0) END"
)
_OWN_SPEND = "greatest(spend / purchase_days, 0.0)"
_CENTS = "round({} * 100) / 100"


def scored(overdue: str, clock: ColumnSet, model: str, *, spend_known: bool, risks: bool) -> Query:
    """Returns the query that keeps the scores of the people in :data:`KNOWN` as :data:`SCORED` and counts them.

    Expected spend is equation 5 of Fader and Hardie (2013); where the Gamma-Gamma model is not known, or its mean does
    not exist, the person's own mean stands for it. Expected value is the probability of a return, by the default
    score, times the purchases that a return brings, by the purchase model, times the expected spend, so that it never
    contradicts ``p_return``. Tiers part the buyers at quantiles of what they have spent, net of returns: by the CLV
    everybody dormant would be of low value, whatever there is to win back.

    Args:
        overdue: expression of how overdue the silence is.
        clock: the personal clock.
        model: name of the purchase model whose predictions, in :data:`HISTORIES`, are shown.
        spend_known: whether ``$spend_p``, ``$spend_q`` and ``$spend_gamma`` are bound.
        risks: True to take ``p_return`` from :data:`RISKS`, False to take the purchase model's.
    """
    name = identifier(model)
    p_return = "p_return" if risks else f"return_{name}"
    purchases_of_a_return = f"greatest(expected_{name} / greatest(return_{name}, 1e-9), 1.0)"
    joined = f"lives JOIN {HISTORIES} USING (frequency, recency_days, age_days)"
    joined += f" JOIN {VALUES} USING (frequency, recency_days, age_days)"
    joined += f" JOIN {RISKS} USING (person_id)" if risks else ""
    steps = (
        Step(
            "lives",
            f"SELECT *, {_HISTORY}, {overdue} AS overdue, {_SPEND if spend_known else _OWN_SPEND} AS expected_spend "
            f"FROM ({clock.select(KNOWN)})",
        ),
        Step(
            "valued",
            f"""
SELECT person_id, CAST($as_of AS DATE) AS as_of, CAST($horizon_days AS INTEGER) AS horizon_days,
    alive_{name} AS p_alive, expected_{name} AS expected_purchases, return_{name} AS p_return_model,
    {p_return} AS p_return, 1.0 - {p_return} AS risk, overdue,
    CAST(last_purchase_day + dormant_after_days AS DATE) AS dormant_on,
    {_CENTS.format("expected_spend")} AS expected_spend,
    {_CENTS.format(f"{p_return} * {purchases_of_a_return} * expected_spend")} AS expected_value,
    {_CENTS.format("discounted_purchases * expected_spend")} AS clv,
    {_CENTS.format("discounted_purchases * expected_spend * low_ratio")} AS clv_low,
    {_CENTS.format("discounted_purchases * expected_spend * high_ratio")} AS clv_high,
    monetary AS worth,
    $as_of - last_purchase_day < dormant_after_days AND 1.0 - {p_return} >= CAST($flag_risk AS DOUBLE) AS edge
FROM {joined}""",
            kept=True,
        ),
        Step(
            "borders",
            "SELECT quantile_cont(worth, CAST($high_from AS DOUBLE)) AS high, "
            "quantile_cont(worth, CAST($middle_from AS DOUBLE)) AS middle FROM valued",
        ),
        Step(
            SCORED,
            "SELECT valued.* EXCLUDE (worth), CASE WHEN worth > 0 AND worth >= high THEN 'high' "
            "WHEN worth > 0 AND worth >= middle THEN 'middle' ELSE 'low' END AS value_tier "
            "FROM valued CROSS JOIN borders",
            kept=True,
        ),
        Step("answer", f"SELECT count(*) AS people FROM {SCORED}"),
    )
    return Query("scored", steps)
