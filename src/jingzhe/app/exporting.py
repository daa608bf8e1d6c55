"""Exports: a whole table, or the list to act on, as one file that is fetched over REST and removed after a time.

Whoever can reach the lake reads the Delta tables themselves (docs/guide/webhooks.md); an export is for those who
cannot. Exports are written one after the other, in the process that took them, into the project's folder.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from jingzhe.app import outcome
from jingzhe.app.figures import Figures
from jingzhe.app.made_files import placed
from jingzhe.app.workspace import Workspace
from jingzhe.core import failures
from jingzhe.core.errors import JingzheError, NoDataError, SettingError
from jingzhe.core.log import Log, log_to_stderr
from jingzhe.profile.packs import STATES
from jingzhe.store.catalogue import Table
from jingzhe.store.query import one
from jingzhe.store.state import Document
from jingzhe.store.state.processes import Process, is_gone, this_process

KIND = "export"
DORMANT = "dormant"
"""The list to act on, of the newest publication; every other name is a table of the catalogue."""
Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)
Status = Literal["waiting", "running", "done", "failed", "interrupted", "removed"]
_KEPT = 500
MEDIA_TYPES: Mapping[str, str] = {
    "parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl",
}  # fmt: skip
LISTED = one("export_of_list", "SELECT * FROM listed")


@dataclass(frozen=True)
class Export:
    """One export.

    Args:
        export_id: its name.
        what: name of a table, or :data:`DORMANT`.
        file_format: one of :data:`FORMATS`.
        status: how far it is; ``removed`` where its time is over.
        asked_at: when it was asked for.
        asked_by: by whom.
        publication: which one it shows; None until that is known.
        rows: how many.
        size_bytes: of the file.
        done_at: when it ended.
        expires_at: when the file is removed.
        problem: code of what went wrong, and the sentence for people.
        personal: True where telephone numbers and e-mail addresses by which files name customers stand in the list.
    """

    export_id: str
    what: str
    file_format: Format
    status: Status
    asked_at: datetime
    asked_by: str
    publication: int | None = None
    rows: int | None = None
    size_bytes: int | None = None
    done_at: datetime | None = None
    expires_at: datetime | None = None
    problem: Mapping[str, str] | None = field(default=None, hash=False)
    personal: bool = False

    @property
    def file_name(self) -> str:
        """Returns what the file is called."""
        return f"{self.what}-{self.export_id}.{self.file_format}"


class Exports:
    """The exports of a project; may be used from several threads. Close it.

    Args:
        workspace: of the project.
        figures: lends the view in which the list to act on is made.
        log: is told what nobody foresaw; None: JSON lines on standard error.
    """

    def __init__(self, workspace: Workspace, figures: Figures, log: Log | None = None) -> None:
        self._workspace = workspace
        self._log = log or log_to_stderr()
        self._unwritten: dict[str, Export] = {}
        """How exports ended whose record could not be written; written as soon as the store takes it."""
        self._figures = figures
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jingzhe-export")
        self._process = asdict(this_process())

    @property
    def folder(self) -> Path:
        """Returns where the files stand."""
        return Path(self._workspace.settings.home).absolute() / "exports"

    def close(self) -> None:
        """Waits for the export under way; those that wait are not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._write_ends()

    def start(
        self, what: str, file_format: Format, by: str, *, publication: int | None = None, personal: bool = False
    ) -> Export:
        """Asks for an export.

        Args:
            what: name of a table of the lake, or ``dormant``.
            file_format: of the file.
            by: who asks.
            publication: number of the publication that it shows; None: the newest.
            personal: True to list customers by the telephone number or e-mail address that files name them by; else
                by a hash.

        Raises:
            SettingError: there is no such table or format, the list is wanted as of an earlier publication, or a table
                with personal keys.
            NoDataError: there is no such publication.
        """
        if what != DORMANT:
            self._table(what)
            if personal:
                raise SettingError("A table has keys of personal kinds as hashes only", field="personal")
        elif publication is not None:
            raise SettingError("The list to act on is exported as of now only", field="publication")
        if file_format not in FORMATS:
            raise SettingError(f"There is no format {file_format!r}", hint=f"One of: {', '.join(FORMATS)}.")
        latest = self._workspace.warehouse.state.latest()
        if publication is not None and (latest is None or publication > latest.seq):
            raise NoDataError("There is no such publication", hint="Leave it out for the newest.")
        self._write_ends()
        self.clean()
        name = f"export_{uuid.uuid4().hex[:12]}"
        made = Export(name, what, file_format, "waiting", self._now(), by, publication, personal=personal)
        self._write(made)
        self._pool.submit(self._run, made)
        return made

    def get(self, export_id: str) -> Export:
        """Returns an export.

        Raises:
            NoDataError: there is none of that name.
        """
        document = self._workspace.warehouse.state.document(KIND, export_id)
        if document is None:
            raise NoDataError("There is no such export", hint="List them: GET /api/v1/exports", export=export_id)
        return self._export(document)

    def all(self) -> list[Export]:
        """Returns the exports that are known, the latest first."""
        found = [self._export(document) for document in self._workspace.warehouse.state.documents(KIND)]
        return sorted(found, key=lambda one_: (one_.asked_at, one_.export_id), reverse=True)

    def file(self, export_id: str) -> tuple[Export, Path]:
        """Returns an export and its file.

        Raises:
            NoDataError: there is none, it is not done, or its time is over.
        """
        found = self.get(export_id)
        path = self.folder / found.file_name
        if found.status != "done" or not path.is_file():
            raise NoDataError(
                f"The export has no file: it is {found.status}", hint="Start another one: POST /api/v1/exports"
            )
        return found, path

    def clean(self) -> int:
        """Removes files whose time is over, and files that nothing is known of; returns how many."""
        known = self.all()
        removed = 0
        for one_ in known:
            if one_.status == "done" and one_.expires_at is not None and one_.expires_at <= self._now():
                (self.folder / one_.file_name).unlink(missing_ok=True)
                self._write(replace(one_, status="removed"))
                removed += 1
        for one_ in known[_KEPT:]:
            if one_.status not in {"waiting", "running", "done"}:
                self._workspace.warehouse.state.drop_document(KIND, one_.export_id)
        return removed + self._sweep({one_.file_name for one_ in known if one_.status in {"done", "running"}})

    def _sweep(self, wanted: set[str]) -> int:
        found = [path for path in self.folder.glob("*") if path.name.removesuffix(".part") not in wanted]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _now(self) -> datetime:
        return self._workspace.warehouse.clock.now()

    def _table(self, name: str) -> Table:
        tables = self._workspace.warehouse.catalogue.tables
        if name not in tables:
            raise SettingError(
                f"There is no table {name!r}", hint=f"One of: {DORMANT}, {', '.join(sorted(tables))}.", field="what"
            )
        return tables[name]

    def _run(self, asked: Export) -> None:
        running = replace(asked, status="running")
        path = self.folder / asked.file_name
        try:
            self._write(running)
            publication, rows = placed(self._workspace.warehouse, path, partial(self._exported, asked))
            now = self._now()
            until = now + timedelta(hours=self._workspace.settings.export_hours)
            ended = replace(
                running, status="done", publication=publication, rows=rows, size_bytes=_size(path),
                done_at=now, expires_at=until,
            )  # fmt: skip
        except JingzheError as error:
            told = {"code": error.code, "detail": error.message, "hint": error.hint}
            ended = replace(running, status="failed", done_at=self._now(), problem=told)
        except Exception as error:  # noqa: BLE001 - nobody waits for it: the record and the log are where it is told
            # The message is not told: nobody knows what it holds.
            self._log.error("an export failed", export=asked.export_id, error=failures.told(error))
            told = {"code": "internal", "detail": "Something is wrong on this side", "hint": "Tell a keeper."}
            ended = replace(running, status="failed", done_at=self._now(), problem=told)
        self._unwritten[ended.export_id] = ended
        self._write_ends()

    def _write_ends(self) -> None:
        """Writes how exports ended; where the store does not take it, it is tried again with the next one."""
        for one_ in list(self._unwritten.values()):
            try:
                self._write(one_)
            except Exception as error:  # noqa: BLE001 - the work has ended however it did
                failed = failures.told(error)
                self._log.error("the end of an export is not written yet", export=one_.export_id, error=failed)
            else:
                self._unwritten.pop(one_.export_id, None)

    def _exported(self, asked: Export, path: Path) -> tuple[int, int]:
        """Writes the file; returns the publication that it shows and its number of rows."""
        warehouse = self._workspace.warehouse
        if asked.what == DORMANT:
            with self._figures.view() as standing:
                listed = outcome.listed(standing.view, top=None, states=_LISTED, tiers=("high", "middle", "low"))
                publication = standing.publication
            if asked.personal:
                listed = outcome.with_written_keys(warehouse.state, listed)
            with warehouse.reading(publication) as session:
                session.offer("listed", listed)
                return publication, session.export(LISTED, str(path), asked.file_format)
        latest = warehouse.state.latest()
        wanted = asked.publication or (latest.seq if latest else None)
        if wanted is None:
            raise NoDataError("Nothing has been published yet", hint="Import a file first: jingzhe import orders.csv")
        table = self._table(asked.what)
        columns = ", ".join(table.column_names)
        with warehouse.reading(wanted) as session:
            query = one("export_of_table", f"SELECT {columns} FROM {table.name}")
            return wanted, session.export(query, str(path), asked.file_format)

    def _write(self, export: Export) -> None:
        body = asdict(export) | {"process": self._process}
        for name in ("asked_at", "done_at", "expires_at"):
            body[name] = body[name].isoformat() if body[name] else None
        self._workspace.warehouse.state.put_document(KIND, export.export_id, body)

    def _export(self, document: Document) -> Export:
        body: dict[str, Any] = dict(document.body)
        process = Process(**body.pop("process"))
        for name in ("asked_at", "done_at", "expires_at"):
            body[name] = datetime.fromisoformat(body[name]) if body[name] else None
        found = Export(**body)
        if found.export_id in self._unwritten:
            return self._unwritten[found.export_id]
        gone = found.status in {"waiting", "running"} and is_gone(process)
        return replace(found, status="interrupted") if gone else found


def _size(path: Path) -> int | None:
    """Returns the size of a file; None where an erasure has cleared it away already."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


_LISTED = tuple(state for state in STATES if state in {"dormant", "declining", "lost"})
