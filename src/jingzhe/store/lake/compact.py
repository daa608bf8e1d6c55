"""Compaction: a table's rows sorted in a few files, corrections and overlays folded in.

What readers see is the same before and after. A retraction that a part has not taken notice of yet must survive:
an incremental refresh finds the days that a correction touched by reading the retractions of the publications after
the one it has seen. So only retractions up to ``keep_after_batch`` are folded in; the others, and the rows that they
hide, stay as they are until a later compaction.

Facts are filed under the person whom their key first led to, and read under the one who stands for them. What was
merged long enough ago is folded in too: the rows then stand, and are sorted, under the person whom readers see. From
then on an undone merge cannot give these rows back; so only merges older than an age that the caller sets are.

Writers go on meanwhile (``beside``). Each table is published by itself as soon as it is written, so that little is
lost when a compaction is stopped; events, items and retractions together, because a retraction hides rows by the
number and the person under which they are filed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from jingzhe.core.progress import Progress, Silent
from jingzhe.store.catalogue import Table
from jingzhe.store.engine import WrittenFile
from jingzhe.store.facts import EVENTS, FILED, ITEMS, OVERRIDES, RETRACTIONS
from jingzhe.store.lake.beside import Rewriting, Swap, rewriting
from jingzhe.store.lake.files import LiveFile
from jingzhe.store.lake.tables import in_order
from jingzhe.store.query import Step, one
from jingzhe.store.state.graph_notes import leave_folded
from jingzhe.store.state.identity_tables import identity_touched
from jingzhe.store.warehouse import RETRACTED, Warehouse, Writing

_Numbers = NDArray[np.int64]
FILE_BYTES = 256 * 2**20
_KEY = "(event_id, person_id)"
_ALL_BATCHES = 2**63 - 1
_PASSES = 4
"""Up to as many files each sorts its own rows, reading all; for more, one sort goes before."""
_ATTEMPTS = 2
_TOGETHER = (EVENTS.name, ITEMS.name, RETRACTIONS.name)

_KEPT_FILED = frozenset(table.name for table in (*FILED, RETRACTIONS))
"""Tables whose rows stand under the person whom their key first led to."""

FOLDED = Step("folded", "SELECT DISTINCT event_id, person_id FROM retractions WHERE batch <= $through_batch", kept=True)
FOLDED_PEOPLE = Step(
    "folded_people",
    "SELECT old_person, new_person, moved_at FROM person_overrides ANTI JOIN unsettled_people USING (old_person) "
    "WHERE moved_at < $moved_before",
    kept=True,
)
STANDING = one(
    "no_more_standing",
    "SELECT count(*) AS rows FROM folding ANTI JOIN person_overrides USING (old_person, new_person, moved_at)",
)
"""Who was folded in, but stands for themselves, or for somebody else, since."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Args:
        tables: those that were rewritten.
        rows: rows written.
        folded: retractions that were folded in.
        people: people whose rows stand under the one who stands for them from now on, or did so before.
        publication: number of the last one; None where nothing needed it.
        given_up: tables that were left as they are, because others wrote them anew or deleted rows at the same time,
            and why.
        files_removed: by the vacuum that followed, where one did.
    """

    tables: tuple[str, ...] = ()
    rows: int = 0
    folded: int = 0
    publication: int | None = None
    people: int = 0
    given_up: tuple[str, ...] = ()
    files_removed: int = 0

    def and_then(self, other: Compacted) -> Compacted:
        """Returns what both did, the other one later."""
        return Compacted(
            self.tables + other.tables,
            self.rows + other.rows,
            max(self.folded, other.folded),
            self.publication if other.publication is None else other.publication,
            max(self.people, other.people),
            self.given_up + other.given_up,
        )


@dataclass(frozen=True)
class _Wish:
    """What a compaction is to do."""

    through: int
    moved_before: datetime | None
    file_bytes: int
    heard: Progress
    stopping: Callable[[], bool] | None


def compact(
    warehouse: Warehouse,
    tables: Iterable[str] | None = None,
    *,
    keep_after_batch: int | None,
    moved_before: datetime | None = None,
    file_bytes: int = FILE_BYTES,
    progress: Progress | None = None,
    between: Callable[[], object] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Compacted:
    """Rewrites the tables that need it, beside writers, who wait only while a table's new files are published.

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
        between: called after each table, when others may rewrite files too.
        stopping: tells whether to stop; asked about once a second.

    Returns:
        what was done.

    Raises:
        BusyError: another process is rewriting and did not finish in time, or this one was stopped; what was published
            until then stays.
    """
    chosen = set(warehouse.catalogue.tables if tables is None else tables)
    if chosen.issuperset(RETRACTED):
        chosen.add(RETRACTIONS.name)
    wish = _Wish(
        _ALL_BATCHES if keep_after_batch is None else keep_after_batch,
        moved_before if chosen >= _KEPT_FILED else None,
        file_bytes,
        progress or Silent(),
        stopping,
    )
    done = Compacted()
    for group in _groups(warehouse, chosen):
        for left in reversed(range(_ATTEMPTS)):
            one_done = _compact_together(warehouse, group, wish)
            if not one_done.given_up or not left:
                done = done.and_then(one_done)
                break
        if between is not None:
            between()
    return done


def _groups(warehouse: Warehouse, chosen: set[str]) -> list[tuple[Table, ...]]:
    """Returns what is published together; events, items and retractions only where all of them are chosen."""
    known = [table for table in warehouse.catalogue if table.name in chosen]
    if not chosen.issuperset(_TOGETHER):
        return [(table,) for table in known]
    first = tuple(warehouse.catalogue[name] for name in _TOGETHER)
    return [first, *((table,) for table in known if table.name not in _TOGETHER)]


def _compact_together(warehouse: Warehouse, group: Sequence[Table], wish: _Wish) -> Compacted:
    with rewriting(warehouse, "compaction", stopping=wish.stopping) as under_way:
        work = _Work(under_way, wish)
        work.begin(group)
        wanted = [table for table in group if work.needs(table)]
        if not wanted:
            return Compacted()
        swaps = [Swap(table, work.rewrite(table), work.files(table)) for table in wanted]
        noting = bool(work.people) and not _KEPT_FILED.isdisjoint(table.name for table in wanted)
        also = partial(_leave_folded, work) if noting else None
        publication = under_way.publish(swaps, "compaction", verify=work.verify, also=also)
        if publication is None:
            return Compacted(given_up=tuple(f"{table.name}: {under_way.why}" for table in wanted))
        rows = sum(file.rows for swap in swaps for file in swap.files)
        names = tuple(table.name for table in wanted)
        folded = work.folded if RETRACTIONS.name in names else 0
        return Compacted(names, rows, folded, publication.seq, work.people if noting else 0)


def _leave_folded(work: _Work, connection: sa.Connection) -> None:
    if work.moved_before is not None:
        leave_folded(work.rewriting.warehouse.state, connection, moved_before=work.moved_before)


@dataclass
class _Work:
    """The compaction of some tables under way."""

    rewriting: Rewriting
    wish: _Wish
    folded: int = 0
    people: int = 0
    moved_before: datetime | None = None
    _folding: pa.Table | None = None
    _attached: set[str] = field(default_factory=set)

    @property
    def values(self) -> dict[str, object]:
        # No further than what is read, so that the same retractions are meant when it is published.
        through = min(self.wish.through, self.rewriting.seq)
        return {"through_batch": through, "moved_before": self.moved_before}

    def files(self, table: Table) -> tuple[LiveFile, ...]:
        return self.rewriting.files(table)

    def begin(self, group: Sequence[Table]) -> None:
        """Makes the tables readable and keeps what is to be folded in: retractions, and who stands for whom."""
        warehouse, session = self.rewriting.warehouse, self.rewriting.session
        names = {table.name for table in group}
        for table in (*(table for table in group if table.layered), RETRACTIONS, OVERRIDES):
            warehouse.attach(session, table, self.rewriting.versions, joined=False)
        if names.issuperset(_TOGETHER) and self.files(RETRACTIONS):
            self.folded = self.rewriting.run(session.keep, FOLDED, self.values)
        self.moved_before = self.wish.moved_before
        if self.moved_before is not None and names & _KEPT_FILED and self.files(OVERRIDES):
            # Somebody may have undone a merge, and been told that all get their facts back, a moment ago.
            session.offer("unsettled_people", pa.table({"old_person": pa.array(self._unsettled())}))
            self.people = self.rewriting.run(session.keep, FOLDED_PEOPLE, self.values)
            self._folding = session.run(one("folding_people", "SELECT * FROM folded_people"))

    def verify(self, writing: Writing) -> str:
        """Says what others have brought since that does not go with what was written; nothing where all does."""
        if self.folded and (came := self._hidden_since(writing)):
            return f"{came} rows came that a folded correction hides"
        if self._folding is None or not self.people:
            return ""
        old = self._folding["old_person"].to_numpy()
        if corrected := self._of_people(writing, old):
            return f"{corrected} corrections came of people who were folded in"
        writing.session.offer("folding", self._folding)
        undone = writing.session.run(STANDING)["rows"][0].as_py()
        undone += int(np.isin(self._unsettled(), old).sum())
        return f"{undone} people who were folded in were split off again, or merged" if undone else ""

    def _unsettled(self) -> _Numbers:
        """Returns the people who were merged or split off, of which the lake has not heard yet."""
        with self.rewriting.warehouse.state.reading() as connection:
            return np.fromiter(connection.scalars(sa.select(identity_touched.c.person_id)), np.int64)

    def _hidden_since(self, writing: Writing) -> int:
        """Returns how many rows came since that readers do not see because of a retraction that is to go."""
        count = 0
        for table in (EVENTS, ITEMS):
            fresh = self.rewriting.fresh(writing, table)
            if fresh:
                writing.session.keep(FOLDED, self.values)
                writing.session.attach_stored("fresh_rows", table, [file.path for file in fresh])
                hit = one("hit", f"SELECT count(*) AS rows FROM fresh_rows SEMI JOIN folded USING {_KEY}")
                count += int(writing.session.run(hit)["rows"][0].as_py())
        return count

    def _of_people(self, writing: Writing, people: _Numbers) -> int:
        fresh = self.rewriting.fresh(writing, RETRACTIONS)
        if not fresh:
            return 0
        writing.session.attach_stored("fresh_retractions", RETRACTIONS, [file.path for file in fresh])
        whose = writing.session.run(one("whose", "SELECT person_id FROM fresh_retractions"))["person_id"].to_numpy()
        return int(np.isin(whose, people).sum())

    def stored(self, table: Table) -> str:
        """Makes a table readable as it stands in its files; returns under which name."""
        name = f"{table.name}_stored"
        if name not in self._attached:
            self._attached.add(name)
            self.rewriting.session.attach_stored(name, table, [file.path for file in self.files(table)])
        return name

    def needs(self, table: Table) -> bool:
        files = self.files(table)
        if self.folded and table.name == RETRACTIONS.name:
            return True
        if any(file.layer == "overlay" for file in files):
            return True
        enough = ceil(sum(file.size_bytes for file in files) / self.wish.file_bytes)
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
        return bool(self.rewriting.run(self.rewriting.session.run, hit)["rows"][0].as_py())

    def rewrite(self, table: Table) -> tuple[WrittenFile, ...]:
        """Writes a table anew; returns its files."""
        heard = self.wish.heard
        heard.stage(f"compacting {table.name}", sum(file.rows for file in self.files(table)))
        written: list[WrittenFile] = []
        source, ranges = self._source(table), self._ranges(table)
        if len(ranges) > _PASSES:
            source = self._sorted(table, source)
        for condition in ranges:
            rows = one("compaction", f"SELECT * FROM ({source}){condition}")
            written += self.rewriting.write(table, rows, self.values, ordered=True)
            heard.advance(sum(file.rows for file in written))
        return tuple(written)

    def _sorted(self, table: Table, source: str) -> str:
        """Sorts the rows into a file of the session, from which a range is cut without reading the others."""
        session = self.rewriting.session
        name = f"{table.name}_sorted"
        rows, into = one("sorting", source), str(session.folder / name)
        files = self.rewriting.run(session.write, rows, replace(table, derived=True), into, self.values, ordered=True)
        session.attach_stored(name, table, [file.path for file in files])
        return f"SELECT * EXCLUDE (stored_in) FROM {name}"

    def _source(self, table: Table) -> str:
        """Returns the SELECT of the rows that are to stay."""
        if table.layered:
            return f"SELECT *, false AS gone FROM {table.name}"
        names = ", ".join(table.column_names)
        source = f"SELECT {names} FROM {self.stored(table)}"
        if table.name not in _KEPT_FILED:
            return source
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
        pieces = ceil(sum(file.size_bytes for file in files) / self.wish.file_bytes)
        first = table.sort_by[0] if table.sort_by else ""
        if pieces < 2 or not first or table[first].type not in {"BIGINT", "INTEGER"}:
            return [""]
        shares = ", ".join(str(number / pieces) for number in range(1, pieces))
        asked = one("borders", f"SELECT approx_quantile({first}, [{shares}]) AS borders FROM {self.stored(table)}")
        found = self.rewriting.run(self.rewriting.session.run, asked)["borders"][0].as_py() or []
        borders = sorted({int(border) for border in found})
        if not borders:
            return [""]
        between = [f" WHERE {first} >= {low} AND {first} < {high}" for low, high in pairwise(borders)]
        return [f" WHERE {first} < {borders[0]} OR {first} IS NULL", *between, f" WHERE {first} >= {borders[-1]}"]
