"""Who moved from one state or class to another between two days.

Both days are looked at with the same eyes: the thresholds of the RFM classes and the personal clock are those of the
later day, so that somebody who changed class has changed, and not the yardstick.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from jingzhe.profile.refresh import Recipe
from jingzhe.profile.rfm import Thresholds, people_steps, people_values
from jingzhe.store.engine import Session
from jingzhe.store.query import Query, Step, one

MOVEMENT = one(
    "state_movement",
    "SELECT coalesce(b.state, 'absent') AS state_before, p.state AS state_now, count(*) AS people, "
    "sum(p.monetary) AS monetary FROM people AS p LEFT JOIN people_before AS b USING (person_id) "
    "GROUP BY ALL ORDER BY state_before, state_now",
    "how many people moved from one state to another between two days, and what they are worth on the later one",
)


def keep_people(
    session: Session, recipe: Recipe, as_of: date, found: Thresholds, *, name: str = "people_before"
) -> int:
    """Keeps everybody as of any day, with the columns of :data:`jingzhe.profile.columns.PEOPLE`.

    Args:
        session: with person-days and items attached; it keeps the relation ``name`` until it is closed.
        recipe: how profiles are computed.
        as_of: the day at whose end they hold; nothing after it is looked at.
        found: thresholds of the classes: those of the later day where two days are compared.
        name: of the relation; an older one of that name is replaced.

    Returns:
        the number of people known by then.
    """
    *steps, last = people_steps("profiled")
    kept = Step(name, last.sql, kept=True)
    counted = Step("counted", f"SELECT count(*) AS people FROM {name}")
    session.drop(name)
    query = Query("people_as_of", (*recipe.profiles(), *steps, kept, counted))
    values = {**recipe.values(as_of), **people_values(found, as_of)}
    return int(session.run(query, values)["people"][0].as_py())


def movement(session: Session) -> pa.Table:
    """Returns how many people moved between states; ``people_before`` and ``people`` must be readable.

    Returns:
        state_before (``absent``: not known yet on the earlier day), state_now, people, monetary.
    """
    return session.run(MOVEMENT)
