"""The tables of this part: person-days and profiles, column by column."""

from __future__ import annotations

from jingzhe.store.catalogue import Column, Table

WINDOW_DAYS = 90
"""Length of the window in which the recent past is compared with the time before it, days."""

COUNTED = ("purchase", "refund", "cart", "favourite", "view", "search", "visit")
"""Activities that have a count of their own; all others count among the events only.

Messages (``message_*``) are left out altogether: they are what we did, not what the person did.
"""

PERSON_DAYS = Table(
    "person_days",
    (
        Column("person_id", "BIGINT", "the person"),
        Column("day", "DATE", "calendar day in the project's time zone"),
        Column("events", "INTEGER", "what the person did, of any kind; messages to the person left out"),
        Column("purchases", "INTEGER", "orders placed"),
        Column("refunds", "INTEGER", "refunds and returns"),
        Column("carts", "INTEGER", "cart actions"),
        Column("favourites", "INTEGER", "products marked as favourite"),
        Column("views", "INTEGER", "product views"),
        Column("searches", "INTEGER", "searches"),
        Column("visits", "INTEGER", "page and app visits"),
        Column("spend", "DOUBLE", "revenue of the orders placed, before refunds"),
        Column("returned", "DOUBLE", "money returned, 0 or more"),
        Column("discount", "DOUBLE", "discount on the orders placed, 0 or more"),
        Column("quantity", "DOUBLE", "units bought, before returns"),
        Column("night", "INTEGER", "events between 0 and 6 o'clock"),
        Column("morning", "INTEGER", "events between 6 and 12 o'clock"),
        Column("afternoon", "INTEGER", "events between 12 and 18 o'clock"),
        Column("evening", "INTEGER", "events between 18 and 24 o'clock"),
    ),
    key=("person_id", "day"),
    sort_by=("person_id", "day"),
    layered=True,
    derived=True,
    doc="one person on one day: counts and sums",
)

FACT_COLUMNS = (
    Column("person_id", "BIGINT", "the person"),
    Column("first_day", "DATE", "first day with any activity"),
    Column("last_day", "DATE", "last day with any activity"),
    Column("first_purchase_day", "DATE", "day of the first order; null for prospects"),
    Column("last_purchase_day", "DATE", "day of the last order; null for prospects"),
    Column("active_days", "INTEGER", "days with any activity"),
    Column("events", "BIGINT", "what the person did, of any kind; messages to the person left out"),
    Column("purchases", "BIGINT", "orders placed: the frequency"),
    Column("purchase_days", "INTEGER", "days with an order"),
    Column("refunds", "BIGINT", "refunds and returns"),
    Column("views", "BIGINT", "product views"),
    Column("carts", "BIGINT", "cart actions"),
    Column("favourites", "BIGINT", "products marked as favourite"),
    Column("searches", "BIGINT", "searches"),
    Column("visits", "BIGINT", "page and app visits"),
    Column("spend", "DOUBLE", "revenue of all orders, before refunds"),
    Column("returned", "DOUBLE", "money returned, 0 or more"),
    Column("monetary", "DOUBLE", "spend minus returned"),
    Column("discount", "DOUBLE", "discount on all orders"),
    Column("quantity", "DOUBLE", "units bought"),
    Column("average_order", "DOUBLE", "spend per order; null for prospects"),
    Column("discount_share", "DOUBLE", "discount / (spend + discount); null without either"),
    Column("return_share", "DOUBLE", "returned / spend; null without spend"),
    Column("repeat_spend", "DOUBLE", "mean spend of a purchase day after the first one; null without one"),
    Column("gaps", "INTEGER", "gaps between purchase days: purchase_days - 1"),
    Column("cycle_days", "DOUBLE", "median gap, days; null without gaps"),
    Column("cycle_spread_days", "DOUBLE", "interquartile range of the gaps, days; null without gaps"),
    Column("last_gap_days", "INTEGER", "the last gap, days; null without gaps"),
    Column("gap_log_sum", "DOUBLE", "sum of ln(gap in days)"),
    Column("gap_log_square_sum", "DOUBLE", "sum of ln(gap in days) squared"),
    Column("peak_weekday", "INTEGER", "weekday with most active days, 1 Monday to 7 Sunday"),
    Column("weekend_share", "DOUBLE", "share of active days on Saturday or Sunday"),
    Column("peak_daypart", "INTEGER", "most active part of the day: 0 night, 1 morning, 2 afternoon, 3 evening"),
    Column("peak_daypart_share", "DOUBLE", "share of events in that part of the day"),
    Column("categories", "INTEGER", "different categories bought; 0 where unknown"),
    Column("top_category", "VARCHAR", "category with most spend; null where unknown"),
    Column("top_category_share", "DOUBLE", "its share of the spend with a category"),
    Column("active_days_recent", "INTEGER", "active days in the last window"),
    Column("active_days_before", "INTEGER", "active days in the window before it"),
    Column("events_recent", "BIGINT", "events in the last window"),
    Column("events_before", "BIGINT", "events in the window before it"),
    Column("purchases_recent", "BIGINT", "orders in the last window"),
    Column("purchases_before", "BIGINT", "orders in the window before it"),
    Column("spend_recent", "DOUBLE", "spend in the last window"),
    Column("spend_before", "DOUBLE", "spend in the window before it"),
    Column("facts_valid_until", "DATE", "last as_of for which the window columns hold; null: for ever"),
)
"""What is known of a person as of the end of a day; nothing here depends on other people."""

