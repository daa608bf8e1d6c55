"""The table of scores that this part owns."""

from __future__ import annotations

from jingzhe.store.catalogue import Column, Table

SCORES = Table(
    "scores",
    (
        Column("person_id", "BIGINT", "the person; only people with at least one order have scores"),
        Column("as_of", "DATE", "day at whose end the scores hold"),
        Column("horizon_days", "INTEGER", "horizon of the probabilities, days"),
        Column("p_alive", "DOUBLE", "probability of still being a customer, by the purchase model"),
        Column("expected_purchases", "DOUBLE", "expected purchase days within the horizon, by the purchase model"),
        Column("p_return_model", "DOUBLE", "probability of an order within the horizon, by the purchase model"),
        Column("p_return", "DOUBLE", "probability of an order within the horizon: the product's default score"),
        Column("risk", "DOUBLE", "probability of no order within the horizon: 1 - p_return"),
        Column("overdue", "DOUBLE", "quantile of the present silence among the person's gaps, 0 to 1"),
        Column("dormant_on", "DATE", "predicted day from which the silence counts as dormant"),
        Column("expected_spend", "DOUBLE", "expected spend of one purchase day"),
        Column(
            "expected_value",
            "DOUBLE",
            "expected spend within the horizon: p_return x purchases of a return x expected spend",
        ),
        Column("clv", "DOUBLE", "expected spend within 365 days, discounted"),
        Column("clv_low", "DOUBLE", "lower bound of the 80 % interval of clv"),
        Column("clv_high", "DOUBLE", "upper bound of the 80 % interval of clv"),
        Column("value_tier", "VARCHAR", "high, middle or low, by net spend so far among buyers"),
        Column("edge", "BOOLEAN", "true: not dormant yet, but the risk says that it is near"),
    ),
    key=("person_id",),
    sort_by=("person_id",),
    derived=True,
    doc="what the models say of one person",
)
