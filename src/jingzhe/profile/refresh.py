"""Keeps person-days and profiles current: only what new facts and passing days touch is computed again.

New events add to the days they fall on; corrections sum their days again, merges of people (and merges undone) all days
of these people, from the facts. The people whose days changed, and those whose ``valid_until`` has passed, get a new
profile; so do people with events of days that were still to come at the last refresh. Who stands for whom is published
together with the days and profiles that follow from it. Both tables have a large base and a small overlay that
replaces rows of it; the overlay is folded in when it has grown (docs/adr/0003).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from jingzhe.core.clock import local_day
from jingzhe.core.errors import NoDataError
from jingzhe.core.progress import Progress, Silent
from jingzhe.identity.overrides import OVERRIDES, Touched, forget_touched, touched
from jingzhe.profile.columns import PERSON_DAYS, PROFILES, WINDOW_DAYS
from jingzhe.profile.columnsets import ColumnSet
from jingzhe.profile.queries import PACKED_LIMIT, all_person_days, facts_steps, touched_person_days
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import Source, WrittenFile
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.query import Query, Step, one
from jingzhe.store.warehouse import Warehouse, Writing

FOLD_SHARE = 0.2
"""An overlay larger than this share of its base is folded in."""
DOCUMENT = ("profile", "refresh")

LAST_DAY = one("last_day", "SELECT max(day) AS day FROM events_filed")
_TOUCHED = "SELECT person_id FROM touched_days UNION SELECT person_id FROM profiles WHERE valid_until < $as_of"
_ARRIVED = "SELECT person_id FROM person_days WHERE day > $last_as_of AND day <= $as_of"
_MOVED = "SELECT person_id FROM moved_people"


def affected_people(*, arrived: bool, moved: bool = False) -> Query:
    """Returns the query that keeps the people who need a new profile as ``chosen`` and counts them.

    Args:
        arrived: True where the last refresh knew of days after its own, which nothing has touched since.
        moved: True where somebody is somebody else since, in the relation ``moved_people``.
    """
    sql = " UNION ".join([_TOUCHED, *([_ARRIVED] if arrived else []), *([_MOVED] if moved else [])])
    counted = Step("counted", "SELECT count(*) AS people FROM chosen")
    return Query("affected_people", (Step("chosen", sql, kept=True), counted))


OVERLAY_OVERRIDES = one(
    "overlay_overrides",
    "SELECT *, false AS gone FROM moved_overrides UNION ALL BY NAME "
    "SELECT old_person, true AS gone FROM (SELECT old_person FROM moved_keys "
    "ANTI JOIN moved_overrides USING (old_person))",
    "who stands for whom among the people who moved; those who stand for themselves are marked as gone",
)
MOVED_KEYS = Step(
    "moved_keys",
    "SELECT person_id AS old_person FROM moved_people UNION SELECT old_person FROM moved_overrides",
    kept=True,
)

OVERLAY_PROFILES = one(
    "overlay_profiles",
    "SELECT *, false AS gone FROM changed UNION ALL BY NAME "
    "SELECT person_id, true AS gone FROM (SELECT person_id FROM chosen ANTI JOIN changed USING (person_id))",
    "the new profiles of the chosen people; those who have no events any more are marked as gone",
)


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Args:
        as_of: day at whose end the profiles hold.
        full: True where everything was computed anew.
        people: profiles written.
        person_days: person-days written.
        through_batch: last publication whose facts are in.
        seconds: how long it took.
        folded: tables whose overlay was folded into the base.
        moved: people who were taken over, took somebody over or were split off since the last refresh.
    """

    as_of: date
    full: bool
    people: int
    person_days: int
    through_batch: int
    seconds: float
    folded: tuple[str, ...] = ()
    moved: int = 0


@dataclass(frozen=True)
class Recipe:
    """How profiles are computed from facts.

    Args:
        zone: IANA name of the project's time zone.
        column_sets: derived columns in the order in which they build on each other: clock, states.
        window_days: length of the windows compared, days.
    """

    zone: str
    column_sets: tuple[ColumnSet, ...]
    window_days: int = WINDOW_DAYS

    def values(self, as_of: date) -> dict[str, Any]:
        """Returns everything the steps bind."""
        bound: dict[str, Any] = {"as_of": as_of, "window_days": self.window_days, "zone": self.zone}
        for columns in self.column_sets:
            bound |= columns.values
        return bound

    def fingerprint(self) -> dict[str, Any]:
        """Returns what must be the same for an incremental refresh to continue an earlier one."""
        sets = {columns.name: [dict(columns.expressions), dict(columns.values)] for columns in self.column_sets}
        return {"window_days": self.window_days, "facts": _digest(facts_steps()), "sets": sets}

    def days_fingerprint(self) -> dict[str, Any]:
        """Returns what must be the same for person-days to be continued."""
        return {"zone": self.zone, "days": _digest(all_person_days(utc=self.zone == "UTC").steps)}

    def profiles(self, *, of: str | None = None, kept: bool = False) -> tuple[Step, ...]:
        """Returns the steps from person-days and items to PROFILES; the last is called ``profiled``."""
        steps = list(facts_steps(of=of, kept=kept))
        for columns in self.column_sets:
            steps.append(Step(columns.name, columns.select(steps[-1].name)))
        return (*steps, Step("profiled", f"SELECT * FROM {steps[-1].name}"))