CLOCK_COLUMNS = (
    Column("cooling_after_days", "INTEGER", "silence from which the person counts as slowing down, days"),
    Column("dormant_after_days", "INTEGER", "silence from which the person counts as dormant, days"),
    Column("lost_after_days", "INTEGER", "silence from which the person counts as lost, days"),
    Column("dormant_before_days", "INTEGER", "what dormant_after_days was before the last order, days"),
    Column("rhythm_known", "BOOLEAN", "true where the thresholds follow the person's own rhythm"),
)
"""The personal clock; computed by :mod:`jingzhe.dormancy.rhythm` from the facts."""

STATE_COLUMNS = (
    Column("state", "VARCHAR", "prospect, new, active, declining, dormant, lost or returned"),
    Column("state_since", "DATE", "first day of the state, as far as the facts tell"),
    Column("valid_until", "DATE", "last as_of for which facts and state hold without new events; null: for ever"),
)

PROFILES = Table(
    "profiles",
    (*FACT_COLUMNS, *CLOCK_COLUMNS, *STATE_COLUMNS),
    key=("person_id",),
    sort_by=("person_id",),
    layered=True,
    derived=True,
    doc="one person as of the day of the last refresh",
)

RFM_COLUMNS = (
    Column("recency_days", "INTEGER", "days since the last order; null for prospects"),
    Column("age_days", "INTEGER", "days since the first activity"),
    Column("rfm_r", "BOOLEAN", "recent: the last order is not longer ago than the threshold; null for prospects"),
    Column("rfm_f", "BOOLEAN", "frequent: more orders than the threshold; null for prospects"),
    Column("rfm_m", "BOOLEAN", "valuable: monetary above the threshold; null for prospects"),
    Column("r_score", "INTEGER", "recency score, 5 for the most recent fifth of the buyers; null for prospects"),
    Column("f_score", "INTEGER", "frequency score, 5 for the most frequent fifth; null for prospects"),
    Column("m_score", "INTEGER", "monetary score, 5 for the most valuable fifth; null for prospects"),
    Column("rfm_class", "VARCHAR", "one of the eight RFM classes; null for prospects"),
)
"""What depends on everybody, so it is computed when it is read; see :mod:`jingzhe.profile.rfm`."""

PEOPLE = Table(
    "people",
    (*PROFILES.columns, *RFM_COLUMNS),
    key=("person_id",),
    doc="one person as of a day, with the RFM class; a relation of a session, never stored",
)
