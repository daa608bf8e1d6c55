"""What was refused, live events and rows of files: corrected, tried again or discarded by whoever may.

Whoever may do that need not be allowed to see whose it is: corrections name the fields that change, all others stay.
Each deed stands in the audit trail, with numbers and names of fields, never with values.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.access.errors import ConflictError, NotThereError, RefusedValueError
from jingzhe.app.workspace import Workspace
from jingzhe.collect import refused_events
from jingzhe.collect.quarantine import discard_quarantined, quarantined_rows, row_key
from jingzhe.collect.report import ImportSummary
from jingzhe.core.errors import ImportRefusedError
from jingzhe.store.engine.spill import spill_folder
from jingzhe.store.state.inbox import Inbox

_KEY_COLUMN = "jingzhe_row"
_AT_ONCE = 1000


@dataclass(frozen=True)
class Chosen:
    """Which quarantined events are meant.

    Args:
        numbers: these; empty for all that fit.
        reason: of one reason only; empty for any.
        source_id: of one source only; None for any.
        everything: True where really all are meant; needed where nothing else is said.
    """

    numbers: tuple[int, ...] = ()
    reason: str = ""
    source_id: int | None = None
    everything: bool = False

    def check(self) -> None:
        """Does nothing where it says which events are meant.

        Raises:
            RefusedValueError: it does not, or it names too many.
        """
        if not (self.numbers or self.reason or self.source_id is not None or self.everything):
            raise RefusedValueError(
                "This does not say which events are meant",
                hint="Give their numbers, a reason or a source, or say that everything is meant.",
                field="numbers",
            )
        if len(self.numbers) > _AT_ONCE:
            raise RefusedValueError(f"At most {_AT_ONCE} events can be named at once", field="numbers")

    def details(self) -> dict[str, Any]:
        """Returns what the trail says of the choice."""
        said = {"named": len(self.numbers), "reason": self.reason, "source": self.source_id}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True)
class MendedRow:
    """A refused row of a file, corrected.

    Args:
        file: name of the file.
        line: line in it.
        values: by column, what is to stand there; columns that are not named stay as they are.
    """

    file: str
    line: int
    values: Mapping[str, str | None]


@dataclass(frozen=True)
class Refusals:
    """The quarantine of a project.

    Args:
        workspace: the project.
        inbox: where replayed events go.
    """

    workspace: Workspace
    inbox: Inbox

    # ---- live events

    def amend(self, by: Actor, number: int, patch: Mapping[str, Any]) -> None:
        """Corrects some fields of an event; see :func:`jingzhe.collect.refused_events.amend`.

        Raises:
            NoDataError: there is no such event.
            SettingError: it has no fields, it has to be given as a whole.
        """
        also = self._telling(by, "quarantine.corrected", str(number), {"fields": sorted(patch)})
        refused_events.amend(self._state, number, patch, also=also)

    def correct(self, by: Actor, number: int, body: Mapping[str, Any]) -> None:
        """Puts another event in the place of a refused one.

        Raises:
            NoDataError: there is no such event.
        """
        also = self._telling(by, "quarantine.corrected", str(number), {"whole": True})
        refused_events.correct(self._state, number, json.dumps(body, ensure_ascii=False), also=also)

    def replay(self, by: Actor, chosen: Chosen) -> int:
        """Sends events through the drain again; returns how many. Those that are still wrong come back.

        Raises:
            RefusedValueError: ``chosen`` does not say which.
            SettingError: there is no such reason.
        """
        chosen.check()
        return refused_events.replay(
            self._state, self.inbox, clock=self.workspace.warehouse.clock, numbers=chosen.numbers,
            reason=chosen.reason, source_id=chosen.source_id,
            also=self._telling(by, "quarantine.replayed", "", chosen.details()),
        )  # fmt: skip

    def discard(self, by: Actor, chosen: Chosen) -> int:
        """Deletes events for good; returns how many.

        Raises:
            RefusedValueError: ``chosen`` does not say which.
            SettingError: there is no such reason.
        """
        chosen.check()
        return refused_events.drop(
            self._state, chosen.numbers, reason=chosen.reason, source_id=chosen.source_id,
            also=self._telling(by, "quarantine.discarded", "", chosen.details()),
        )  # fmt: skip

    # ---- rows of files

    def import_again(self, by: Actor, import_id: str, rows: Sequence[MendedRow]) -> ImportSummary:
        """Imports refused rows of one import again, corrected or as they are; they complete their orders.

        Rows that are refused again stay in quarantine as they were.

        Args:
            by: who asks.
            import_id: the import that refused them.
            rows: which, with what is to stand in them.

        Raises:
            NotThereError: there is no such import, or no such row in quarantine.
            ConflictError: every one of them was refused again.
            BusyError: another process is writing and did not finish in time.
        """
        done = self._import(import_id)
        known = self._rows(import_id, rows)
        mended = [
            {_KEY_COLUMN: row_key(import_id, row.file, row.line), **_mended(known[row.file, row.line], row)}
            for row in rows
        ]
        mapping = next((dict(one.columns) for one in done.mappings if one.file == rows[0].file), None)
        warehouse = self.workspace.warehouse
        with spill_folder(warehouse.engine.work_folder) as folder:
            path = folder / f"mended-{import_id}.csv"
            columns = list(dict.fromkeys(name for row in mended for name in row))
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(mended)
            try:
                again = self.workspace.import_(
                    path, source_name=done.source, mapping=_with_key(mapping) if mapping else None, encoding="utf-8"
                )
            except ImportRefusedError as error:
                # Not its words: they repeat values.
                raise ConflictError(
                    "These rows were refused again; nothing was imported",
                    hint="Correct what the quarantine says of them.",
                ) from error
        details = {"rows": len(rows), "refused": again.rows_rejected, "as": again.import_id}
        with self._state.writing() as connection:
            audit.record(connection, self._now(), by, "quarantine.imported-again", import_id, details=details)
        return again

    def discard_rows(self, by: Actor, import_id: str, rows: Sequence[tuple[str, int]]) -> int:
        """Takes rows of one import out of quarantine for good; returns how many.

        Args:
            by: who asks.
            import_id: the import that refused them.
            rows: file and line of each.

        Raises:
            BusyError: another process is writing and did not finish in time.
        """
        keys = [row_key(import_id, file, line) for file, line in rows]
        also = self._telling(by, "quarantine.rows-discarded", import_id, {})
        return discard_quarantined(self.workspace.warehouse, keys, also=also)

    def _import(self, import_id: str) -> ImportSummary:
        for one in self.workspace.imports():
            if one.import_id == import_id:
                return one
        raise NotThereError("There is no such import", hint="List them: GET /api/v1/imports")

    def _rows(self, import_id: str, rows: Sequence[MendedRow]) -> dict[tuple[str, int], dict[str, Any]]:
        if not rows or len({row.file for row in rows}) != 1 or len({row.line for row in rows}) != len(rows):
            raise RefusedValueError("Name different rows of one file", field="rows")
        keys = [row_key(import_id, row.file, row.line) for row in rows]
        found = {
            (row["file"], row["line"]): _apart(row["row"]) for row in quarantined_rows(self.workspace.warehouse, keys)
        }
        missing = [row.line for row in rows if (row.file, row.line) not in found]
        if missing:
            raise NotThereError(
                "There is no such row in quarantine", hint="It may have been mended.", field=f"line {missing[0]}"
            )
        return found

    @property
    def _state(self) -> Any:
        return self.workspace.warehouse.state

    def _now(self) -> Any:
        return self.workspace.warehouse.clock.now()

    def _telling(
        self, by: Actor, action: str, subject: str, details: Mapping[str, Any]
    ) -> Callable[[Connection, int], object]:
        def also(connection: Connection, count: int) -> None:
            if count:
                audit.record(connection, self._now(), by, action, subject, details={**details, "count": count})

        return also


def _mended(known: Mapping[str, Any], row: MendedRow) -> dict[str, str]:
    done = {**known, **row.values}
    return {name: "" if value is None else str(value) for name, value in done.items() if name != _KEY_COLUMN}


def _apart(row: str) -> dict[str, Any]:
    """Returns a row by column; nothing where its line could not be taken apart: then all columns have to be given."""
    try:
        found = json.loads(row)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _with_key(mapping: Mapping[str, str]) -> dict[str, str]:
    return {**mapping, "quarantined": _KEY_COLUMN}
