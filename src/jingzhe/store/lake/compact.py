"""Compaction: a table's rows sorted in a few files, corrections and overlays folded in.

What readers see is the same before and after. A retraction that a part has not taken notice of yet must survive:
an incremental refresh finds the days that a correction touched by reading the retractions of the publications after
the one it has seen. So only retractions up to ``keep_after_batch`` are folded in; the others, and the rows that they
hide, stay as they are until a later compaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import WrittenFile
from jingzhe.store.facts import RETRACTIONS
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import in_order
from jingzhe.store.query import Step, one
from jingzhe.store.warehouse import RETRACTED, Warehouse, Writing

FILE_BYTES = 256 * 2**20
_KEY = "(event_id, person_id)"
_ALL_BATCHES = 2**63 - 1
_PASSES = 4
"""Up to as many files each sorts its own rows, reading all; for more, one sort goes before."""

FOLDED = Step("folded", "SELECT DISTINCT event_id, person_id FROM retractions WHERE batch <= $through_batch", kept=True)


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Args:
        tables: those that were rewritten.
        rows: rows written.
        folded: retractions that were folded in.
        publication: its number; None where nothing needed it.
    """

    tables: tuple[str, ...]
    rows: int
    folded: int
    publication: int | None


def compact(
    warehouse: Warehouse,
    tables: Iterable[str] | None = None,
    *,
    keep_after_batch: int | None,
    file_bytes: int = FILE_BYTES,
    progress: Progress | None = None,
) -> Compacted:
    """Rewrites the tables that need it; all of them become visible together.

    Args:
        warehouse: the stores.
        tables: names; None for all. Retractions are folded in only where events and items are both among them.
        keep_after_batch: keep retractions of publications after this one, because a part that reads them has got
            no further; 0 keeps all, None keeps none.
        file_bytes: size of the files aimed at. Those of one table cover ranges of its order (of people) that do not
            overlap.
        progress: told about the stages.

    Returns:
        what was done.

    Raises:
        BusyError: another process is writing and did not finish in time.
    """
    chosen = set(warehouse.catalogue.tables if tables is None else tables)
    with warehouse.writing("compaction") as writing:
        work = _Work(writing, progress or Silent(), file_bytes, _ALL_BATCHES)
        if keep_after_batch is not None:
            work.through = keep_after_batch
        folding = chosen.issuperset(RETRACTED) and work.fold() > 0
        if folding:
            chosen.add(RETRACTIONS.name)
        done = {
            name: work.rewrite(warehouse.catalogue[name])
            for name in warehouse.catalogue.tables
            if name in chosen and work.needs(warehouse.catalogue[name])
        }
        publication = writing.publish("compaction")
    return Compacted(tuple(done), sum(done.values()), work.folded, publication.seq if publication else None)


@dataclass
class _Work:
    """One compaction under way."""

    writing: Writing
    heard: Progress
    file_bytes: int
    through: int
    folded: int = 0

    def files(self, table: Table) -> tuple[LiveFile, ...]:
        return self.writing.warehouse.lake.files(table, self.writing.before[table.name])

    def fold(self) -> int:
        """Keeps the retractions to be folded in, and makes the rows they hide readable; returns their number."""
        if not self.files(RETRACTIONS):
            return 0
        session = self.writing.session
        self.folded = session.keep(FOLDED, {"through_batch": self.through})
        for name in RETRACTED if self.folded else ():
            table = self.writing.warehouse.catalogue[name]
            session.attach_stored(f"{name}_stored", table, [file.path for file in self.files(table)])
        return self.folded

    def needs(self, table: Table) -> bool:
        files = self.files(table)
        if self.folded and table.name == RETRACTIONS.name:
            return True
        if any(file.layer == "overlay" for file in files):
            return True
        enough = ceil(sum(file.size_bytes for file in files) / self.file_bytes)
        if len(files) > max(1, 2 * enough) or (table.sort_by and not in_order(files)):
            return True
        if self.folded and table.name in RETRACTED:
            hidden = one("hidden", f"SELECT count(*) AS rows FROM {table.name}_stored SEMI JOIN folded USING {_KEY}")
            return bool(self.writing.session.run(hidden)["rows"][0].as_py())
        return False

    def rewrite(self, table: Table) -> int:
        """Writes a table anew and stages it; returns the number of rows."""
        self.heard.stage(f"compacting {table.name}", sum(file.rows for file in self.files(table)))
        written: list[WrittenFile] = []
        source, ranges = self._source(table), self._ranges(table)
        if len(ranges) > _PASSES:
            source = self._sorted(table, source)
        for condition in ranges:
            rows = one("compaction", f"SELECT * FROM ({source}){condition}")
            written += self.writing.write(table, rows, {"through_batch": self.through}, ordered=True)
            self.heard.advance(sum(file.rows for file in written))
        self.writing.stage(table, tuple(written), replace=True)
        return sum(file.rows for file in written)

    def _sorted(self, table: Table, source: str) -> str:
        """Sorts the rows into a file of the session, from which a range is cut without reading the others."""
        session = self.writing.session
        rows, values = one("sorting", source), {"through_batch": self.through}
        files = session.write(rows, replace(table, derived=True), str(session.folder / "sorted"), values, ordered=True)
        session.attach_stored("sorted_rows", table, [file.path for file in files])
        return "SELECT * EXCLUDE (stored_in) FROM sorted_rows"

    def _source(self, table: Table) -> str:
        """Returns the SELECT of the rows that are to stay."""
        source = f"SELECT * FROM {table.name}"
        if table.layered:
            source = f"SELECT *, false AS gone FROM {table.name}"
        elif self.folded and table.name in RETRACTED:
            names = ", ".join(table.column_names)
            source = f"SELECT {names} FROM {table.name}_stored ANTI JOIN folded USING {_KEY}"
        elif table.name in RETRACTED:
            stored = f"{table.name}_stored"
            self.writing.session.attach_stored(stored, table, [file.path for file in self.files(table)])
            source = f"SELECT {', '.join(table.column_names)} FROM {stored}"
        elif self.folded and table.name == RETRACTIONS.name:
            source = f"SELECT * FROM {table.name} WHERE batch > $through_batch"
        return source

    def _ranges(self, table: Table) -> list[str]:
        """Returns conditions that cut the table into files of about the size aimed at."""
        files = self.files(table)
        pieces = ceil(sum(file.size_bytes for file in files) / self.file_bytes)
        first = table.sort_by[0] if table.sort_by else ""
        if pieces < 2 or not first or table[first].type not in {"BIGINT", "INTEGER"}:
            return [""]
        shares = ", ".join(str(number / pieces) for number in range(1, pieces))
        asked = one("borders", f"SELECT approx_quantile({first}, [{shares}]) AS borders FROM {table.name}")
        found = self.writing.session.run(asked)["borders"][0].as_py() or []
        borders = sorted({int(border) for border in found})
        if not borders:
            return [""]
        between = [f" WHERE {first} >= {low} AND {first} < {high}" for low, high in pairwise(borders)]
        return [f" WHERE {first} < {borders[0]} OR {first} IS NULL", *between, f" WHERE {first} >= {borders[-1]}"]
