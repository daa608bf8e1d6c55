"""What was imported and what was refused: to look at, to mend and to import again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.collect.importing import KIND
from jingzhe.collect.queries import QUARANTINE_KEY, STILL_OPEN
from jingzhe.collect.reasons import REASONS
from jingzhe.collect.report import ImportSummary
from jingzhe.collect.sealed_rows import opened_rows
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.store.engine.sql import literal, quoted
from jingzhe.store.facts import QUARANTINE
from jingzhe.store.query import Query, Step, one
from jingzhe.store.state import State
from jingzhe.store.warehouse import Warehouse

OPEN_COUNTS = one(
    "open_refusals",
    "SELECT import_id, reason, count(*) AS rows FROM quarantine GROUP BY import_id, reason ORDER BY 1, 2",
)
_WANTED = "($import_id = '' OR import_id = $import_id) AND ($reason = '' OR reason = $reason)"


def imports(state: State) -> list[ImportSummary]:
    """Returns what every import did, newest first."""
    bodies = sorted((one_.body for one_ in state.documents(KIND)), key=lambda body: int(body["batch"]), reverse=True)
    return [ImportSummary.from_document(body) for body in bodies]


def quarantined(warehouse: Warehouse, *, import_id: str = "", reason: str = "") -> pa.Table:
    """Returns refused rows that nobody has mended yet, in order of file and line.

    Args:
        warehouse: where they are.
        import_id: of one import only.
        reason: of one reason only; see :data:`jingzhe.collect.reasons.REASONS`.

    Returns:
        the columns of the table ``quarantine``.

    Raises:
        SettingError: there is no such reason.
    """
    values = _values(import_id, reason)
    query = one("quarantined", f"SELECT * FROM quarantine WHERE {_WANTED} ORDER BY batch, file, line")
    with warehouse.reading() as session:
        return opened_rows(session.run(query, values), warehouse.state.sealer)


def open_rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Returns how many refused rows nobody has mended yet: ``import_id``, ``reason``, ``rows``."""
    with warehouse.reading() as session:
        return list(session.run(OPEN_COUNTS).to_pylist())


