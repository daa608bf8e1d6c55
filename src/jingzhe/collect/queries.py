"""The steps from rows to facts: people, orders, lines, what an earlier import already knows, what is refused."""

from __future__ import annotations

from jingzhe.collect.rows import COLUMNS, ROWS
from jingzhe.store.query import Query, Step, one


def good_rows(present: tuple[str, ...], *, facts_only: bool = False) -> Step:
    """Returns the rows that are not refused, with every column of :data:`COLUMNS`.

    Args:
        present: columns that the kept rows have.
        facts_only: True to leave out the rows of lists of people, of whom nothing happened.
    """
    absent = {"day": "CAST(ts AS DATE) AS day"}
    listed = ", ".join(
        name if name in present else absent.get(name, f"CAST(NULL AS {kind}) AS {name}")
        for name, kind in COLUMNS.items()
        if name not in {"refused", "raw", "quarantined"}
    )
    facts = " AND ts IS NOT NULL" if facts_only else ""
    return Step("good_rows", f"SELECT {listed} FROM {ROWS} WHERE refused IS NULL{facts}")


def bounds(present: tuple[str, ...]) -> Query:
    """Returns how many good rows there are, how many of them are facts or have an order number, and their days."""
    day = "day" if "day" in present else "ts"
    order = "count(order_id)" if "order_id" in present else "0"
    return one(
        "bounds",
        f"SELECT count(*) AS good, count(ts) AS facts, {order} AS with_order, CAST(min({day}) AS DATE) AS first_day, "
        f"CAST(max({day}) AS DATE) AS last_day FROM {ROWS} WHERE refused IS NULL",
    )


# Names of events ------------------------------------------------------------------------------------------------------

EVENT_NAMES = one(
    "event_names",
    f"SELECT event_name AS name, count(*) AS rows FROM {ROWS} WHERE refused IS NULL AND ts IS NOT NULL GROUP BY 1",
)

# Orders: one event per order, person and kind -------------------------------------------------------------------------

_RETURNED = "CASE WHEN quantity IS NULL THEN amount < 0 ELSE quantity < 0 END"


def order_lines(*, events: bool) -> Step:
    """Returns the rows that have an order number, with the person and the number of their event.

    Args:
        events: whether the rows carry names of events.
    """
    kind = f"coalesce({_RETURNED}, false)"
    told = f"hash({kind}, event_name)" if events else kind
    return Step(
        "order_lines",
        f"""
SELECT CAST(hash($batch, order_id, person_id, {told}) >> 1 AS BIGINT) AS event_id, good_rows.*, person_id
FROM good_rows JOIN people USING (customer) WHERE order_id IS NOT NULL""",
    )


ORDERS = "orders"
"""The step :func:`orders`."""


def orders(present: tuple[str, ...]) -> Step:
    """Returns one row per event of an order; what no file has is not aggregated, for that costs as much as the rest."""
    maybe = {
        "event_name": ("min(event_name) AS event_name",),
        "discount": ("sum(discount) AS discount",),
        "quantity": ("sum(quantity) AS quantity",),
        "currency": ("min(currency) AS currency", "max(currency) AS currency_other"),
    }
    listed = [
        one_ if name in present else f"CAST(NULL AS {COLUMNS[name]}) AS {one_.rsplit(' ', 1)[1]}"
        for name, many in maybe.items()
        for one_ in many
    ]
    day = "min(day)" if "day" in present else "CAST(min(ts) AS DATE)"
    return Step(
        ORDERS,
        f"""
SELECT event_id, person_id, min(order_id) AS order_id, max(order_id) AS order_other, min(ts) AS ts,
  max(ts) AS last_ts, {day} AS day, round(sum(amount), 6) AS revenue, {", ".join(listed)}
FROM order_lines GROUP BY event_id, person_id""",
    )


ORDER_CHECK = one(
    "order_check",
    """
SELECT count(*) FILTER (order_id <> order_other) AS glued, count(*) FILTER (ts <> last_ts) AS spread,
  count(*) FILTER (currency <> currency_other) AS mixed, count(*) FILTER (revenue < 0 OR quantity < 0) AS back,
  count(*) AS events FROM orders""",
)


def order_count(orders: str) -> Query:
    """Returns how many orders the events of the step ``orders`` belong to: one with returns has two events."""
    return one("order_count", f"SELECT count(DISTINCT (order_id, person_id)) AS orders FROM {orders}")


SPREAD = Step("spread", "SELECT event_id, person_id, ts AS order_ts, day AS order_day FROM orders WHERE ts <> last_ts")

# Rows without an order number: the same row again is the same fact ---------------------------------------------------

