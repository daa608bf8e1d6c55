"""One person at a time, fast: profile, scores, timeline, identities, as of today or an earlier day.

The newest publication is pinned for a moment, the rows of one person are read from the row groups in which they stand
(:mod:`jingzhe.store.lake.points`), and what is derived from them (RFM class, the profile of an earlier day) is computed
by the very steps that compute it for everybody, over these few rows. Whose rows they are the identity graph says, at
once: where a merge, or one undone, is younger than the stored profiles, the profile is computed from the facts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from jingzhe.app import models as fitted
from jingzhe.app.known_keys import KnownKey, keys_of
from jingzhe.app.workspace import Workspace
from jingzhe.consent.owning import NOBODY, owners
from jingzhe.consent.words import said_by
from jingzhe.core.errors import NoDataError
from jingzhe.dormancy.columns import SCORES
from jingzhe.identity import people as identity
from jingzhe.identity import queries
from jingzhe.identity.filing import forms_of
from jingzhe.identity.keyring import has_keys_of
from jingzhe.identity.overrides import is_unsettled
from jingzhe.identity.rules import known_salt, load_rules
from jingzhe.profile import rfm
from jingzhe.profile.columns import PEOPLE as PEOPLE_TABLE
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.profile.queries import all_person_days
from jingzhe.profile.refresh import DOCUMENT as REFRESH
from jingzhe.profile.refresh import Recipe
from jingzhe.store.engine.desk import Desk
from jingzhe.store.engine.duck import DuckEngine
from jingzhe.store.facts import EVENT_DETAILS, EVENTS, IDENTITIES, ITEMS, RETRACTIONS
from jingzhe.store.lake.points import Points
from jingzhe.store.query import Query, Step
from jingzhe.store.state import bulk
from jingzhe.store.warehouse import Warehouse

_DESKS = 2
_MEMORY_MB = 256
_THRESHOLDS_SECONDS = 60.0
"""Thresholds of the RFM classes move slowly and cost a pass over everybody: they are found anew at most this often."""
_NOW = Query("person_now", rfm.people_steps())
_CLASSED_BY = ["person_id", "first_day", "last_purchase_day", "purchases", "monetary"]


@dataclass(frozen=True)
class Pinned:
    """What the answers of this moment stand on.

    Args:
        publication: its number, 0 where nothing was published.
        tables: versions of the tables.
        as_of: day of the stored profiles; None where there are none.
        identity: last change of the identity graph that the stored profiles follow.
    """

    publication: int
    tables: Mapping[str, int]
    as_of: date | None
    identity: int = 0


@dataclass(frozen=True)
class Person:
    """One person as of a day.

    Args:
        person_id: their number.
        as_of: day at whose end it holds.
        publication: number of the publication it was read from.
        identities: the keys that lead to them now.
        profile: the columns of :data:`jingzhe.profile.columns.PEOPLE`; None where nothing but keys is known, as of a
            member of a list who never came.
        scores: the columns of :data:`jingzhe.dormancy.columns.SCORES`; None for an earlier day, for people without an
            order, and for those whom a merge that is younger than the profiles concerns.
    """

    person_id: int
    as_of: date
    publication: int
    identities: tuple[KnownKey, ...]
    profile: dict[str, Any] | None = field(hash=False)
    scores: dict[str, Any] | None = field(hash=False)


class People:
    """Reads single people; may be used from several threads. Close it.

    Args:
        workspace: of the project.
        look_again_seconds: for how long a publication is taken for the newest.
    """

    def __init__(self, workspace: Workspace, *, look_again_seconds: float = 0.2) -> None:
        self._workspace = workspace
        self._look_again_seconds = look_again_seconds
        self._points = Points(workspace.warehouse.lake)
        self._lock = threading.Lock()
        self._pinned: tuple[float, Pinned] | None = None
        self._thresholds: tuple[float, date, rfm.Thresholds] | None = None
        self._how: tuple[float, Recipe] | None = None
        self._held = ExitStack()
        self._desks: queue.SimpleQueue[Desk] = queue.SimpleQueue()
        engine = DuckEngine(workspace.warehouse.engine.work_folder, _MEMORY_MB, threads=1)
        for _ in range(_DESKS):
            self._desks.put(self._held.enter_context(engine.desk()))

    def close(self) -> None:
        """Gives back what is held."""
        self._held.close()
        self._points.close()

    @property
    def _warehouse(self) -> Warehouse:
        return self._workspace.warehouse

    def pinned(self) -> Pinned:
        """Returns the newest publication, a fraction of a second old at most."""
        with self._lock:
            if self._pinned is not None and time.monotonic() < self._pinned[0]:
                return self._pinned[1]
            latest = self._warehouse.state.latest()
            if latest is None:
                found = Pinned(0, {}, None)
            elif self._pinned is not None and self._pinned[1].publication == latest.seq:
                found = self._pinned[1]
            else:
                document = self._warehouse.state.document(*REFRESH)
                day = date.fromisoformat(document.body["as_of"]) if document else None
                identity_change = int(document.body.get("identity", 0)) if document else 0
                found = Pinned(latest.seq, latest.tables, day, identity_change)
            self._pinned = time.monotonic() + self._look_again_seconds, found
            return found

    def find(self, kind: str, value: str) -> list[int]:
        """Returns who is known by a key.

        Args:
            kind: of the key, such as ``customer``.
            value: as the source writes it.
        """
        state = self._warehouse.state
        rules = load_rules(state)
        with state.reading() as connection:
            owned, salt = owners(connection, [(kind, value)], rules), known_salt(connection)
        if owned:
            return sorted(set(owned.values()) - {NOBODY})
        # Customers of imports whom the graph has not taken over yet are known to the lake alone.
        version, forms = self.pinned().tables.get(IDENTITIES.name), forms_of(rules, salt, value, kind)
        rows = self._points.rows(IDENTITIES, version, forms, by="value").to_pylist()
        return sorted({self._now_called(row["person_id"]) for row in rows if rules.are_same(row["kind"], kind)})

    def person(self, person_id: int, *, as_of: date | None = None) -> Person:
        """Returns one person.

        Args:
            person_id: their number.
            as_of: day at whose end the answer holds; None: that of the stored profiles.

        Raises:
            NoDataError: there is no such person, or nothing was known of them by then.
        """
        pinned = self.pinned()
        earlier = as_of is not None and as_of != pinned.as_of
        day = as_of or pinned.as_of or self._today()
        people = self._everybody_of(person_id)
        unsettled = is_unsettled(self._warehouse.state, people, pinned.identity)
        if pinned.as_of is None:
            profile = None
        elif earlier or unsettled:
            profile = self._then(pinned, people, day, from_facts=unsettled)
        else:
            profile = self._now(pinned, people, day)
        filed = self._rows(pinned, IDENTITIES, people).to_pylist()
        keys = keys_of(self._warehouse.state, people, [(row["kind"], row["value"]) for row in filed])
        if profile is None and not self._was_known(pinned, people, keys, as_of if earlier else None):
            if pinned.as_of is None:
                raise _nothing_computed()
            raise NoDataError("There is no such person", hint="Or nothing was known of them by then.", as_of=day)
        scores = [] if earlier or unsettled else self._rows(pinned, SCORES, people[:1]).to_pylist()
        return Person(people[0], day, pinned.publication, keys, profile, scores[0] if scores else None)

    def _today(self) -> date:
        return self._warehouse.clock.now().astimezone(ZoneInfo(self._workspace.settings.timezone)).date()

    def _was_known(self, pinned: Pinned, people: Sequence[int], keys: Sequence[KnownKey], by: date | None) -> bool:
        """Tells whether anything but behaviour is known of somebody, or was by the end of a day."""
        if by is None:
            return bool(keys) or self._is_known(pinned, people)
        zone = ZoneInfo(self._workspace.settings.timezone)
        return any(key.first_seen is not None and key.first_seen.astimezone(zone).date() <= by for key in keys)

    def exists(self, person_id: int) -> bool:
        """Tells whether anything is known of a person: a key, an event, a call of an SDK, or what they said."""
        return self._is_known(self.pinned(), self._everybody_of(person_id))

    def _is_known(self, pinned: Pinned, people: Sequence[int]) -> bool:
        with self._warehouse.state.reading() as connection:
            if has_keys_of(connection, people) or said_by(connection, people):
                return True
        return any(self._rows(pinned, table, people).num_rows for table in (IDENTITIES, EVENTS, EVENT_DETAILS))

    def timeline(
        self,
        person_id: int,
        *,
        before: tuple[datetime, int] | None = None,
        limit: int = 50,
        activities: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Returns a person's events, the latest first, each with its items.

        Args:
            person_id: their number.
            before: moment and number of the event behind which to go on.
            limit: at most this many.
            activities: only these; none: all.
        """
        pinned, people = self.pinned(), self._everybody_of(person_id)
        rows = self._rows(pinned, EVENTS, people)
        found = [
            row
            for row in rows.to_pylist()
            if (before is None or (row["ts"], row["event_id"]) < before)
            and (not activities or row["activity"] in activities)
        ]
        found.sort(key=lambda row: (row["ts"], row["event_id"]), reverse=True)
        del found[limit:]
        lines: dict[int, list[dict[str, Any]]] = {}
        for item in self._rows(pinned, ITEMS, people).to_pylist() if found else ():
            lines.setdefault(item["event_id"], []).append(item)
        now = {"person_id": people[0]}
        return [{**row, **now, "items": sorted(lines.get(row["event_id"], []), key=_item_order)} for row in found]

    def _now_called(self, person_id: int) -> int:
        with self._warehouse.state.reading() as connection:
            return identity.current(connection, person_id)

    def _everybody_of(self, person_id: int) -> list[int]:
        """Returns the person and everybody whom they took over: the lake may have rows under any of them."""
        with self._warehouse.state.reading() as connection:
            now = identity.current(connection, person_id)
            others = [int(row[0]) for row in bulk.select(connection, queries.MEMBERS, [now])]
        return [now, *others]

    def _rows(self, pinned: Pinned, table: Any, people: Sequence[int]) -> pa.Table:
        versions = pinned.tables
        retractions = versions.get(RETRACTIONS.name)
        return self._points.rows(table, versions.get(table.name), people, retractions=retractions)

    def _now(self, pinned: Pinned, people: Sequence[int], day: date) -> dict[str, Any] | None:
        row = self._rows(pinned, PROFILES, people[:1])
        if not row.num_rows:
            return None
        values = rfm.people_values(self._classes(day), day)
        # Only what the classes are made of: each further column costs the engine time.
        classes = self._asked(_NOW, values, {PROFILES.name: row.select(_CLASSED_BY)})[0]
        found: dict[str, Any] = row.to_pylist()[0] | classes
        return {name: found[name] for name in PEOPLE_TABLE.column_names}

    def _then(
        self, pinned: Pinned, people: Sequence[int], day: date, *, from_facts: bool = False
    ) -> dict[str, Any] | None:
        """Computes the profile of a day; classes by today's thresholds, the clock of today's models.

        Args:
            pinned: the publication.
            people: the person, and everybody whom they took over.
            day: at whose end it holds.
            from_facts: True where the stored person-days are not those of these people.
        """
        basis = self._workspace.basis
        how = self._recipe()
        values = how.values(day) | rfm.people_values(self._classes(pinned.as_of or day), day)
        days: tuple[Step, ...] = ()
        if from_facts:
            summed = all_person_days(utc=basis.zone == "UTC", packed=False).steps
            days = (*summed, Step(PERSON_DAYS.name, f"SELECT * EXCLUDE (gone) FROM {summed[-1].name}"))
        steps = (*days, *how.profiles(), *rfm.people_steps("profiled"))
        read = (EVENTS if from_facts else PERSON_DAYS, ITEMS)
        relations = {table.name: _under(self._rows(pinned, table, people), people[0]) for table in read}
        found = self._asked(Query("person_then", steps), values, relations)
        return found[0] if found else None

    def _recipe(self) -> Recipe:
        """Returns how profiles are computed with the models of now, a fraction of a second old at most."""
        with self._lock:
            if self._how is None or time.monotonic() >= self._how[0]:
                known = fitted.latest(self._warehouse)
                how = fitted.recipe(self._workspace.basis, known.models if known else None)
                self._how = time.monotonic() + self._look_again_seconds, how
            return self._how[1]

    def _classes(self, day: date) -> rfm.Thresholds:
        with self._lock:
            known = self._thresholds
            if known is not None and known[1] == day and time.monotonic() < known[0]:
                return known[2]
            basis = self._workspace.basis
            with self._warehouse.reading() as session:
                try:
                    found = rfm.thresholds(session, day, method=basis.rfm_method, given=basis.rfm_thresholds)
                except NoDataError:
                    found = rfm.NOBODY
            self._thresholds = time.monotonic() + _THRESHOLDS_SECONDS, day, found
            return found

    def _asked(
        self, query: Query, values: Mapping[str, Any], relations: Mapping[str, pa.Table]
    ) -> list[dict[str, Any]]:
        desk = self._desks.get()
        try:
            return desk.rows(query, values, relations)
        finally:
            self._desks.put(desk)


def _under(rows: pa.Table, person_id: int) -> pa.Table:
    """Returns the rows of one person under one number."""
    place = rows.column_names.index("person_id")
    return rows.set_column(place, rows.field(place), pa.repeat(pa.scalar(person_id, pa.int64()), rows.num_rows))


def _item_order(item: Mapping[str, Any]) -> tuple[str, float]:
    return str(item["product_id"]), -float(item["amount"] or 0.0)


def _nothing_computed() -> NoDataError:
    return NoDataError("Nothing has been computed yet", hint="Bring the project up to date first: jingzhe update")
