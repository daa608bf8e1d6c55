"""Deletion by predicate, and erasure of people: rows go from the tables, then their files from the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.core.errors import LakeError
from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import Query, Step, one
from jingzhe.store.warehouse import Warehouse, Writing

_PERSON = "person_id"
_PEOPLE = (_PERSON, "old_person", "new_person")
"""Columns by which tables know people."""
_STORED = "stored_rows"


@dataclass(frozen=True)
class Deleted:
    """What a deletion did.

    Args:
        rows: rows deleted, by table; rows that readers no longer saw are counted as well.
        publication: its number; None where no row fitted.
        files_rewritten: files that held such rows, by table.
        files_removed: files that went from the disk, as table/file.
    """

    rows: Mapping[str, int]
    publication: int | None
    files_rewritten: Mapping[str, int] = field(default_factory=dict)
    files_removed: tuple[str, ...] = ()


def delete(
    warehouse: Warehouse,
    conditions: Mapping[str, str],
    values: Mapping[str, Any] | None = None,
    *,
    progress: Progress | None = None,
) -> Deleted:
    """Deletes rows by predicate, from all tables named at once; only files that hold such rows are rewritten.

    Older publications keep the rows until :func:`jingzhe.store.lake.vacuum.vacuum` removes their files.

    Args:
        warehouse: the stores.
        conditions: by table, a condition on its stored columns, in the engine's dialect.
        values: bound by name in the conditions.
        progress: told about the stages.

    Returns:
        what was deleted.

    Raises:
        BusyError: another process is writing and did not finish in time.
        LakeError: there is no such table.
    """
    _known(warehouse, conditions)
    with warehouse.writing("deletion") as writing:
        return _delete(writing, conditions, values or {}, "deletion", heard=progress or Silent())


def erase(
    warehouse: Warehouse,
    people: Sequence[int] | Query,
    values: Mapping[str, Any] | None = None,
    *,
    conditions: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Deleted:
    """Erases people: their rows go from every table that knows people, and all older files from the disk.

    Publications before this one cannot be read any more, and readers that have them open fail.

    Args:
        warehouse: the stores.
        people: person ids, or a query with a column ``person_id``.
        values: bound by name in the query and the conditions.
        conditions: what else is to go, by table, for tables without persons, such as the quarantine.
        progress: told about the stages.

    Returns:
        what was deleted.

    Raises:
        BusyError: another process is writing and did not finish in time.
        LakeError: there is no such table.
    """
    heard = progress or Silent()
    done = erase_rows(warehouse, people, values, conditions=conditions, progress=heard)
    return replace(done, files_removed=tuple(vacuum(warehouse, keep_hours=0, urgent=True, progress=heard)))


def erase_rows(
    warehouse: Warehouse,
    people: Sequence[int] | Query,
    values: Mapping[str, Any] | None = None,
    *,
    conditions: Mapping[str, str] | None = None,
    offered: Mapping[str, pa.Table] | None = None,
    instead: Mapping[str, pa.Table] | None = None,
    also: Callable[[Connection, Deleted], object] | None = None,
    progress: Progress | None = None,
) -> Deleted:
    """Deletes people's rows from every table that knows people; older publications keep them until a vacuum.

    Args:
        warehouse: the stores.
        people: person ids, or a query with a column ``person_id``.
        values: bound by name in the query and the conditions.
        conditions: what else is to go, by table.
        offered: tables that the conditions may read, by name.
        instead: rows to write in place of some that go, by table; those are not counted as deleted.
        also: writes rows of the state store in the transaction that publishes, told what was deleted.
        progress: told about the stages.

    Returns:
        what was deleted.

    Raises:
        BusyError: another process is writing and did not finish in time.
        LakeError: there is no such table.
    """
    chosen = {
        table.name: " OR ".join(f"{name} IN (SELECT {_PERSON} FROM erased)" for name in known)
        for table in warehouse.catalogue
        if (known := [name for name in _PEOPLE if name in table.column_names])
    }
    for name, condition in (conditions or {}).items():
        chosen[name] = f"({chosen[name]}) OR ({condition})" if name in chosen else condition
    _known(warehouse, chosen)
    bound, heard = values or {}, progress or Silent()
    with warehouse.writing("erasure") as writing:
        for name, table in (offered or {}).items():
            writing.session.offer(name, table)
        if isinstance(people, Query):
            found = writing.session.run(people, bound)[_PERSON].combine_chunks()
        else:
            found = pa.array(people, pa.int64())
        writing.session.offer("given_people", pa.table({_PERSON: found}))
        writing.session.keep(Step("erased", f"SELECT DISTINCT {_PERSON} FROM given_people"))
        for name, rows in (instead or {}).items():
            writing.session.offer(f"instead_of_{name}", rows)
            columns = ", ".join(warehouse.catalogue[name].column_names)
            writing.append(
                warehouse.catalogue[name], one(f"instead_{name}", f"SELECT {columns} FROM instead_of_{name}")
            )
        kept = {name: rows.num_rows for name, rows in (instead or {}).items()}
        return _delete(writing, chosen, bound, "erasure", heard=heard, also=also, kept=kept)


def _known(warehouse: Warehouse, conditions: Mapping[str, str]) -> None:
    for name in conditions:
        if name not in warehouse.catalogue.tables:
            raise LakeError(f"There is no table {name!r}", hint=f"Known are: {', '.join(warehouse.catalogue.tables)}.")


def _delete(
    writing: Writing,
    conditions: Mapping[str, str],
    values: Mapping[str, Any],
    purpose: str,
    *,
    heard: Progress,
    also: Callable[[Connection, Deleted], object] | None = None,
    kept: Mapping[str, int] | None = None,
) -> Deleted:
    rows: dict[str, int] = {}
    rewritten: dict[str, int] = {}
    for name, condition in conditions.items():
        table = writing.warehouse.catalogue[name]
        files = {file.path: file for file in writing.warehouse.lake.files(table, writing.before[name])}
        writing.session.attach_stored(_STORED, table, list(files))
        holding = one("holding", f"SELECT stored_in, count(*) AS rows FROM {_STORED} WHERE {condition} GROUP BY ALL")
        found = writing.session.run(holding, values).to_pylist()
        rows[name] = sum(row["rows"] for row in found) - (kept or {}).get(name, 0)
        rewritten[name] = len(found)
        heard.stage(f"deleting from {name}", len(found), "files")
        for number, row in enumerate(found, start=1):
            _rewrite(writing, table, files[row["stored_in"]], condition, values)
            heard.advance(number)
    done = Deleted(rows, None, rewritten)
    if also is not None:
        writing.also(lambda connection: also(connection, done))
    publication = writing.publish(purpose)
    return replace(done, publication=publication.seq if publication else None)


def _rewrite(writing: Writing, table: Table, file: LiveFile, condition: str, values: Mapping[str, Any]) -> None:
    """Writes one file anew without the rows that fit."""
    writing.session.attach_stored(_STORED, table, [file.path])
    staying = one("staying", f"SELECT * EXCLUDE (stored_in) FROM {_STORED} WHERE ({condition}) IS NOT TRUE")
    files = writing.write(table, staying, values, ordered=file.is_sorted)
    writing.stage(table, files, layer=file.layer, removed=(file,))