def _digest(steps: tuple[Step, ...]) -> str:
    """Returns a mark of the SQL, so that a version that computes otherwise does not continue what another began."""
    return hashlib.sha256("\n".join(step.sql for step in steps).encode()).hexdigest()[:16]


def profiles_as_of(recipe: Recipe, *, kept: str = "profiled") -> Query:
    """Returns the query of everybody's profile as of any day; it binds ``recipe.values(as_of)``."""
    *before, last = recipe.profiles()
    return Query("profiles_as_of", (*before, Step(kept, last.sql)))


def _stored(steps: tuple[Step, ...]) -> Query:
    return Query("profiles", (*steps, Step("stored", f"SELECT *, false AS gone FROM {steps[-1].name}")))


def default_as_of(warehouse: Warehouse, zone: str) -> date:
    """Returns today, or the last day of the data where they end earlier: silence after their end proves nothing.

    Raises:
        NoDataError: there are no events.
    """
    with warehouse.reading() as session:
        last = session.run(LAST_DAY).to_pylist()[0]["day"]
    if last is None:
        raise NoDataError("There are no events yet", hint="Import some first: jingzhe import orders.csv")
    today = local_day(warehouse.clock, zone)
    return min(date.fromisoformat(str(last)), today)


def refresh(
    warehouse: Warehouse,
    recipe: Recipe,
    *,
    as_of: date | None = None,
    full: bool = False,
    progress: Progress | None = None,
) -> Refreshed:
    """Brings person-days and profiles up to date.

    Args:
        warehouse: the stores.
        recipe: how profiles are computed.
        as_of: day at whose end the profiles are to hold; None for today, or the last day of the data.
        full: True to compute everything anew.
        progress: told about the stages.

    Returns:
        what was done.

    Raises:
        NoDataError: there are no events.
        BusyError: another process is writing and did not finish in time.
    """
    began = time.perf_counter()
    heard = progress or Silent()
    day = as_of or default_as_of(warehouse, recipe.zone)
    with warehouse.writing("refresh of profiles") as writing:
        last_day = writing.session.run(LAST_DAY).to_pylist()[0]["day"]
        last = warehouse.state.document(*DOCUMENT)
        body = last.body if last else {}
        if last_day is None and not body:
            raise NoDataError("There are no events yet", hint="Import some first: jingzhe import orders.csv")
        graph = touched(warehouse.state, int(body.get("identity", 0)))
        work = _Work(writing, recipe, day, through=writing.batch - 1, heard=heard, moved=graph.people.num_rows)
        work.follow(graph)
        same_days = bool(body) and body.get("days") == _plain(recipe.days_fingerprint())
        same = same_days and body["fingerprint"] == _plain(recipe.fingerprint())
        if full or not same or date.fromisoformat(body["as_of"]) > day:
            done = work.everything(days_too=full or not same_days, since=body)
        else:
            done = work.changes(body)
        result = replace(done, seconds=time.perf_counter() - began, moved=work.moved)
        unchanged = not (result.full or result.people or result.person_days or result.moved)
        if same and unchanged and body["as_of"] == day.isoformat():
            return result
        known = {"last_day": last_day.isoformat() if last_day else None, "identity": graph.through}
        writing.also(lambda connection: _record(writing, recipe, result, known, connection))
        heard.stage("publishing")
        writing.publish("refresh of profiles")
    return result


def _record(
    writing: Writing, recipe: Recipe, result: Refreshed, known: Mapping[str, Any], connection: Connection
) -> None:
    body = {
        "as_of": result.as_of.isoformat(),
        "through_batch": result.through_batch,
        "days": _plain(recipe.days_fingerprint()),
        "fingerprint": _plain(recipe.fingerprint()),
        "people": result.people,
        "full": result.full,
        **known,
    }
    forget_touched(connection, known["identity"])
    writing.warehouse.state.put_document(*DOCUMENT, body, connection=connection)


