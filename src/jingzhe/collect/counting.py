"""How many events came, by day, source and outcome: counted in the transaction that publishes them.

So the numbers are exact whatever dies in between: an event that was drained is counted once, one that was not is not
counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.calls import Normalised, Refused
from jingzhe.store.state import State
from jingzhe.store.state.collect_tables import collected as table
from jingzhe.store.state.collect_tables import source as sources

ACCEPTED = "accepted"
HISTORICAL = "historical"
DUPLICATE = "duplicate"
REFUSED = "refused/"
"""What stands before the reason of refused events."""
Where = tuple[date, int, str]
"""Day of receipt in the project's zone, number of the source, outcome."""


@dataclass
class Tally:
    """Counts of one drain.

    Args:
        events: by day, source and outcome.
        received_us: when the last of them was received, UTC microseconds.
        happened_us: when the latest of them happened; only of those that are not historical.
    """

    events: dict[Where, int] = field(default_factory=dict)
    received_us: dict[Where, int] = field(default_factory=dict)
    happened_us: dict[Where, int] = field(default_factory=dict)

    def add(self, where: Where, events: int, received_us: int, happened_us: int | None = None) -> None:
        """Adds events of one kind."""
        if not events:
            return
        self.events[where] = self.events.get(where, 0) + events
        self.received_us[where] = max(self.received_us.get(where, 0), received_us)
        if happened_us is not None:
            self.happened_us[where] = max(self.happened_us.get(where, 0), happened_us)

    def write(self, connection: Connection) -> None:
        """Adds the counts to those of earlier drains, within the transaction that publishes."""
        for where, events in self.events.items():
            day, source_id, outcome = where
            which = (table.c.day == day) & (table.c.source_id == source_id) & (table.c.outcome == outcome)
            received, happened = self.received_us[where], self.happened_us.get(where)
            known = connection.execute(sa.select(table).where(which)).first()
            if known is None:
                values = {"day": day, "source_id": source_id, "outcome": outcome, "events": events}
                times = {"received_us": received, "happened_us": happened}
                connection.execute(sa.insert(table).values(**values, **times))
                continue
            happened = max((one for one in (happened, known.happened_us) if one is not None), default=None)
            changed = {"received_us": max(received, known.received_us), "happened_us": happened}
            connection.execute(sa.update(table).where(which).values(events=table.c.events + events, **changed))


def tally(found: Normalised, kept: Normalised, good: Normalised, refused: Sequence[Refused], zone: tzinfo) -> Tally:
    """Returns the counts of a drain.

    Args:
        found: everything that could be a fact.
        kept: without what was known before.
        good: without what was refused after all.
        refused: what was refused, with its reason.
        zone: of the project, in which days begin.
    """
    done, days = Tally(), _Days(zone)
    places = len(found.headings)
    duplicates = _per_heading(found, places) - _per_heading(kept, places)
    late = np.fromiter((call.historical for call in good.calls), bool, len(good))
    at = np.array(good.heading, np.int64)
    past = np.bincount(at[late], minlength=places)
    live = np.bincount(at[~late], minlength=places)
    latest = np.zeros(places, np.int64)
    np.maximum.at(latest, at[~late], np.array(good.ts_us, np.int64)[~late])
    for place, heading in enumerate(found.headings):
        day, source = days.of(heading.received_us), heading.request.source_id
        done.add((day, source, DUPLICATE), int(duplicates[place]), heading.received_us)
        done.add((day, source, HISTORICAL), int(past[place]), heading.received_us)
        done.add((day, source, ACCEPTED), int(live[place]), heading.received_us, int(latest[place]))
    for one in refused:
        received_us = one.request.received_us
        done.add((days.of(received_us), one.request.source_id, REFUSED + one.reason), 1, received_us)
    return done


def _per_heading(calls: Normalised, places: int) -> NDArray[np.int64]:
    return np.bincount(np.array(calls.heading, np.int64), minlength=places)


class _Days:
    """Days of moments; those of one hour are looked up once (no zone changes its day within a quarter)."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[int, date] = {}

    def of(self, moment_us: int) -> date:
        quarter = moment_us // 900_000_000
        found = self._known.get(quarter)
        if found is None:
            found = self._known[quarter] = datetime.fromtimestamp(quarter * 900, self._zone).date()
        return found


@dataclass(frozen=True)
class Counted:
    """Events of one source, one day and one outcome.

    Args:
        day: of receipt, in the project's zone.
        source_id: number of the source.
        outcome: ``accepted``, ``historical``, ``duplicate``, or ``refused/`` with the reason.
        events: how many.
        received_us: when the last of them was received, UTC microseconds.
        happened_us: when the latest happened; None where all are historical, known before or refused.
    """

    day: date
    source_id: int
    outcome: str
    events: int
    received_us: int
    happened_us: int | None


def counted(connection: Connection, *, since: date, until: date) -> list[Counted]:
    """Returns the counts of some days, both ends included, by day, source and outcome."""
    columns = (getattr(table.c, name) for name in Counted.__dataclass_fields__)
    wanted = sa.select(*columns).where(table.c.day.between(since, until))
    rows = connection.execute(wanted.order_by(table.c.day, table.c.source_id, table.c.outcome))
    return [Counted(*row) for row in rows]


def last_seen(connection: Connection) -> Mapping[int, tuple[int, int | None]]:
    """Returns, by source, when an event was received last and when the latest live one happened, UTC microseconds."""
    good = table.c.outcome.in_([ACCEPTED, HISTORICAL])
    columns = (table.c.source_id, sa.func.max(table.c.received_us), sa.func.max(table.c.happened_us))
    wanted = sa.select(*columns).where(good).group_by(table.c.source_id)
    return {
        int(number): (int(received), None if happened is None else int(happened))
        for number, received, happened in connection.execute(wanted)
    }


def totals(state: State) -> list[tuple[str, str, int]]:
    """Returns all events ever drained, by name of the source and outcome.

    Raises:
        StateError: the state store cannot be used.
    """
    count = sa.func.sum(table.c.events)
    name = sa.func.coalesce(sources.c.name, "?")
    joined = table.outerjoin(sources, sources.c.source_id == table.c.source_id)
    wanted = sa.select(name, table.c.outcome, count).select_from(joined).group_by(name, table.c.outcome)
    with state.reading() as connection:
        return [(str(source), str(outcome), int(events)) for source, outcome, events in connection.execute(wanted)]
