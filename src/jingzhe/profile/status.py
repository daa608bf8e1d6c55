"""The state of a person, from facts and the personal clock, and the day until which it holds.

A state changes by itself when a silence passes a threshold or when a day leaves a window; ``valid_until`` is the
last day before the earliest of these, so a refresh looks again at exactly the people whose day has passed.
"""

from __future__ import annotations

from jingzhe.profile.columns import CLOCK_COLUMNS, STATE_COLUMNS
from jingzhe.profile.columnsets import ColumnSet
from jingzhe.profile.packs import StatePack

_SILENCE = "($as_of - last_purchase_day)"
# At the end of the day before the last order the silence was one day shorter than the gap: only a gap longer than
# the threshold had been a dormancy on any day.
_ENDED_DORMANCY = "(gaps > 0 AND last_gap_days > dormant_before_days)"
_CAME_BACK = f"({_ENDED_DORMANCY} AND {_SILENCE} < $returned_days)"
_IS_NEW = "($as_of - first_purchase_day < $new_days)"
_WAS_CUSTOMER = "purchases > purchases_recent"
"""Had bought before the recent window: whoever looked around a lot before the first order has not declined since."""
_FALLING = (
    f"(({_WAS_CUSTOMER} AND active_days_before >= 4 AND active_days_recent < $decline_ratio * active_days_before)"
    " OR (purchases_before >= 3 AND spend_recent < $decline_ratio * spend_before))"
)
_STATE = f"""CASE
    WHEN last_purchase_day IS NULL THEN 'prospect'
    WHEN {_SILENCE} >= lost_after_days THEN 'lost'
    WHEN {_SILENCE} >= dormant_after_days THEN 'dormant'
    WHEN {_CAME_BACK} THEN 'returned'
    WHEN {_IS_NEW} THEN 'new'
    WHEN {_SILENCE} >= cooling_after_days OR {_FALLING} THEN 'declining'
    ELSE 'active' END"""
_NEW_ENDS = "first_purchase_day + CAST($new_days AS INTEGER)"
_RETURN_ENDS = f"CASE WHEN {_ENDED_DORMANCY} THEN last_purchase_day + CAST($returned_days AS INTEGER) END"
_SINCE = f"""CASE
    WHEN last_purchase_day IS NULL THEN first_day
    WHEN {_SILENCE} >= lost_after_days THEN last_purchase_day + lost_after_days
    WHEN {_SILENCE} >= dormant_after_days THEN last_purchase_day + dormant_after_days
    WHEN {_CAME_BACK} THEN last_purchase_day
    WHEN {_IS_NEW} THEN first_purchase_day
    WHEN {_SILENCE} >= cooling_after_days
        THEN greatest(last_purchase_day + cooling_after_days, {_NEW_ENDS}, {_RETURN_ENDS})
    END"""
_THRESHOLDS = ", ".join(
    f"CASE WHEN {_SILENCE} < {name} THEN last_purchase_day + {name} - 1 END"
    for name in ("cooling_after_days", "dormant_after_days", "lost_after_days")
)
_VALID_UNTIL = f"""least(
    facts_valid_until,
    {_THRESHOLDS},
    CASE WHEN {_IS_NEW} THEN {_NEW_ENDS} - 1 END,
    CASE WHEN {_CAME_BACK} THEN {_RETURN_ENDS} - 1 END)"""


def states(pack: StatePack) -> ColumnSet:
    """Returns the columns of the state under a pack's thresholds; they stand on facts and clock."""
    return ColumnSet(
        "states",
        STATE_COLUMNS,
        {"state": _STATE, "state_since": _SINCE, "valid_until": _VALID_UNTIL},
        {
            "new_days": pack.new_days,
            "returned_days": pack.returned_days,
            "decline_ratio": pack.decline_ratio,
        },
    )


def fixed_clock(pack: StatePack) -> ColumnSet:
    """Returns the clock of a business whose rhythms are not known yet: the pack's thresholds for everybody."""
    days = {
        "cooling_after_days": "CAST($fixed_dormant_days / 2 AS INTEGER)",
        "dormant_after_days": "CAST($fixed_dormant_days AS INTEGER)",
        "lost_after_days": "CAST($fixed_lost_days AS INTEGER)",
        "dormant_before_days": "CAST($fixed_dormant_days AS INTEGER)",
        "rhythm_known": "false",
    }
    values = {"fixed_dormant_days": pack.dormant_after_days, "fixed_lost_days": pack.lost_after_days}
    return ColumnSet("clock", CLOCK_COLUMNS, days, values)
