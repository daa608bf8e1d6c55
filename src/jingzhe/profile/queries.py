"""The SQL of this part, as named steps: events to person-days, person-days to facts."""

from __future__ import annotations

from jingzhe.profile.columns import COUNTED, FACT_COLUMNS, PERSON_DAYS
from jingzhe.store.query import Query, Step

_PLURAL = {
    "purchase": "purchases", "refund": "refunds", "cart": "carts", "favourite": "favourites", "view": "views",
    "search": "searches", "visit": "visits",
}  # fmt: skip
_DAYPARTS = ("night", "morning", "afternoon", "evening")
_UTC_DAYPART = "((epoch_us(ts) + 62135596800000000) // 21600000000) & 3"
"""Counted from the year 1, because whole division rounds moments before 1970 the other way."""
_ZONE_DAYPART = "CASE " + " ".join(f"WHEN epoch_us(ts) < until_{part} THEN {part}" for part in range(3)) + " ELSE 3 END"
_CONDITIONS = {_PLURAL[activity]: f"activity = '{activity}'" for activity in COUNTED} | {
    label: f"daypart = {part}" for part, label in enumerate(_DAYPARTS)
}
SUMMED = tuple(name for name in PERSON_DAYS.column_names if name not in PERSON_DAYS.key)
"""Every column of a person-day but its key is a count or a sum, so that days can be added up."""


def _double(bit: int) -> str:
    """Returns 2 to the power of ``bit`` as a DOUBLE; written with a point it would be a DECIMAL, far slower to sum."""
    return f"{2**bit}e0"


def _unpacked(column: str, place: int, bits: int) -> str:
    """Returns the whole number at ``place`` of a packed sum that has been cast to BIGINT."""
    return f"({column} >> {bits * place}) & {2**bits - 1}" if place else f"{column} & {2**bits - 1}"


_PART_ENDS = ", ".join(
    f"epoch_us(timezone($zone, CAST(day AS TIMESTAMP) + INTERVAL {6 * part + 6} HOUR)) AS until_{part}"
    for part in range(3)
)
DAYPARTS = Step(
    "dayparts",
    f"SELECT day, {_PART_ENDS} FROM ("
    "SELECT CAST(unnest(generate_series(low, high, INTERVAL 1 DAY)) AS DATE) AS day FROM ("
    "SELECT CAST(min(day) AS TIMESTAMP) AS low, CAST(max(day) AS TIMESTAMP) AS high FROM events))",
    kept=True,
)
"""Until when night, morning and afternoon of each local day last, so that events need no time zone arithmetic per row.

They are moments, not hours since midnight: on the days on which clocks change these differ.
"""

_OWN = "NOT starts_with(activity, 'message_')"
"""What the person did: our messages and their receipts say nothing about how active somebody is."""


def _own_events(source: str, *, utc: bool) -> str:
    """Returns the SELECT of what the persons of ``source`` did, with the part of the day."""
    daypart = _UTC_DAYPART if utc else _ZONE_DAYPART
    joined = source if utc else f"{source} JOIN dayparts USING (day)"
    return (
        f"SELECT person_id, day, activity, revenue, discount, quantity, {daypart} AS daypart FROM {joined} WHERE {_OWN}"
    )


def person_days_step(name: str, source: str, *, utc: bool) -> Step:
    """Returns the step that sums the events of ``source`` per person and day.

    Args:
        name: of the step.
        source: a relation with the columns of events.
        utc: True where the project's days begin at midnight UTC.
    """
    counts = ", ".join(f"count(*) FILTER ({condition}) AS {name}" for name, condition in _CONDITIONS.items())
    return Step(
        name,
        f"SELECT person_id, day, count(*) AS events, {counts}"
        ", coalesce(sum(revenue) FILTER (activity = 'purchase'), 0) AS spend"
        ", coalesce(-sum(revenue) FILTER (activity = 'refund'), 0) AS returned"
        ", coalesce(sum(discount) FILTER (activity = 'purchase'), 0) AS discount"
        ", coalesce(sum(quantity) FILTER (activity = 'purchase'), 0) AS quantity"
        f" FROM ({_own_events(source, utc=utc)}) GROUP BY person_id, day",
    )


