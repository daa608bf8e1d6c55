"""What arrives, in numbers: by source and day, what waits, what was refused and why, how old the newest facts are.

Live events are counted in the transaction that publishes them, imports by their own reports; nothing is estimated. An
event that is replayed from quarantine is received a second time and counts a second time, under what becomes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from jingzhe.app.workspace import Workspace
from jingzhe.collect import counting, refused_events
from jingzhe.collect.counting import ACCEPTED, DUPLICATE, HISTORICAL, REFUSED, Counted
from jingzhe.collect.importing import KIND as IMPORT
from jingzhe.collect.quarantine import open_rows
from jingzhe.collect.report import ImportSummary
from jingzhe.collect.write_keys import list_sources
from jingzhe.store.state import Document
from jingzhe.store.state.inbox import Inbox

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN_SOURCE = "?"
"""What a source is called of which nothing is known any more."""


@dataclass(frozen=True)
class Amount:
    """Events or rows by what became of them.

    Args:
        accepted: facts, of their own time.
        historical: facts whose time was given with them (``historical``).
        duplicates: known before, and left out.
        refused: by reason.
    """

    accepted: int = 0
    historical: int = 0
    duplicates: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def refused_in_all(self) -> int:
        """Returns how many were refused."""
        return sum(self.refused.values())

    @property
    def received(self) -> int:
        """Returns how many came."""
        return self.accepted + self.historical + self.duplicates + self.refused_in_all


@dataclass(frozen=True)
class SourceDay:
    """What one source sent on one day.

    Args:
        day: of receipt, in the project's zone.
        source: name of the source.
        amount: how much.
    """

    day: date
    source: str
    amount: Amount


@dataclass(frozen=True)
class Freshness:
    """How old the newest facts of one source are.

    Args:
        source: name of the source.
        kind: its channel.
        received_at: when its last fact was received; None: none ever.
        happened_at: when its latest event happened; historical ones do not count; None: none ever.
    """

    source: str
    kind: str
    received_at: datetime | None
    happened_at: datetime | None


@dataclass(frozen=True)
class Waiting:
    """What is acknowledged and not in the lake yet.

    Args:
        events: how many.
        size_bytes: how much.
        oldest_seconds: how long the oldest has waited.
    """

    events: int
    size_bytes: int
    oldest_seconds: float


@dataclass(frozen=True)
class Collection:
    """What arrives.

    Args:
        as_of: the moment.
        waiting: what is not in the lake yet.
        freshness: by source.
        days: by day and source, the latest day first.
    """

    as_of: datetime
    waiting: Waiting
    freshness: tuple[Freshness, ...]
    days: tuple[SourceDay, ...]


@dataclass(frozen=True)
class Quality:
    """How good the data of one source are.

    Args:
        source: its name.
        way: ``live`` events or rows of an ``import``.
        amount: what came; of imports the duplicates are not counted by row: see ``orders_unchanged``.
        orders_unchanged: of imports, orders and single events that were known already, exactly so.
        in_quarantine: what nobody has mended or discarded yet, by reason, whenever it came.
    """

    source: str
    way: Literal["live", "import"]
    amount: Amount
    orders_unchanged: int | None
    in_quarantine: Mapping[str, int]

    @property
    def validity(self) -> float | None:
        """Returns the share of what came that could be a fact; None where nothing came."""
        received = self.amount.received
        return None if not received else 1.0 - self.amount.refused_in_all / received

    @property
    def duplicate_share(self) -> float | None:
        """Returns the share of what came that was known before; None where nothing came, and for imports."""
        received = self.amount.received
        return None if not received or self.way == "import" else self.amount.duplicates / received


def collection(workspace: Workspace, inbox: Inbox, *, days: int) -> Collection:
    """Returns what arrives.

    Args:
        workspace: the project.
        inbox: what waits.
        days: how many days back, today included.
    """
    now = workspace.warehouse.clock.now()
    today = now.astimezone(ZoneInfo(workspace.settings.timezone)).date()
    with workspace.warehouse.state.reading() as connection:
        rows = counting.counted(connection, since=today - timedelta(days=days - 1), until=today)
        seen = counting.last_seen(connection)
    sources = list_sources(workspace.warehouse.state)
    names = {one.source_id: one.name for one in sources}
    grouped: dict[tuple[date, str], list[Counted]] = {}
    for row in rows:
        grouped.setdefault((row.day, names.get(row.source_id, UNKNOWN_SOURCE)), []).append(row)
    by_day = [SourceDay(day, source, _amount(some)) for (day, source), some in grouped.items()]
    fresh = (
        Freshness(one.name, one.kind, *(_moment(us) for us in seen.get(one.source_id, (None, None)))) for one in sources
    )
    depth = inbox.depth()
    oldest = _moment(depth.oldest_us)
    waited = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return Collection(
        now, Waiting(depth.events, depth.size_bytes, waited), tuple(fresh),
        tuple(sorted(by_day, key=lambda one: (-one.day.toordinal(), one.source))),
    )  # fmt: skip


def quality(workspace: Workspace, *, days: int) -> list[Quality]:
    """Returns the report on the quality of the data, by source, the one with most refusals first.

    Args:
        workspace: the project.
        days: how many days back, today included.
    """
    state = workspace.warehouse.state
    today = workspace.warehouse.clock.now().astimezone(ZoneInfo(workspace.settings.timezone)).date()
    since = today - timedelta(days=days - 1)
    with state.reading() as connection:
        rows = counting.counted(connection, since=since, until=today)
        standing = refused_events.count_by_source(connection)
    names = {one.source_id: one.name for one in list_sources(state)}
    found = [*_live(rows, standing, names), *_imported(workspace, since)]
    return sorted(found, key=lambda one: (-one.amount.refused_in_all, one.source, one.way))


def _live(
    rows: Iterable[Counted], standing: Mapping[tuple[int, str], int], names: Mapping[int, str]
) -> Iterable[Quality]:
    came: dict[str, list[Counted]] = {}
    for row in rows:
        came.setdefault(names.get(row.source_id, UNKNOWN_SOURCE), []).append(row)
    waiting: dict[str, Counter[str]] = {}
    for (number, reason), count in standing.items():
        waiting.setdefault(names.get(number, UNKNOWN_SOURCE), Counter())[reason] += count
    for source in sorted(came.keys() | waiting.keys()):
        yield Quality(source, "live", _amount(came.get(source, [])), None, dict(waiting.get(source, {})))


def _imported(workspace: Workspace, since: date) -> Iterable[Quality]:
    documents = workspace.warehouse.state.documents(IMPORT)
    source_of = {one.name: str(one.body["source"]) for one in documents}
    waiting: dict[str, Counter[str]] = {}
    for row in open_rows(workspace.warehouse):
        source = source_of.get(row["import_id"], UNKNOWN_SOURCE)
        waiting.setdefault(source, Counter())[row["reason"]] += int(row["rows"])
    zone = ZoneInfo(workspace.settings.timezone)
    done: dict[str, list[ImportSummary]] = {}
    for document in documents:
        if _day_of(document, zone) >= since:
            summary = ImportSummary.from_document(document.body)
            done.setdefault(summary.source, []).append(summary)
    for source in sorted(done.keys() | waiting.keys()):
        some = done.get(source, [])
        refused: Counter[str] = Counter()
        for one in some:
            refused.update(one.rejected)
        amount = Amount(historical=sum(one.rows_accepted for one in some), refused=dict(refused))
        unchanged = sum(one.orders_unchanged for one in some)
        yield Quality(source, "import", amount, unchanged, dict(waiting.get(source, {})))


def _day_of(document: Document, zone: ZoneInfo) -> date:
    return document.created_at.astimezone(zone).date()


def _amount(rows: Iterable[Counted]) -> Amount:
    by: Counter[str] = Counter()
    for row in rows:
        by[row.outcome] += row.events
    refused = {name.removeprefix(REFUSED): count for name, count in by.items() if name.startswith(REFUSED)}
    return Amount(by[ACCEPTED], by[HISTORICAL], by[DUPLICATE], refused)


def _moment(moment_us: int | None) -> datetime | None:
    return None if moment_us is None else _EPOCH + timedelta(microseconds=moment_us)