_CONTENT = (
    "hash({person}, epoch_us({ts}), {name}, {amount}, coalesce({discount}, -1), coalesce({quantity}, 0), "
    "coalesce({currency}, ''), coalesce({product}, ''), coalesce({category}, ''), coalesce({price}, 0))"
)
SINGLES = Step(
    "singles",
    f"""
SELECT content, now_person, min(person_id) AS person_id, any_value(ts) AS ts, any_value(day) AS day,
  any_value(event_name) AS event_name, any_value(product_id) AS product_id, any_value(category) AS category,
  any_value(quantity) AS quantity,
  any_value(price) AS price, any_value(discount) AS discount, any_value(amount) AS amount,
  any_value(currency) AS currency, count(*) AS times
FROM (
  SELECT *, {_CONTENT.format(
      person="now_person", ts="ts", name="coalesce(event_name, '')", amount="coalesce(round(amount, 6), 0)",
      discount="discount", quantity="quantity", currency="currency", product="product_id", category="category",
      price="price")} AS content
  FROM (SELECT * REPLACE (coalesce(currency, $currency) AS currency) FROM good_rows)
  JOIN people USING (customer) WHERE order_id IS NULL
) GROUP BY content, now_person""",
)  # fmt: skip


def known_singles(*, events: bool) -> Step:
    """Returns how often each content is already known; orders have no name of their own."""
    name = "name" if events else "''"
    content = _CONTENT.format(
        person="events.person_id", ts="events.ts", name=name, amount="coalesce(events.revenue, 0)",
        discount="events.discount",
        quantity="events.quantity", currency="events.currency", product="items.product_id",
        category="items.category", price="items.price",
    )  # fmt: skip
    return Step(
        "known_singles",
        f"""
SELECT {content} AS content, events.person_id AS now_person, count(*) AS times
FROM events SEMI JOIN people ON people.now_person = events.person_id
LEFT JOIN items ON items.event_id = events.event_id AND items.person_id = events.person_id
WHERE events.source = $source AND events.order_id IS NULL GROUP BY 1, 2""",
    )


NEW_SINGLES = Step(
    "new_singles",
    """
SELECT CAST(hash($batch, content, occurrence) >> 1 AS BIGINT) AS event_id, singles.* EXCLUDE (times)
FROM (
  SELECT content, now_person, unnest(range(coalesce(known_singles.times, 0), singles.times)) AS occurrence
  FROM singles LEFT JOIN known_singles USING (content, now_person)
) JOIN singles USING (content, now_person)""",
)
SINGLES_CHECK = one(
    "singles_check",
    "SELECT count(*) - count(DISTINCT (event_id, person_id)) AS glued, count(*) AS rows FROM new_singles",
)

IS_ITEM = "(product_id IS NOT NULL OR category IS NOT NULL)"


def _back(revenue: str) -> str:
    """Returns whether money or goods came back."""
    return f"({revenue} < 0 OR (coalesce({revenue}, 0) = 0 AND quantity < 0))"


SINGLES_TOTAL = one("singles_total", "SELECT CAST(sum(times) AS BIGINT) AS rows FROM singles")

# What an earlier import of the same source says about the same orders -------------------------------------------------

HAS_SOURCE = one("has_source", "SELECT count(*) AS events FROM (SELECT 1 FROM events WHERE source = $source LIMIT 1)")
KNOWN_ORDERS = Step(
    "known_orders",
    """
SELECT event_id, person_id, order_id, ts, day, name, revenue, discount, quantity, currency
FROM events SEMI JOIN (SELECT DISTINCT order_id FROM orders) USING (order_id)
WHERE source = $source""",
)
_FACT = (
    "sum(hash({person}, {ts}, {name}, revenue, coalesce(round(discount, 6), -1), coalesce(round(quantity, 6), 0), "
    "coalesce({currency}, '')))"
)
_LINE = (
    "sum(hash(product_id, coalesce(category, ''), coalesce(quantity, 0), coalesce(price, 0), "
    "coalesce(discount, -1), round(amount, 6)))"
)