_COUNT_BITS = 13
_DAY_BITS, _FIRST_DAY = 22, "DATE '0001-01-01'"
PACKED_LIMIT = 2**_COUNT_BITS - 1
"""Events a day up to which packed counts are exact: 13 bits each, four in the 53 bits of a double."""
_PACKS = (("views", "visits", "carts", "purchases"), ("searches", "favourites", "refunds"), _DAYPARTS)
"""Counts whose conditions exclude each other: of one activity, or of one part of the day."""
_DAYPART_PACK = f"CAST(CAST(1 AS BIGINT) << ({_COUNT_BITS} * daypart) AS DOUBLE)"


def _pack_sql(names: tuple[str, ...]) -> str:
    """Returns the number that one event adds to a pack."""
    if names is _DAYPARTS:
        return _DAYPART_PACK
    cases = (f"WHEN {_CONDITIONS[name]} THEN {_double(_COUNT_BITS * place)}" for place, name in enumerate(names))
    return f"CASE {' '.join(cases)} ELSE 0e0 END"


def _packed_step(source: str, *, utc: bool) -> Step:
    """Returns the step that sums the events of ``source`` per person and day, counts packed in sums."""
    packs = ", ".join(f"{_pack_sql(names)} AS pack_{number}" for number, names in enumerate(_PACKS))
    sums = ", ".join(f"CAST(sum(pack_{number}) AS BIGINT) AS pack_{number}" for number in range(len(_PACKS)))
    counts = ", ".join(
        f"{_unpacked(f'pack_{number}', place, _COUNT_BITS)} AS {name}"
        for number, names in enumerate(_PACKS)
        for place, name in enumerate(names)
    )
    key = f"person_id * {2**_DAY_BITS} + (day - {_FIRST_DAY})"
    return Step(
        "summed",
        f"SELECT person_day >> {_DAY_BITS} AS person_id, "
        f"{_FIRST_DAY} + CAST(person_day & {2**_DAY_BITS - 1} AS INTEGER) AS day, events, {counts}, "
        "coalesce(spend, 0) AS spend, coalesce(-returned, 0) AS returned, "
        "coalesce(discount, 0) AS discount, coalesce(quantity, 0) AS quantity FROM ("
        f"SELECT person_day, count(*) AS events, {sums}, sum(revenue) FILTER (activity = 'purchase') AS spend, "
        "sum(revenue) FILTER (activity = 'refund') AS returned, "
        "sum(discount) FILTER (activity = 'purchase') AS discount, "
        "sum(quantity) FILTER (activity = 'purchase') AS quantity "
        f"FROM (SELECT {key} AS person_day, activity, revenue, discount, quantity, {packs} "
        f"FROM ({_own_events(source, utc=utc)})) GROUP BY person_day)",
    )


def all_person_days(*, utc: bool, packed: bool = True) -> Query:
    """Returns the person-days of all events.

    Args:
        utc: True where the project's days begin at midnight UTC.
        packed: True to add up several counts in one number, which is faster and exact as long as no person has more
            than PACKED_LIMIT events on a day; the caller looks at the largest ``events`` and asks again where one has.
    """
    before = () if utc else (DAYPARTS,)
    summed = _packed_step("events", utc=utc) if packed else person_days_step("summed", "events", utc=utc)
    return Query("person_days_of_all", (*before, summed, Step("stored", "SELECT *, false AS gone FROM summed")))


RETRACTED_DAYS = Step(
    "retracted_days",
    "SELECT DISTINCT coalesce(new_person, person_id) AS person_id, day FROM retractions "
    "LEFT JOIN person_overrides ON old_person = person_id WHERE batch > $through_batch",
    kept=True,
)
"""Corrections stand under the person whose event they take back was filed; days under the one who stands for them."""

