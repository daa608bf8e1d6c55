"""The drain: from the inbox into the lake, every acknowledged event exactly once whatever dies in between.

The rows that a drain takes are written down as drained in the transaction that publishes their events. Until then
another drain takes them again, with the same result; from then on nobody takes them, and deleting them is tidying up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from msgspec.structs import replace as replace_struct
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect import drain_queries as queries
from jingzhe.collect.calls import Normalised, Refused
from jingzhe.collect.counting import tally
from jingzhe.collect.isolating import NOT_OF_EVENTS, UNFORESEEN, culprits
from jingzhe.collect.minding import Minding, without_erased
from jingzhe.collect.naming import names_of
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.observing import NOBODY, Observed, Resolve, observed
from jingzhe.collect.reading_ahead import WORTH_IT, Ahead, Read
from jingzhe.collect.reading_process import Contents, Reader
from jingzhe.collect.refused_events import quarantine
from jingzhe.collect.sealed_properties import seal_of
from jingzhe.collect.seen import Seen
from jingzhe.collect.wire.values import zone_named
from jingzhe.collect.write_keys import list_sources
from jingzhe.core.failures import told
from jingzhe.store.facts import EVENT_DETAILS, EVENTS, IDENTITIES, ITEMS
from jingzhe.store.state import bulk
from jingzhe.store.state.collect_tables import inbox_claim, inbox_drained
from jingzhe.store.state.inbox import Inbox, Row
from jingzhe.store.warehouse import Warehouse, Writing

EVENTS_AT_ONCE = 100_000
"""What does not depend on the number of events (a session, three commits) costs as much as some 10,000 of them."""
_BYTES_AT_ONCE = 128 * 2**20
"""Large events are few: what is held in memory at once does not grow with them, however much waits."""
_SHOWN_AT_MOST = 2_000_000
_SHOWN_KINDS = ("login", "member")
"""Keys that the table ``identities`` shows: those by which a business knows its people. Others stay in the state."""


@dataclass(frozen=True)
class Drained:
    """What a drain did.

    Args:
        rows: of the inbox.
        requests: that they held.
        events: that they held.
        calls: brought into the lake.
        duplicates: left out because they were known.
        quarantined: refused, with their reason.
        erased: dropped because their person was erased.
        publication: number; None where nothing was there.
        oldest_us: when the oldest of them was received, UTC microseconds.
        seconds: how long it took.
        unforeseen: what failed at single events and where, of those quarantined for it: to be told to the makers.
    """

    rows: int = 0
    requests: int = 0
    events: int = 0
    calls: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0
    publication: int | None = None
    oldest_us: int | None = None
    seconds: float = 0.0
    unforeseen: tuple[str, ...] = ()


class _Staged(NamedTuple):
    """What a drain has staged: what of it to remember once it is published."""

    good: Normalised
    met: dict[tuple[str, str], int]
    done: Drained


@dataclass
class Drain:
    """Drains one project's inbox; keeps what it knows of earlier messages between two runs.

    Args:
        warehouse: where the facts go.
        inbox: what is drained.
        resolve: says whose each call is.
        zone: IANA zone of the project, in which days begin.
        currency: ISO 4217 code of amounts that carry none; None where unknown.
        seen: which messages are known.
        events_at_once: how many events one publication holds at most, about.
        minding: knows who was erased, and hears what events say of consent; None where nobody does.
        ahead: True to read what comes next in a process of its own where more waits than one run takes; :meth:`close`
            the drain then.
    """

    warehouse: Warehouse
    inbox: Inbox
    resolve: Resolve
    zone: str = "UTC"
    currency: str | None = None
    seen: Seen = field(default_factory=lambda: Seen(7.0))
    events_at_once: int = EVENTS_AT_ONCE
    minding: Minding | None = None
    ahead: bool = False
    _shown: dict[str, set[str]] = field(default_factory=dict)
    _next: Ahead | None = None
    _reader: Reader | None = None

    def run(self) -> Drained:
        """Brings what waits into the lake, up to :attr:`events_at_once`; does nothing where nothing waits.

        Raises:
            BusyError: another process is writing and did not finish in time.
            LakeError: a table cannot be written.
            StateError: state or inbox cannot be reached.
        """
        begun = time.perf_counter()
        self._tidy()
        rows = self._claimed()
        if not rows:
            return Drained()
        contents = self._read(rows).contents
        try:
            done = self._bring(rows, contents)
        except NOT_OF_EVENTS:
            raise
        except Exception as error:  # noqa: BLE001 - raised again where it is of no event
            done = self._bring(rows, self._without_culprits(rows, contents, error))
        self._tidy()
        return replace(done, seconds=time.perf_counter() - begun)

    def close(self) -> None:
        """Waits for what is read ahead, of which nothing was claimed, and ends the process that reads."""
        if self._next is not None:
            self._next.wait()
            self._next = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read(self, rows: list[Row]) -> Read:
        """Returns what rows hold, from what was read ahead where it is that; begins with what comes next."""
        normaliser, ahead = self._normaliser(), self._next
        self._next = None
        known = ahead.wait() if ahead is not None else None
        read = known if known is not None and known.is_of(rows, normaliser) else Read.of(rows, normaliser)
        if self.ahead and sum(row.events for row in rows) >= WORTH_IT * self.events_at_once:
            gone = [*self._drained(), *(row.number for row in rows)]
            take = partial(self._taken, without=gone)
            self._next = Ahead(take, normaliser, self._living_reader())
        return read

    def _living_reader(self) -> Reader:
        if self._reader is not None and self._reader.has_ended:
            self._reader.close()
            self._reader = None
        self._reader = self._reader or Reader()
        return self._reader

    def _normaliser(self) -> Normaliser:
        state = self.warehouse.state
        sources = {one.source_id: one for one in list_sources(state)}
        return Normaliser(sources, names_of(state), zone_named(self.zone), self.currency)

    # ---- which rows

    def _tidy(self) -> None:
        """Deletes what is drained from the inbox, then the note that says so."""
        numbers = self._drained()
        if not numbers:
            return
        self.inbox.delete(numbers)
        with self.warehouse.state.writing() as connection:
            bulk.execute(connection, queries.TIDIED, numbers)

    def _drained(self) -> list[int]:
        with self.warehouse.state.reading() as connection:
            return list(connection.scalars(sa.select(inbox_drained.c.number)))

    def _is_drained(self, rows: Sequence[Row]) -> bool:
        """Tells whether rows are in the lake, or gone from the inbox because they were."""
        gone, numbers = set(self._drained()), [row.number for row in rows]
        return not gone.isdisjoint(numbers) or self.inbox.count(numbers) < len(numbers)

    def _claimed(self) -> list[Row]:
        """Returns the rows to be drained: those that a drain which died had begun with, else the oldest."""
        with self.warehouse.state.reading() as connection:
            before = connection.scalar(sa.select(inbox_claim.c.numbers))
        if before:
            rows = self.inbox.rows(before)
            if rows:
                return rows
        rows = self._taken(without=self._drained())
        if rows:
            with self.warehouse.state.writing() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.text(queries.CLAIM_TURN))
                connection.execute(sa.delete(inbox_claim))
                claim = {"claim_id": 1, "numbers": [row.number for row in rows]}
                connection.execute(sa.insert(inbox_claim).values(claim))
        return rows

    def _taken(self, *, without: Sequence[int]) -> list[Row]:
        return self.inbox.take(without=without, events=self.events_at_once, size_bytes=_BYTES_AT_ONCE)

    # ---- into the lake

    def _bring(self, rows: Sequence[Row], contents: Contents) -> Drained:
        with self.warehouse.writing("drain of the inbox") as writing:
            if self._is_drained(rows):
                # Another drain had claimed the same rows and was quicker.
                return Drained()
            staged = self._staged(writing, rows, contents)
            publication = writing.publish(f"drain of {contents.requests} requests")
        # Only now: what was not published has to be written by the next try.
        self.seen.remember(staged.good.event_ids, writing.batch)
        self._show(staged.met)
        return replace(staged.done, publication=publication.seq if publication else None)

    def _staged(self, writing: Writing, rows: Sequence[Row], contents: Contents) -> _Staged:
        now = self.warehouse.clock.now()
        found, erased = without_erased(self.minding, contents.found)
        self.seen.catch_up(writing.session, now, writing.batch - 1)
        fresh = self.seen.new(found.event_ids)
        kept = found.only(fresh)
        keys = observed(f"inbox {rows[0].number}-{rows[-1].number}", kept.calls, kept.ts_us, kept.ids)
        homes = self.resolve(keys) if len(kept) else np.zeros(0, np.int64)
        lost = np.fromiter((bool(call.keys) for call in kept.calls), bool, len(kept)) & (homes == NOBODY)
        refused = [*found.refused, *(_nobody(kept, place) for place in np.flatnonzero(lost).tolist())]
        good = kept.only(~lost)
        met = self._met(keys, homes)
        if len(good):
            self._write(writing, good, homes[~lost], met)
        heard = self.minding.heard(good, homes[~lost]) if self.minding is not None else None
        if heard is not None:
            writing.also(partial(heard, now=now))
        numbers = [row.number for row in rows]
        writing.also(partial(_drained_rows, numbers=numbers, refused=refused, now=now))
        writing.also(tally(found, kept, good, refused, zone_named(self.zone)).write)
        done = Drained(
            len(rows), contents.requests, len(found) + len(found.refused) + erased, len(good),
            len(found) - len(kept), len(refused), erased, oldest_us=contents.oldest_us,
            unforeseen=tuple(sorted({one.detail for one in refused if one.reason == UNFORESEEN})),
        )  # fmt: skip
        return _Staged(good, met, done)

    def _without_culprits(self, rows: Sequence[Row], contents: Contents, error: Exception) -> Contents:
        """Returns the contents with those events refused at which the drain fails, so that they hold up no other."""
        found, detail = contents.found, told(error)

        def attempt(chosen: NDArray[np.bool_]) -> None:
            with self.warehouse.writing("search for what the drain fails at") as writing:
                self._staged(writing, rows, replace_struct(contents, found=found.only(chosen)))
                writing.rehearse()

        wrong = culprits(len(found), attempt)
        refused = [found.refuse(place, UNFORESEEN, "", detail) for place in np.flatnonzero(wrong).tolist()]
        left = replace(found.only(~wrong), refused=[*found.refused, *refused])
        return replace_struct(contents, found=left)

    def _write(
        self, writing: Writing, good: Normalised, homes: NDArray[np.int64], met: dict[tuple[str, str], int]
    ) -> None:
        session, values = writing.session, {"batch": writing.batch, "zone": self.zone}
        session.offer("calls", good.table(homes, seal_of(self.warehouse.state)))
        writing.append(EVENTS, queries.EVENT_ROWS, values)
        writing.append(EVENT_DETAILS, queries.DETAIL_ROWS, values)
        if any(good.lines):
            session.offer("call_lines", good.line_table())
            writing.append(ITEMS, queries.ITEM_ROWS, values)
        if met:
            kinds, texts = [key[0] for key in met], [key[1] for key in met]
            people = pa.array(met.values(), pa.int64())
            session.offer("met_keys", pa.table({"person_id": people, "kind": kinds, "value": texts}))
            writing.append(IDENTITIES, queries.IDENTITY_ROWS, values)

    def _met(self, keys: Observed, homes: NDArray[np.int64]) -> dict[tuple[str, str], int]:
        """Returns the keys that this drain has not met before and that the table ``identities`` shows, with whose."""
        new: dict[tuple[str, str], int] = {}
        for kind, values in keys.columns:
            if kind in _SHOWN_KINDS:
                known: Set[str] = self._shown.get(kind, frozenset())
                for place in [place for place, value in enumerate(values) if value is not None and value not in known]:
                    if homes[place] != NOBODY:
                        new.setdefault((kind, str(values[place])), int(homes[place]))
        return new

    def _show(self, met: Iterable[tuple[str, str]]) -> None:
        for kind, value in met:
            known = self._shown.setdefault(kind, set())
            if len(known) > _SHOWN_AT_MOST:
                known.clear()
            known.add(value)


def _nobody(calls: Normalised, place: int) -> Refused:
    return calls.refuse(place, "junk-customer", "userId", "every id is a placeholder, or belongs to too many")


def _drained_rows(connection: Connection, *, numbers: list[int], refused: list[Refused], now: datetime) -> None:
    """Writes down what is drained and what was refused, in the transaction that publishes."""
    connection.execute(sa.insert(inbox_drained), [{"number": number} for number in numbers])
    connection.execute(sa.delete(inbox_claim))
    quarantine(connection, refused, now)