def unchanged_orders(*, events: bool) -> Step:
    """Returns the orders that an earlier import knows with the same events and the same lines."""
    name = "event_name" if events else f"CASE WHEN {_back('revenue')} THEN 1 ELSE 0 END"
    known_name = "name" if events else "CASE WHEN name = 'order_refunded' THEN 1 ELSE 0 END"
    facts = _FACT.format(
        person="coalesce(new_person, person_id)", ts="epoch_us(ts)", name=name,
        currency="coalesce(currency, $currency)",
    )  # fmt: skip
    known = _FACT.format(person="person_id", ts="epoch_us(ts)", name=known_name, currency="currency")
    return Step(
        "unchanged_orders",
        f"""
SELECT order_id FROM (
  SELECT order_id, {facts} AS facts
  FROM (SELECT * FROM orders SEMI JOIN known_orders USING (order_id)) AS told
  LEFT JOIN person_overrides ON old_person = person_id GROUP BY order_id
) JOIN (
  SELECT order_id, {known} AS facts FROM known_orders GROUP BY order_id
) USING (order_id, facts)
JOIN (
  SELECT orders.order_id, {_LINE} FILTER {IS_ITEM} AS lines FROM order_lines
  JOIN (SELECT event_id, person_id, order_id FROM orders SEMI JOIN known_orders USING (order_id)) AS orders
  USING (event_id, person_id) GROUP BY 1
) AS new_lines USING (order_id)
JOIN (
  SELECT known_orders.order_id, {_LINE.replace("discount", "items.discount").replace("quantity", "items.quantity")}
    FILTER {IS_ITEM} AS lines
  FROM known_orders LEFT JOIN items USING (event_id, person_id) GROUP BY 1
) AS old_lines USING (order_id)
WHERE new_lines.lines IS NOT DISTINCT FROM old_lines.lines""",
    )


REPLACED = Step("replaced", "SELECT * FROM known_orders ANTI JOIN unchanged_orders USING (order_id)")
NEW_ORDERS = Step("new_orders", "SELECT * FROM orders ANTI JOIN unchanged_orders USING (order_id)")
ADDED_ORDERS = one(
    "added_orders",
    "SELECT count(DISTINCT (order_id, person_id)) AS orders FROM new_orders ANTI JOIN known_orders USING (order_id)",
)
OVERLAP = one(
    "overlap",
    """
SELECT (SELECT count(DISTINCT order_id) FROM replaced) AS replaced,
  (SELECT count(*) FROM unchanged_orders) AS unchanged""",
)
RETRACTION_ROWS = one(
    "retraction_rows",
    """
SELECT event_id, filed.person_id AS person_id, filed.day AS day, $batch AS batch
FROM (SELECT event_id, person_id, day FROM events_filed SEMI JOIN replaced USING (event_id)) AS filed
LEFT JOIN person_overrides ON old_person = filed.person_id
JOIN (SELECT event_id, person_id FROM replaced) AS gone USING (event_id)
WHERE gone.person_id = coalesce(new_person, filed.person_id)""",
)
"""A correction names the person under whom the event was filed, so that it holds whoever stands for whom later."""

# Facts ----------------------------------------------------------------------------------------------------------------


def _events(step: str, order: str, revenue: str, *, events: bool) -> str:
    back = _back(revenue)
    name = "event_name" if events else f"CASE WHEN {back} THEN 'order_refunded' ELSE 'order_completed' END"
    plain = f"CASE WHEN {back} THEN 'refund' ELSE 'purchase' END"
    activity = "activity_of.activity" if events else plain
    joined = f"{step} JOIN activity_of ON activity_of.name = {step}.event_name" if events else step
    return f"""
SELECT event_id, make_timestamptz(epoch_us(ts)) AS ts, day, make_timestamptz(epoch_us($received_at)) AS received_at,
  $source AS source, {name} AS name, {activity} AS activity, person_id, {order} AS order_id, {revenue} AS revenue,
  discount, quantity, coalesce(currency, $currency) AS currency, $batch AS batch
FROM {joined}"""


def event_rows(orders: str, *, events: bool) -> Query:
    """Returns the rows of the table ``events`` for the kept orders called ``orders``."""
    return one("order_events", _events(orders, "order_id", "revenue", events=events))


def single_event_rows(*, events: bool) -> Query:
    """Returns the rows of the table ``events`` for rows without an order number."""
    return one("single_events", _events("new_singles", "CAST(NULL AS VARCHAR)", "round(amount, 6)", events=events))


def item_rows(lines: Step, *, changed_only: bool, spread: bool) -> Query:
    """Returns the rows of the table ``items`` for the lines of orders.

    Args:
        lines: the step that gives the lines.
        changed_only: whether the lines of orders that are known and unchanged have to be left out.
        spread: whether an order has lines of several moments; they take that of the order.
    """
    ts, day = ("coalesce(order_ts, ts)", "coalesce(order_day, day)") if spread else ("ts", "day")
    source = "order_lines"
    if changed_only:
        source += " ANTI JOIN unchanged_orders USING (order_id)"
    if spread:
        source += " LEFT JOIN spread USING (event_id, person_id)"
    return Query(
        "order_items",
        (
            lines,
            Step(
                "order_items",
                f"""
SELECT event_id, make_timestamptz(epoch_us({ts})) AS ts, {day} AS day, person_id, product_id, category, quantity, price,
  discount, amount, $batch AS batch FROM {source} WHERE {IS_ITEM}""",
            ),
        ),
    )


