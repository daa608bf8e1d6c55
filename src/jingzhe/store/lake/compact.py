"""Compaction: a table's rows sorted in a few files, corrections and overlays folded in.

What readers see is the same before and after. A retraction that a part has not taken notice of yet must survive:
an incremental refresh finds the days that a correction touched by reading the retractions of the publications after
the one it has seen. So only retractions up to ``keep_after_batch`` are folded in; the others, and the rows that they
hide, stay as they are until a later compaction.

Facts are filed under the person whom their key first led to, and read under the one who stands for them. What was
merged long enough ago is folded in too: the rows then stand, and are sorted, under the person whom readers see. From
then on an undone merge cannot give these rows back; so only merges older than an age that the caller sets are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from math import ceil

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import WrittenFile
from jingzhe.store.facts import FILED, OVERRIDES, RETRACTIONS
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import in_order
from jingzhe.store.query import Step, one
from jingzhe.store.state.graph_notes import leave_folded
from jingzhe.store.warehouse import RETRACTED, Warehouse, Writing

FILE_BYTES = 256 * 2**20
_KEY = "(event_id, person_id)"
_ALL_BATCHES = 2**63 - 1
_PASSES = 4
"""Up to as many files each sorts its own rows, reading all; for more, one sort goes before."""

_KEPT_FILED = frozenset(table.name for table in (*FILED, RETRACTIONS))
"""Tables whose rows stand under the person whom their key first led to."""

FOLDED = Step("folded", "SELECT DISTINCT event_id, person_id FROM retractions WHERE batch <= $through_batch", kept=True)
FOLDED_PEOPLE = Step(
    "folded_people",
    "SELECT old_person, new_person FROM person_overrides WHERE moved_at < $moved_before",
    kept=True,
)


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Args:
        tables: those that were rewritten.
        rows: rows written.
        folded: retractions that were folded in.
        people: people whose rows stand under the one who stands for them from now on, or did so before.
        publication: its number; None where nothing needed it.
    """

    tables: tuple[str, ...]
    rows: int
    folded: int
    publication: int | None
    people: int = 0


def compact(
    warehouse: Warehouse,
    tables: Iterable[str] | None = None,
    *,
    keep_after_batch: int | None,
    moved_before: datetime | None = None,
    file_bytes: int = FILE_BYTES,
    progress: Progress | None = None,
) -> Compacted:
    """Rewrites the tables that need it; all of them become visible together.

    Args:
        warehouse: the stores.
        tables: names; None for all. Retractions are folded in only where events and items are both among them.
        keep_after_batch: keep retractions of publications after this one, because a part that reads them has got
            no further; 0 keeps all, None keeps none.
        moved_before: fold in who stands for whom where that is older than this moment; None for nobody. Needs all
            tables of facts among those named.
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
        if moved_before is not None and chosen >= _KEPT_FILED:
            work.fold_people(moved_before)
        done = {
            name: work.rewrite(warehouse.catalogue[name])
            for name in warehouse.catalogue.tables
            if name in chosen and work.needs(warehouse.catalogue[name])
        }
        if moved_before is not None and work.people and not _KEPT_FILED.isdisjoint(done):
            writing.also(partial(leave_folded, warehouse.state, moved_before=moved_before))
        publication = writing.publish("compaction")
    seq = publication.seq if publication else None
    return Compacted(tuple(done), sum(done.values()), work.folded, seq, work.people)


@dataclass
class _Work:
    """One compaction under way."""

    writing: Writing
    heard: Progress
    file_bytes: int
    through: int
    folded: int = 0
    people: int = 0
    moved_before: datetime | None = None
    _attached: set[str] = field(default_factory=set)

    @property
    def values(self) -> dict[str, object]:
        return {"through_batch": self.through, "moved_before": self.moved_before}

    def files(self, table: Table) -> tuple[LiveFile, ...]:
        return self.writing.warehouse.lake.files(table, self.writing.before[table.name])

    def fold(self) -> int:
        """Keeps the retractions to be folded in, and makes the rows they hide readable; returns their number."""
        if not self.files(RETRACTIONS):
            return 0
        session = self.writing.session
        self.folded = session.keep(FOLDED, self.values)
        return self.folded

    def fold_people(self, moved_before: datetime) -> None:
        """Keeps who is to be folded in."""
        if self.files(OVERRIDES):
            self.moved_before = moved_before
            self.people = self.writing.session.keep(FOLDED_PEOPLE, self.values)

    def stored(self, table: Table) -> str:
        """Makes a table of facts readable as it stands in its files; returns under which name."""
        name = f"{table.name}_stored"
        if name not in self._attached:
            self._attached.add(name)
            self.writing.session.attach_stored(name, table, [file.path for file in self.files(table)])
        return name

    def needs(self, table: Table) -> bool:
        files = self.files(table)
        if self.folded and table.name == RETRACTIONS.name:
            return True
        if any(file.layer == "overlay" for file in files):
            return True
        enough = ceil(sum(file.size_bytes for file in files) / self.file_bytes)
        if len(files) > max(1, 2 * enough) or (table.sort_by and not in_order(files)):
            return True
        if self.folded and table.name in RETRACTED and self._any(table, f"folded USING {_KEY}"):
            return True
        return bool(
            self.people and table.name in _KEPT_FILED and self._any(table, "folded_people ON old_person = person_id")
        )

    def _any(self, table: Table, joined: str) -> bool:
        if not self.files(table):
            return False
        hit = one("hit", f"SELECT count(*) AS rows FROM {self.stored(table)} SEMI JOIN {joined}")
        return bool(self.writing.session.run(hit)["rows"][0].as_py())

    def rewrite(self, table: Table) -> int:
        """Writes a table anew and stages it; returns the number of rows."""
        self.heard.stage(f"compacting {table.name}", sum(file.rows for file in self.files(table)))
        written: list[WrittenFile] = []
        source, ranges = self._source(table), self._ranges(table)
        if len(ranges) > _PASSES:
            source = self._sorted(table, source)
        for condition in ranges:
            rows = one("compaction", f"SELECT * FROM ({source}){condition}")
            written += self.writing.write(table, rows, self.values, ordered=True)
            self.heard.advance(sum(file.rows for file in written))
        self.writing.stage(table, tuple(written), replace=True)
        return sum(file.rows for file in written)

    def _sorted(self, table: Table, source: str) -> str:
        """Sorts the rows into a file of the session, from which a range is cut without reading the others."""
        session = self.writing.session
        rows, into = one("sorting", source), str(session.folder / "sorted")
        files = session.write(rows, replace(table, derived=True), into, self.values, ordered=True)
        session.attach_stored("sorted_rows", table, [file.path for file in files])
        return "SELECT * EXCLUDE (stored_in) FROM sorted_rows"

    def _source(self, table: Table) -> str:
        """Returns the SELECT of the rows that are to stay."""
        if table.layered:
            return f"SELECT *, false AS gone FROM {table.name}"
        if table.name not in _KEPT_FILED:
            return f"SELECT * FROM {table.name}"
        names = ", ".join(table.column_names)
        source = f"SELECT {names} FROM {self.stored(table)}"
        if self.folded and table.name in RETRACTED:
            source += f" ANTI JOIN folded USING {_KEY}"
        elif self.folded and table.name == RETRACTIONS.name:
            source += " WHERE batch > $through_batch"
        if not self.people:
            return source
        person = "coalesce(new_person, person_id) AS person_id"
        now = ", ".join(person if name == "person_id" else name for name in table.column_names)
        return f"SELECT {now} FROM ({source}) AS stored LEFT JOIN folded_people ON old_person = person_id"

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