def quarantine_page(
    warehouse: Warehouse,
    *,
    import_id: str = "",
    reason: str = "",
    source: str = "",
    after: tuple[int, str, int] | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Returns some refused rows, in order of publication, file and line.

    Args:
        warehouse: where they are.
        import_id: of one import only.
        reason: of one reason only.
        source: of the imports of one source only.
        after: publication, file and line behind which to go on.
        limit: at most this many.

    Raises:
        SettingError: there is no such reason.
    """
    batch, file, line = after or (-1, "", -1)
    values = {**_values(import_id, reason), "batch": batch, "file": file, "line": line, "limit": limit}
    behind = "batch > $batch OR (batch = $batch AND (file > $file OR (file = $file AND line > $line)))"
    of_source = ""
    if source:
        known = [one_.import_id for one_ in imports(warehouse.state) if one_.source == source]
        if not known:
            return []
        of_source = f" AND import_id IN ({', '.join(literal(name) for name in known)})"
    rows = f"SELECT * FROM quarantine WHERE {_WANTED}{of_source} AND ({behind}) ORDER BY batch, file, line LIMIT $limit"
    with warehouse.reading() as session:
        found = session.run(one("quarantine_page", rows), values)
    return list(opened_rows(found, warehouse.state.sealer).to_pylist())


def row_key(import_id: str, file: str, line: int) -> str:
    """Returns what names a refused row, as :data:`jingzhe.collect.queries.QUARANTINE_KEY` writes it."""
    return f"{import_id}/{line}/{file}"


def quarantined_rows(warehouse: Warehouse, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the refused rows of the keys given, those that are still there, in order of file and line.

    Args:
        warehouse: where they are.
        keys: as :func:`row_key` makes them.
    """
    query = one(
        "quarantined_rows",
        f"SELECT * FROM quarantine WHERE {QUARANTINE_KEY} IN (SELECT key FROM asked_keys) ORDER BY batch, file, line",
    )
    with warehouse.reading() as session:
        session.offer("asked_keys", pa.table({"key": pa.array(keys, pa.string())}))
        found = session.run(query)
    return list(opened_rows(found, warehouse.state.sealer).to_pylist())


def discard_quarantined(
    warehouse: Warehouse, keys: Sequence[str], *, also: Callable[[Connection, int], object] | None = None
) -> int:
    """Takes refused rows out of quarantine for good; returns how many.

    Args:
        warehouse: where they are.
        keys: as :func:`row_key` makes them; those that are not there are passed over.
        also: writes in the same transaction, given how many rows.

    Raises:
        BusyError: another process is writing and did not finish in time.
    """
    with warehouse.writing("discard refused rows") as writing:
        session = writing.session
        before = session.run(one("open_rows", "SELECT count(*) AS rows FROM quarantine"))["rows"][0].as_py()
        session.offer("mended_keys", pa.table({"key": pa.array(keys, pa.string())}))
        files = writing.write(QUARANTINE, STILL_OPEN)
        count = int(before) - sum(file.rows for file in files)
        if not count:
            return 0
        writing.stage(QUARANTINE, files, replace=True)
        if also is not None:
            writing.also(lambda connection: also(connection, count))
        writing.publish(f"discard {count} refused rows")
    return count


def export_quarantined(warehouse: Warehouse, path: str | Path, *, import_id: str = "", reason: str = "") -> int:
    """Writes refused rows as a CSV file with the columns they came with, to be mended and imported again.

    Three columns stand before them: ``jingzhe_row`` says which refused row it is and has to stay, for by it the
    mended row completes its order instead of replacing it; ``jingzhe_reason`` says what is wrong; ``jingzhe_text``
    holds the line where it could not be taken apart.

    Args:
        warehouse: where they are.
        path: the file to write, UTF-8.
        import_id: of one import only.
        reason: of one reason only.

    Returns:
        how many rows were written.

    Raises:
        NoDataError: there are none.
        SettingError: there is no such reason.
    """
    values = _values(import_id, reason)
    stored = one("quarantine_wanted", f"SELECT * FROM quarantine WHERE {_WANTED}")
    # A line that could not be taken apart is kept as it stood; the others are JSON objects.
    parsed = "CASE WHEN json_valid(row) THEN row END AS parsed"
    wanted = Step("wanted", f"SELECT *, {parsed}, {QUARANTINE_KEY} AS key FROM opened_quarantine")
    apart = "json_type(parsed) = 'OBJECT'"
    names = Query(
        "columns",
        (
            wanted,
            Step(
                "rows_apart",
                f"SELECT json_keys(parsed) AS keys, unnest(json_keys(parsed)) AS name FROM wanted WHERE {apart}",
            ),
            Step(
                "columns",
                "SELECT name, min(list_position(keys, name)) AS place FROM rows_apart GROUP BY name "
                "ORDER BY place, name",
            ),
        ),
    )
    with warehouse.reading() as session:
        session.offer("opened_quarantine", opened_rows(session.run(stored, values), warehouse.state.sealer))
        columns = session.run(names)["name"].to_pylist()
        listed = "".join(
            f", CASE WHEN {apart} THEN json_extract_string(parsed, {literal(_pointer(name))}) END AS {quoted(name)}"
            for name in columns
        )
        told = "reason || CASE WHEN field = '' THEN '' ELSE ' ' || field END AS jingzhe_reason"
        text = f"CASE WHEN {apart} THEN NULL ELSE row END AS jingzhe_text"
        rows = Step("rows", f"SELECT key AS jingzhe_row, {told}, {text}{listed} FROM wanted ORDER BY batch, file, line")
        count = session.export(Query("export_quarantined", (wanted, rows)), str(path), "csv")
    if not count:
        Path(path).unlink()
        raise NoDataError("There is no such refused row", import_id=import_id or None, reason=reason or None)
    return count


def _values(import_id: str, reason: str) -> dict[str, str]:
    if reason and reason not in REASONS:
        raise SettingError(f"There is no reason {reason!r}", hint=f"One of: {', '.join(REASONS)}.")
    return {"import_id": import_id, "reason": reason}


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
