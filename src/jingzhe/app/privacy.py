"""Erasure of a person, stage by stage: killed anywhere, it is taken up again until it is whole (docs/adr/0011)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.secrets import new_id
from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.holdings import finder_of, refused_of, subject_of
from jingzhe.app.left_behind import left_behind
from jingzhe.app.made_files import LEASE as FILES
from jingzhe.app.workspace import Workspace
from jingzhe.collect.queries import QUARANTINE_KEY
from jingzhe.consent import suppressions
from jingzhe.consent.addresses import KEY_OF, salt_of
from jingzhe.consent.forgetting import LEASE as ERASURE
from jingzhe.consent.forgetting import forget
from jingzhe.consent.subjects import Subject
from jingzhe.consent.suppressions import Suppression
from jingzhe.consent.tombstones import erasure_of, put_up
from jingzhe.consent.words import micros
from jingzhe.core.errors import BusyError, NoDataError, SettingError
from jingzhe.identity.keys import is_other
from jingzhe.identity.rules import load_rules
from jingzhe.store.facts import QUARANTINE
from jingzhe.store.lake.erase import Deleted, erase_rows
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.state import documents
from jingzhe.store.state.consent_tables import erasure as table
from jingzhe.store.state.consent_tables import suppression, tombstone
from jingzhe.store.warehouse import LEASE

STAGES = ("marked", "drained", "deleted", "vacuumed", "forgotten", "cleared", "emptied", "whole")
"""What an erasure does, in order; each may be done twice without harm."""
MADE_FOLDERS = ("reports", "exports", "person-exports")
"""Folders with what was made of people's data and can be made anew."""
_DRAINS = 10_000
_JOBS, _TABLES = "job", "export"


