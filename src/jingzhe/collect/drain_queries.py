"""The steps from decoded calls to the tables of facts. They read ``calls`` and ``call_lines``, which a drain offers."""

from __future__ import annotations

from jingzhe.collect.wire.call import CONTEXT
from jingzhe.store.query import one

CLAIM_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('jingzhe inbox claim', 0))"
"""Waits on PostgreSQL until nobody else writes down a claim; on SQLite writers take turns by themselves."""

TIDIED = "DELETE FROM inbox_drained WHERE number IN ({numbers})"
"""Forgets which rows were drained, once they are gone from the inbox; they are given as one value."""

_TS = "make_timestamptz(ts_us)"
_DAY = f"CAST(timezone($zone, {_TS}) AS DATE)"

EVENT_ROWS = one(
    "live_events",
    f"""
SELECT event_id, {_TS} AS ts, {_DAY} AS day, make_timestamptz(received_us) AS received_at, source, name, activity,
  person_id, order_id, revenue, discount, quantity, currency, $batch AS batch
FROM calls WHERE activity IS NOT NULL""",
)
ITEM_ROWS = one(
    "live_items",
    f"""
SELECT event_id, {_TS} AS ts, {_DAY} AS day, person_id, product_id, category, call_lines.quantity, price,
  call_lines.discount, amount, $batch AS batch
FROM call_lines JOIN calls USING (event_id)""",
)
DETAIL_ROWS = one(
    "live_details",
    f"""
SELECT event_id, {_TS} AS ts, {_DAY} AS day, make_timestamptz(received_us) AS received_at, person_id, source, call,
  sent_name, client, user_id, anonymous_id, session_id, {", ".join(CONTEXT)}, properties, $batch AS batch
FROM calls""",
)
IDENTITY_ROWS = one(
    "live_identities",
    """
SELECT min(person_id) AS person_id, kind, value, $batch AS batch
FROM met_keys ANTI JOIN identities USING (kind, value) GROUP BY kind, value""",
)