# Who is somebody else since the last refresh: moved_people, which a refresh offers.
MOVED_FROM = Step(
    "moved_from",
    "SELECT person_id FROM moved_people UNION "
    "SELECT old_person AS person_id FROM person_overrides "
    "SEMI JOIN moved_people ON new_person = moved_people.person_id",
    kept=True,
)
"""Under whom the facts of these people are filed. Facts are looked for by it, for a file's bounds know nothing else."""
_DAY_COLUMNS = "day, ts, activity, revenue, discount, quantity"
MOVED_EVENTS = Step(
    "moved_events",
    f"SELECT coalesce(new_person, person_id) AS person_id, {_DAY_COLUMNS} FROM ("
    f"SELECT person_id, {_DAY_COLUMNS} FROM events_filed SEMI JOIN moved_from USING (person_id)) AS found "
    "LEFT JOIN person_overrides ON old_person = person_id",
)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in SUMMED)
_ZEROS = ", ".join(f"0 AS {name}" for name in SUMMED)


def touched_person_days(*, utc: bool, moved: bool = False) -> Query:
    """Returns the person-days that new events, corrections and merges touch, as they are now.

    A day that only gained events is its old row plus the sums of the new events; a day that lost one to a
    correction is summed again from all its events, and so are all days of people who were taken over, took somebody
    over or were split off; a day that lost its last event comes back marked as gone.

    Args:
        utc: True where the project's days begin at midnight UTC.
        moved: True where there are such people, in the relation ``moved_people``.
    """
    before = () if utc else (DAYPARTS,)
    others = " ANTI JOIN moved_people USING (person_id)" if moved else ""
    again: tuple[Step, ...] = ()
    answer = (
        "SELECT *, false AS gone FROM merged UNION ALL BY NAME SELECT *, false AS gone FROM corrected "
        "UNION ALL BY NAME SELECT *, true AS gone FROM emptied"
    )
    if moved:
        again = (
            MOVED_FROM,
            MOVED_EVENTS,
            person_days_step("moved_days", "moved_events", utc=utc),
            Step(
                "left_days",
                f"SELECT person_id, day, {_ZEROS} FROM (SELECT person_id, day FROM person_days "
                "SEMI JOIN moved_people USING (person_id)) AS known ANTI JOIN moved_days USING (person_id, day)",
            ),
        )
        answer += (
            " UNION ALL BY NAME SELECT *, false AS gone FROM moved_days "
            "UNION ALL BY NAME SELECT *, true AS gone FROM left_days"
        )
    steps = (
        *before,
        RETRACTED_DAYS,
        Step("new_events", f"SELECT * FROM events{others} WHERE batch > $through_batch"),
        person_days_step("gained", "new_events", utc=utc),
        Step("grown", "SELECT * FROM gained ANTI JOIN retracted_days USING (person_id, day)"),
        Step(
            "merged",
            f"SELECT person_id, day, {_SUMS} FROM (SELECT * FROM grown UNION ALL BY NAME "
            "SELECT * FROM person_days SEMI JOIN grown USING (person_id, day)) GROUP BY person_id, day",
        ),
        Step("lost_days", f"SELECT * FROM retracted_days{others}"),
        Step("corrected_events", "SELECT * FROM events SEMI JOIN lost_days USING (person_id, day)"),
        person_days_step("corrected", "corrected_events", utc=utc),
        Step(
            "emptied",
            f"SELECT person_id, day, {_ZEROS} FROM lost_days ANTI JOIN corrected USING (person_id, day)",
        ),
        *again,
        Step("touched_days", answer, kept=True),
        Step("answer", "SELECT * FROM touched_days"),
    )
    return Query("touched_person_days", steps)


# Counts are added up packed, several whole numbers in one double, because a sum costs what it costs per column.
# 13 bits hold the weekdays of 157 years, 26 bits 67 million events. Days and events are the sums of their parts.
_WEEKDAY_BITS, _EVENT_BITS = 13, 26
_WEEKDAY_CODE = (
    "CASE isodow(day) "
    + " ".join(f"WHEN {day} THEN {_double(_WEEKDAY_BITS * (day - 1))}" for day in range(1, 5))
    + " ELSE 0e0 END AS early_code, CASE isodow(day) "
    + " ".join(f"WHEN {day} THEN {_double(_WEEKDAY_BITS * (day - 5))}" for day in range(5, 8))
    + " ELSE 0e0 END AS late_code"
)
_PAIRS = (("views", "carts"), ("favourites", "searches"), ("visits", "refunds"), _DAYPARTS[:2], _DAYPARTS[2:])


def _paired(low: str, high: str) -> str:
    """Returns the SQL that adds up two counts in one number."""
    return f"CAST(sum({low} + {_double(_EVENT_BITS)} * {high}) AS BIGINT)"