@dataclass(frozen=True)
class Erasure:
    """One erasure.

    Args:
        erasure_id: its name.
        person_id: number that the person had.
        stage: the last stage that is done.
        asked_at: when it was asked for.
        actor: who asked.
        why: the reason given.
        done: what was done, by stage; numbers, names of tables and files, moments. Nothing of the person.
        done_at: when it was whole; None while it is not.
    """

    erasure_id: str
    person_id: int
    stage: str
    asked_at: datetime
    actor: str
    why: str
    done: Mapping[str, Any] = field(hash=False)
    done_at: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Tells whether everything is done."""
        return self.done_at is not None


@dataclass(frozen=True)
class Erasures:
    """The erasures of a project.

    Args:
        workspace: of the project.
        after: told each stage that was done; tests kill the process there.
    """

    workspace: Workspace
    after: Callable[[str], object] = str

    def ask(self, person_id: int, actor: Actor, why: str) -> Erasure:
        """Puts up the tombstones and notes what is to go; :meth:`run` does the rest.

        From here on nothing of the person comes in any more. One that is under way is returned as it is.

        Args:
            person_id: their number.
            actor: who asks.
            why: the reason, such as "request of 5 March".

        Raises:
            BusyError: another process is writing and did not finish in time; nothing was changed.
            NoDataError: nothing is known of such a person.
            SettingError: no reason is given.
        """
        if not why.strip():
            raise SettingError("An erasure needs a reason", field="why")
        warehouse = self.workspace.warehouse
        # Whoever writes now has looked for tombstones already; whoever writes after this looks again.
        with warehouse.state.lease(LEASE, wait_seconds=warehouse.wait_seconds, purpose="erasure"):
            open_one = next((one for one in self.all() if one.person_id == person_id and not one.is_whole), None)
            if open_one is not None:
                return open_one
            subject = subject_of(self.workspace, person_id)
            erasure_id, now = new_id("era"), warehouse.clock.now()
            salt = salt_of(warehouse.state)
            with warehouse.state.writing() as connection:
                marks = put_up(connection, subject.keys, salt, erasure_id, now)
                stops = _stops(subject, erasure_id, actor.label, now)
                suppressions.write(connection, stops, now)
                done = {
                    "marked": {"at": now.isoformat(), "people": len(subject.people), "tombstones": marks,
                               "keys": _counted(subject), "suppressions": len(stops)}
                }  # fmt: skip
                connection.execute(
                    sa.insert(table).values(
                        erasure_id=erasure_id, person_id=person_id, stage="marked", asked_at=now, actor=actor.label,
                        why=why, work=subject.document(), done=done, done_at=None,
                    )
                )  # fmt: skip
                audit.record(connection, now, actor, "person.erasing", f"person:{person_id}",
                             details={"erasure": erasure_id, "why": why})  # fmt: skip
        self.after("marked")
        return self.get(erasure_id)

    def run(self, erasure_id: str) -> Erasure:
        """Does what is left to do; returns the erasure when it is whole.

        Raises:
            BusyError: somebody writes, or reads the state store, for too long; it goes on when it is called again.
            NoDataError: there is no such erasure.
        """
        stages: Mapping[str, Callable[[Erasure], None]] = {
            "drained": self._drain, "deleted": self._delete, "vacuumed": self._vacuum, "forgotten": self._forget,
            "cleared": self._clear, "emptied": self._empty, "whole": self._end,
        }  # fmt: skip
        warehouse = self.workspace.warehouse
        with warehouse.state.lease(ERASURE, wait_seconds=warehouse.wait_seconds, purpose="erasure"):
            found = self.get(erasure_id)
            for stage in STAGES[STAGES.index(found.stage) + 1 :]:
                self.workspace.progress.stage(f"erasing: {stage}", None)
                stages[stage](found)
                self.after(stage)
                found = self.get(erasure_id)
        return found

    def take_up(self) -> list[Erasure]:
        """Finishes what was begun and not ended; returns it."""
        return [self.run(one.erasure_id) for one in reversed(self.all()) if not one.is_whole]

    def all(self) -> list[Erasure]:
        """Returns all erasures, the latest first."""
        rows = sa.select(table).order_by(table.c.asked_at.desc(), table.c.erasure_id)
        with self.workspace.warehouse.state.reading() as connection:
            return [_erasure(row) for row in connection.execute(rows)]

    def get(self, erasure_id: str) -> Erasure:
        """Returns one erasure.

        Raises:
            NoDataError: there is none of that name.
        """
        with self.workspace.warehouse.state.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.erasure_id == erasure_id)).first()
        if row is None:
            raise NoDataError("There is no such erasure", hint="List them: jingzhe person erasures")
        return _erasure(row)

    def readmit(self, kind: str, value: str, actor: Actor, why: str) -> int:
        """Takes the tombstones of the person who had a key down, because they came back; what was erased stays gone.

        The suppression that the erasure left on the address of that key goes as well.

        Args:
            kind: of the key, such as ``email``.
            value: as a source writes it.
            actor: who decides.
            why: the reason.

        Returns:
            how many tombstones went.

        Raises:
            NoDataError: the key has no tombstone.
            SettingError: no reason is given.
        """
        if not why.strip():
            raise SettingError("Readmitting somebody needs a reason", field="why")
        warehouse = self.workspace.warehouse
        state, now = warehouse.state, warehouse.clock.now()
        salt = salt_of(state)
        with state.writing() as connection:
            erasure_id = erasure_of(connection, kind, value, load_rules(state), salt)
            if erasure_id is None:
                raise NoDataError("Nobody who had this key was erased", hint="Say the kind of the key as it was then.")
            gone = connection.execute(sa.delete(tombstone).where(tombstone.c.erasure_id == erasure_id)).rowcount
            stopped = (suppression.c.reason == "erased") & (suppression.c.source == erasure_id)
            lifted = {"lifted_us": micros(now), "lifted_by": actor.label, "lifted_why": why}
            connection.execute(sa.update(suppression).where(stopped).values(lifted))
            audit.record(connection, now, actor, "person.readmitted", erasure_id, details={"why": why})
        return int(gone)

    # ---- stages

    def _subject(self, erasure_id: str) -> Subject:
        with self.workspace.warehouse.state.reading() as connection:
            return Subject.of(
                connection.execute(sa.select(table.c.work).where(table.c.erasure_id == erasure_id)).scalar_one()
            )

    def _advance(self, connection: Connection, found: Erasure, stage: str, **told: Any) -> None:
        at = self.workspace.warehouse.clock.now()
        done = {**found.done, stage: {"at": at.isoformat(), **told}}
        which = table.c.erasure_id == found.erasure_id
        connection.execute(sa.update(table).where(which).values(stage=stage, done=done))

    def _drain(self, found: Erasure) -> None:
        """Drains what had come before the tombstones stood: the drain drops what is the person's."""
        erased = 0
        until_us = micros(found.asked_at)
        with open_inbox(self.workspace.settings) as inbox:
            drain = drain_of(self.workspace, inbox)
            for _ in range(_DRAINS):
                oldest = inbox.depth().oldest_us
                if oldest is None or oldest > until_us:
                    break
                done = drain.run()
                erased += done.erased
                if not done.rows:
                    time.sleep(0.05)  # another drain has them
            else:
                raise BusyError("The inbox cannot be drained", hint="The erasure goes on when it is tried again.")
            inbox.rewrite()
        with self.workspace.warehouse.state.writing() as connection:
            self._advance(connection, found, "drained", events_dropped=erased)

    def _delete(self, found: Erasure) -> None:
        """Deletes the person's rows from all tables of the lake, and what rows of others and refused ones hold."""
        subject = self._subject(found.erasure_id)
        finder = finder_of(self.workspace, subject)
        refused = refused_of(self.workspace, finder)
        beside = left_behind(self.workspace, subject, finder)
        keys = pa.array([f"{row['import_id']}/{row['line']}/{row['file']}" for row in refused], pa.string())

        def also(connection: Connection, done: Deleted) -> None:
            rows = {name: count for name, count in done.rows.items() if count}
            files = {name: count for name, count in done.files_rewritten.items() if count}
            told = {"rows": rows, "files_rewritten": files, "blotted": beside.blotted}
            beside.note(connection, self.workspace.warehouse.clock.now())
            self._advance(connection, found, "deleted", **told)

        erase_rows(
            self.workspace.warehouse,
            subject.people,
            conditions={
                QUARANTINE.name: f"{QUARANTINE_KEY} IN (SELECT key FROM refused_of_them)",
                **beside.conditions,
            },
            offered={"refused_of_them": pa.table({"key": keys}), **beside.offered},
            instead=beside.instead,
            also=also,
            progress=self.workspace.progress,
        )

    def _vacuum(self, found: Erasure) -> None:
        """Removes the files of older versions, copies of them on this machine included."""
        removed = vacuum(self.workspace.warehouse, keep_hours=0, urgent=True, progress=self.workspace.progress)
        counts: dict[str, int] = {}
        for name in removed:
            counts[name.partition("/")[0]] = counts.get(name.partition("/")[0], 0) + 1
        with self.workspace.warehouse.state.writing() as connection:
            self._advance(connection, found, "vacuumed", files_removed=counts)

    def _forget(self, found: Erasure) -> None:
        subject = self._subject(found.erasure_id)
        finder = finder_of(self.workspace, subject)
        with self.workspace.warehouse.state.writing() as connection:
            self._advance(connection, found, "forgotten", rows=forget(connection, subject, finder))

    def _clear(self, found: Erasure) -> None:
        """Removes files that were made with the person in them: reports and exports, which can be made anew."""
        home, subject = Path(self.workspace.settings.home), self._subject(found.erasure_id)
        folders = tuple(home / name for name in MADE_FOLDERS)
        state, wait = self.workspace.warehouse.state, self.workspace.warehouse.wait_seconds
        with state.lease(FILES, wait_seconds=wait, purpose="erasure"):
            made = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
            for path in made:
                path.unlink(missing_ok=True)
            with state.writing() as connection:
                self._clear_documents(connection, found, subject)
                told = [path.relative_to(home).as_posix() for path in made]
                self._advance(connection, found, "cleared", files=told)

    def _clear_documents(self, connection: Connection, found: Erasure, subject: Subject) -> None:
        for one in documents.newest(connection, _JOBS):
            theirs = one.body.get("options", {}).get("person_id") in subject.people
            if theirs and one.body["kind"] == "person_export":
                documents.drop(connection, _JOBS, one.name)
        for one in documents.newest(connection, _TABLES):
            if one.body["status"] == "done":
                documents.put(connection, _TABLES, one.name, {**one.body, "status": "removed"}, found.asked_at)

    def _empty(self, found: Erasure) -> None:
        """Forgets what was looked for, then writes the files of the state store anew."""
        state = self.workspace.warehouse.state
        with state.writing() as connection:
            which = table.c.erasure_id == found.erasure_id
            connection.execute(sa.update(table).where(which).values(work={}))
        rewritten = state.rewrite()
        with open_inbox(self.workspace.settings) as inbox:
            inbox.rewrite()
        with state.writing() as connection:
            self._advance(connection, found, "emptied", state_file_rewritten=rewritten)

    def _end(self, found: Erasure) -> None:
        warehouse = self.workspace.warehouse
        now = warehouse.clock.now()
        actor = Actor("machine", "erasure", frozenset())
        with warehouse.state.writing() as connection:
            self._advance(connection, found, "whole")
            which = table.c.erasure_id == found.erasure_id
            connection.execute(sa.update(table).where(which).values(done_at=now))
            audit.record(connection, now, actor, "person.erased", f"person:{found.person_id}",
                         details={"erasure": found.erasure_id})  # fmt: skip


def _erasure(row: sa.Row[Any]) -> Erasure:
    return Erasure(
        row.erasure_id, row.person_id, row.stage, row.asked_at, row.actor, row.why, dict(row.done), row.done_at
    )


def _counted(subject: Subject) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind, _ in subject.keys:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _stops(subject: Subject, erasure_id: str, actor: str, now: datetime) -> list[Suppression]:
    """Returns the suppressions that outlive the person: of their addresses, as hashes, and of their numbers."""
    common: dict[str, Any] = {"reason": "erased", "begun_at": now, "source": erasure_id, "actor": actor}
    return [
        *(
            Suppression(address=stored, **common)
            for kind, stored in subject.keys
            if kind in KEY_OF.values() and not is_other(stored)
        ),
        *(Suppression(person_id=number, **common) for number in subject.people),
    ]