SINGLE_ITEM_ROWS = one(
    "single_items",
    f"""
SELECT event_id, make_timestamptz(epoch_us(ts)) AS ts, day, person_id, product_id, category, quantity, price, discount,
  amount, $batch AS batch FROM new_singles WHERE {IS_ITEM}""",
)

# Refused rows ---------------------------------------------------------------------------------------------------------

REFUSED_ORDINALS = one(
    "refused_ordinals", f"SELECT rowid AS ordinal FROM {ROWS} WHERE refused IS NOT NULL ORDER BY rowid"
)


def refused_rows(present: tuple[str, ...]) -> Step:
    """Returns the refused rows with their place and reason; ``again`` marks those that are in quarantine already."""
    again = "quarantined IS NOT NULL" if "quarantined" in present else "false"
    return Step(
        "refused_rows",
        f"""
SELECT refused_lines.file AS file, line, reasons.field AS field,
  json_extract_string(raw, columns.pointer) AS value, reasons.reason AS reason, raw AS row, again
FROM (SELECT rowid AS ordinal, refused, raw, {again} AS again FROM {ROWS} WHERE refused IS NOT NULL)
JOIN refused_lines USING (ordinal)
JOIN refusal_reasons AS reasons ON reasons.number = refused
LEFT JOIN refusal_columns AS columns ON columns.file = refused_lines.file AND columns.field = reasons.field
UNION ALL BY NAME SELECT file, line, field, value, reason, row, false AS again FROM refused_by_engine""",
    )


QUARANTINE_ROWS = one(
    "quarantine_rows",
    "SELECT $import_id AS import_id, * EXCLUDE (again), $batch AS batch FROM new_refused "
    "ANTI JOIN quarantine USING (file, line, row) WHERE NOT again",
)

# Refused rows that somebody mended ------------------------------------------------------------------------------------

QUARANTINE_KEY = "import_id || '/' || line || '/' || file"
OPEN_KEYS = Step("open_keys", f"SELECT {QUARANTINE_KEY} AS key FROM quarantine")
MENDED_KEYS = Step(
    "mended_keys",
    f"SELECT DISTINCT quarantined AS key FROM {ROWS} "
    "WHERE refused IS NULL AND quarantined IN (SELECT key FROM open_keys)",
)
ROW_COUNT = one("row_count", f"SELECT count(*) AS rows FROM {ROWS}")
UNTAKEN_ROWS = Step(
    ROWS, f"SELECT * FROM {ROWS} WHERE quarantined IS NULL OR quarantined IN (SELECT key FROM open_keys)"
)
STILL_OPEN = one(
    "still_open",
    f"SELECT * FROM quarantine WHERE {QUARANTINE_KEY} NOT IN (SELECT key FROM mended_keys)",
)


def known_lines(present: tuple[str, ...]) -> Step:
    """Returns, as rows, what is known of the orders that mended rows belong to: they complete them."""
    made = {
        "customer": "identities.value", "ts": "make_timestamp(epoch_us(events.ts))", "day": "events.day",
        "order_id": "events.order_id", "event_name": "events.name", "product_id": "items.product_id",
        "category": "items.category", "price": "items.price", "currency": "events.currency",
        "quantity": "CASE WHEN items.event_id IS NULL THEN events.quantity ELSE items.quantity END",
        "discount": "CASE WHEN items.event_id IS NULL THEN events.discount ELSE items.discount END",
        "amount": "coalesce(items.amount, events.revenue)",
    }  # fmt: skip
    listed = ", ".join(f"{made.get(name, f'CAST(NULL AS {COLUMNS[name]})')} AS {name}" for name in present)
    return Step(
        ROWS,
        f"""
SELECT {listed} FROM events
SEMI JOIN (SELECT order_id FROM {ROWS} WHERE refused IS NULL AND quarantined IS NOT NULL) USING (order_id)
JOIN (
  SELECT person_id, coalesce(min(named.customer), min(value)) AS value FROM identities
  LEFT JOIN (SELECT DISTINCT customer FROM {ROWS} WHERE refused IS NULL AND quarantined IS NOT NULL) AS named
  ON named.customer = identities.value WHERE identities.kind = $kind GROUP BY person_id
) AS identities ON identities.person_id = events.person_id
LEFT JOIN items ON items.event_id = events.event_id AND items.person_id = events.person_id
WHERE events.source = $source""",
    )


REFUSED_COUNTS = one(
    "refused_counts", "SELECT reason, count(*) AS rows FROM refused_rows GROUP BY 1 ORDER BY 2 DESC, 1"
)
FIRST_REFUSED = one(
    "first_refused", "SELECT file, line, field, value, reason FROM refused_rows ORDER BY file, line LIMIT 5"
)