_ACTIVITY = (
    "SELECT person_id, min(day) AS first_day, max(day) AS last_day, "
    + ", ".join(f"{_paired(*names)} AS pair_{number}" for number, names in enumerate(_PAIRS))
    + ", sum(returned) AS returned, CAST(sum(early_code) AS BIGINT) AS early_codes, "
    f"CAST(sum(late_code) AS BIGINT) AS late_codes FROM (SELECT *, {_WEEKDAY_CODE} FROM days) GROUP BY person_id"
)
_WEEKDAYS = tuple(f"weekday_{day}" for day in range(1, 8))
_UNPACKED = ", ".join(
    [f"{_unpacked('early_codes', place, _WEEKDAY_BITS)} AS {name}" for place, name in enumerate(_WEEKDAYS[:4])]
    + [f"{_unpacked('late_codes', place, _WEEKDAY_BITS)} AS {name}" for place, name in enumerate(_WEEKDAYS[4:])]
    + [
        f"{_unpacked(f'pair_{number}', place, _EVENT_BITS)} AS {name}"
        for number, names in enumerate(_PAIRS)
        for place, name in enumerate(names)
    ]
)
_PEAK_WEEKDAY = (
    f"CASE greatest({', '.join(_WEEKDAYS)}) "
    + " ".join(f"WHEN weekday_{day} THEN {day}" for day in range(1, 8))
    + " END"
)
_DAYS, _EVENTS = " + ".join(_WEEKDAYS), " + ".join(_DAYPARTS)
_MOST_DAYPART = f"greatest({', '.join(_DAYPARTS)})"
_PEAK_DAYPART = (
    f"CASE {_MOST_DAYPART} " + " ".join(f"WHEN {label} THEN {part}" for part, label in enumerate(_DAYPARTS)) + " END"
)

_PURCHASES = """
SELECT person_id, min(day) AS first_purchase_day, max(day) AS last_purchase_day, count(*) AS purchase_days,
    sum(CAST(purchases AS DOUBLE)) AS purchases, sum(spend) AS spend, sum(discount) AS discount,
    sum(quantity) AS quantity, sum(spend) FILTER (gap IS NULL) AS first_spend,
    quantile_cont(gap, [0.25, 0.5, 0.75]) AS quartiles, arg_max(gap, day) AS last_gap_days,
    sum(ln(gap)) AS gap_log_sum, sum(ln(gap) * ln(gap)) AS gap_log_square_sum
FROM (
    SELECT person_id, day, purchases, spend, discount, quantity,
        day - lag(day) OVER (PARTITION BY person_id ORDER BY day) AS gap
    FROM days WHERE purchases > 0
)
GROUP BY person_id"""

_SIDES = ("recent", "before")
_WINDOWED = ("active_days", "events", "purchases")
_WINDOWS = (
    "SELECT *, "
    + ", ".join(
        f"{_unpacked(f'both_{name}', place, _EVENT_BITS)} AS {name}_{side}"
        for name in _WINDOWED
        for place, side in enumerate(_SIDES)
    )
    + f"""
FROM (
    SELECT person_id, CAST(sum(side) AS BIGINT) AS both_active_days, CAST(sum(side * events) AS BIGINT) AS both_events,
        CAST(sum(side * purchases) AS BIGINT) AS both_purchases,
        sum(spend) FILTER (recent) AS spend_recent, sum(spend) FILTER (NOT recent) AS spend_before,
        min(day) FILTER (recent) AS oldest_recent, min(day) FILTER (NOT recent) AS oldest_earlier
    FROM (
        SELECT *, CASE WHEN recent THEN 1e0 ELSE {_double(_EVENT_BITS)} END AS side FROM (
            SELECT person_id, day, events, purchases, spend, day > $as_of - CAST($window_days AS INTEGER) AS recent
            FROM days WHERE day > $as_of - 2 * CAST($window_days AS INTEGER)
        )
    )
    GROUP BY person_id
)"""
)