def _plain(value: Any) -> Any:
    """Returns ``value`` as JSON would give it back, so that what is compared is what was stored."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


@dataclass
class _Work:
    """One refresh under way."""

    writing: Writing
    recipe: Recipe
    as_of: date
    through: int
    heard: Progress
    moved: int = 0

    def follow(self, graph: Touched) -> None:
        """Stages who stands for whom since; from here on the session reads the facts under those people."""
        if not self.moved:
            return
        session = self.writing.session
        session.offer("moved_people", graph.people)
        session.offer("moved_overrides", graph.overrides)
        self._overlay(OVERRIDES, OVERLAY_OVERRIDES, MOVED_KEYS.name, session.keep(MOVED_KEYS))
        self.writing.attach(EVENTS, ITEMS)

    @property
    def values(self) -> dict[str, Any]:
        return self.recipe.values(self.as_of)

    @property
    def utc(self) -> bool:
        return self.recipe.zone == "UTC"

    def everything(self, *, days_too: bool, since: Mapping[str, Any]) -> Refreshed:
        """Computes all profiles anew, and all person-days where they cannot be continued."""
        written = 0
        folded: tuple[str, ...] = ()
        if days_too:
            self.heard.stage("summing days")
            files = self._all_person_days()
            self.writing.stage(PERSON_DAYS, files, replace=True)
            self.writing.session.attach(Source(PERSON_DAYS, tuple(file.path for file in files)))
            written = _rows(files)
        else:
            written, folded = self._change_days(int(since["through_batch"]))
        self.heard.stage("computing profiles")
        profiles = self.writing.write(PROFILES, _stored(self.recipe.profiles(kept=True)), self.values)
        self.writing.stage(PROFILES, profiles, replace=True)
        return Refreshed(self.as_of, True, _rows(profiles), written, self.through, 0.0, folded)

    def _all_person_days(self) -> tuple[WrittenFile, ...]:
        files = self.writing.write(PERSON_DAYS, all_person_days(utc=self.utc), self.values)
        if all(int(file.statistics["events"][1] or 0) <= PACKED_LIMIT for file in files):
            return files
        return self.writing.write(PERSON_DAYS, all_person_days(utc=self.utc, packed=False), self.values)

    def changes(self, since: Mapping[str, Any]) -> Refreshed:
        """Computes what new facts and passing days touched since the refresh that ``since`` records."""
        written, folded = self._change_days(int(since["through_batch"]))
        session = self.writing.session
        arrived = since["last_day"] is not None and since["last_day"] > since["as_of"]
        query = affected_people(arrived=arrived, moved=bool(self.moved))
        last_as_of = date.fromisoformat(since["as_of"])
        affected = session.run(query, {**self.values, "last_as_of": last_as_of}).to_pylist()[0]["people"]
        if affected == 0:
            return Refreshed(self.as_of, False, 0, written, self.through, 0.0, folded)
        self.heard.stage("computing profiles", affected, "people")
        *before, last = self.recipe.profiles(of="chosen", kept=True)
        counted = Step("counted", "SELECT count(*) AS people FROM changed")
        steps = (*before, Step("changed", last.sql, kept=True), counted)
        session.run(Query("changed", steps), self.values)
        folded += self._overlay(PROFILES, OVERLAY_PROFILES, "chosen", affected)
        return Refreshed(self.as_of, False, affected, written, self.through, 0.0, folded)

    def _change_days(self, since: int) -> tuple[int, tuple[str, ...]]:
        """Writes the person-days that changed since a publication; returns their number and what was folded."""
        self.heard.stage("summing changed days")
        session = self.writing.session
        values = {**self.values, "through_batch": since}
        query = touched_person_days(utc=self.utc, moved=bool(self.moved))
        *before, _ = query.steps
        counted = Step("touched_count", "SELECT count(*) AS n FROM touched_days")
        changed = session.run(Query(query.name, (*before, counted)), values).to_pylist()[0]["n"]
        if changed == 0:
            return 0, ()
        rows = Query("overlay_days", (Step("rows", "SELECT * FROM touched_days"),))
        folded = self._overlay(PERSON_DAYS, rows, "touched_days", changed)
        return changed, folded

    def _overlay(self, table: Table, rows: Query, keys: str, count: int) -> tuple[str, ...]:
        """Stages ``rows`` as part of the overlay, or the whole table folded where the overlay has grown.

        Args:
            table: the layered table.
            rows: a query of one step, with the table's stored columns.
            keys: relation with the keys that ``rows`` replaces.
            count: how many.
        """
        lake, session = self.writing.warehouse.lake, self.writing.session
        version = self.writing.before.get(table.name)
        base_rows, overlay_rows = lake.rows(table, version)
        key = ", ".join(table.key)
        source = lake.source(table, version)
        fold = overlay_rows + count > FOLD_SHARE * base_rows
        old = table.name
        if not fold:
            old = f"{table.name}_overlay"
            flat = Table(old, table.stored_columns, table.key, table.sort_by)
            session.attach(Source(flat, source.overlay))
        extra = ", false AS gone" if fold else ""
        new = rows.steps[-1].sql
        survivors = " WHERE NOT gone" if fold else ""
        merged = (
            f"SELECT * FROM ({new}){survivors} UNION ALL BY NAME "
            f"SELECT *{extra} FROM {old} ANTI JOIN {keys} USING ({key})"
        )
        files = self.writing.write(table, Query(rows.name, (*rows.steps[:-1], Step("merged", merged))))
        self.writing.stage(table, files, layer="base" if fold else "overlay", replace=True)
        overlay = () if fold else tuple(file.path for file in files)
        base = tuple(file.path for file in files) if fold else source.base
        session.attach(Source(table, base, overlay))
        return (table.name,) if fold else ()


def _rows(files: tuple[WrittenFile, ...]) -> int:
    return sum(file.rows for file in files)