# Ties between categories go to the first in the alphabet: the rank is taken off a whole number of cents.
_CATEGORY_RANKS = """
SELECT category, row_number() OVER (ORDER BY category) AS rank
FROM (SELECT DISTINCT category FROM {source} WHERE category IS NOT NULL)"""
_CATEGORY_SPEND = """
SELECT person_id, category, CAST(round(sum(amount) * 100) AS BIGINT) AS cents
FROM bought WHERE category IS NOT NULL AND amount > 0 GROUP BY person_id, category"""
_TASTE = """
SELECT person_id, count(*) AS categories,
    arg_max(category, least(cents, 9000000000000) * 1000000 - rank) AS top_category,
    max(cents) / nullif(sum(cents), 0) AS top_category_share
FROM category_spend JOIN category_ranks USING (category) GROUP BY person_id"""

_ZERO_WITHOUT = (
    "purchases", "purchase_days", "spend", "discount", "quantity", "gap_log_sum", "gap_log_square_sum", "categories",
    "active_days_recent", "active_days_before", "events_recent", "events_before", "purchases_recent",
    "purchases_before", "spend_recent", "spend_before",
)  # fmt: skip
"""Columns that are 0, not unknown, for people without purchases, categories or recent activity."""
_EXPRESSIONS = {name: f"coalesce({name}, 0)" for name in _ZERO_WITHOUT} | {
    "monetary": "coalesce(spend, 0) - returned",
    "average_order": "spend / nullif(purchases, 0)",
    "discount_share": "discount / nullif(spend + discount, 0)",
    "return_share": "returned / nullif(spend, 0)",
    "repeat_spend": "(spend - first_spend) / nullif(purchase_days - 1, 0)",
    "gaps": "coalesce(purchase_days - 1, 0)",
    "cycle_days": "quartiles[2]",
    "cycle_spread_days": "quartiles[3] - quartiles[1]",
    "peak_weekday": _PEAK_WEEKDAY,
    "weekend_share": "CAST(weekday_6 + weekday_7 AS DOUBLE) / active_days",
    "peak_daypart": _PEAK_DAYPART,
    "peak_daypart_share": f"CAST({_MOST_DAYPART} AS DOUBLE) / events",
    "facts_valid_until": (
        "least(oldest_recent + CAST($window_days AS INTEGER) - 1, "
        "oldest_earlier + 2 * CAST($window_days AS INTEGER) - 1)"
    ),
}
_ANSWER = (
    "SELECT "
    + ", ".join(
        f"CAST({_EXPRESSIONS.get(column.name, column.name)} AS {column.type}) AS {column.name}"
        for column in FACT_COLUMNS
    )
    + f" FROM (SELECT *, {_DAYS} AS active_days, {_EVENTS} AS events FROM (SELECT *, {_UNPACKED} FROM activity))"
    " LEFT JOIN purchasing USING (person_id)"
    " LEFT JOIN windows USING (person_id) LEFT JOIN taste USING (person_id)"
)


def facts_steps(*, of: str | None = None, kept: bool = False) -> tuple[Step, ...]:
    """Returns the steps from person-days and items to FACT_COLUMNS; the last is called ``facts``.

    They bind ``$as_of`` (date: everything up to the end of that day counts, nothing later) and ``$window_days``.

    Args:
        of: a relation with ``person_id`` to which to keep; None for everybody.
        kept: True to keep what several steps read, once a session: the spend per category and, where they are few,
            the person-days.
    """
    only = f" SEMI JOIN {of} USING (person_id)" if of else ""
    return (
        Step("days", f"SELECT * FROM person_days{only} WHERE day <= $as_of", kept=kept and of is not None),
        Step("bought", f"SELECT person_id, category, amount FROM items{only} WHERE day <= $as_of"),
        Step("category_spend", _CATEGORY_SPEND, kept=kept),
        Step("category_ranks", _CATEGORY_RANKS.format(source="category_spend" if kept else "bought")),
        Step("taste", _TASTE),
        Step("activity", _ACTIVITY),
        Step("purchasing", _PURCHASES),
        Step("windows", _WINDOWS),
        Step("facts", _ANSWER),
    )


FACTS = Query("facts", facts_steps(), "one person as of the end of $as_of: FACT_COLUMNS")
FACTS_OF = Query("facts_of_chosen", facts_steps(of="chosen"), "the same for the people in the relation chosen")
