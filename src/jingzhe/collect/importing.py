"""Imports orders and events: from a file, a folder, a pattern or a database to the tables of facts, or not at all."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import Connection

from jingzhe.collect import queries
from jingzhe.collect.activities import activity_names
from jingzhe.collect.databases import SqlSource
from jingzhe.collect.erased_rows import drop_erased
from jingzhe.collect.hiding import hide_customers
from jingzhe.collect.key_columns import NAMES, field_of, further_kinds, is_key, kind_of
from jingzhe.collect.loading import Load, Loaded
from jingzhe.collect.mapping import Keys
from jingzhe.collect.mending import take_mended
from jingzhe.collect.met_keys import met_keys
from jingzhe.collect.minding import Minding
from jingzhe.collect.people import CUSTOMER, Graph
from jingzhe.collect.presets import Preset, find_preset
from jingzhe.collect.reading import FileRows, ReadPlan, offer_refused, read_files
from jingzhe.collect.reasons import ERASED, REASONS
from jingzhe.collect.report import ImportSummary
from jingzhe.collect.rows import ROWS, columns_wanted, key_column
from jingzhe.collect.sealed_rows import offer_sealed
from jingzhe.collect.sources import Input, Options, digest, open_source
from jingzhe.collect.understanding import Understood, Wish, understand
from jingzhe.collect.values import DecimalStyle, TimeStyle
from jingzhe.core.errors import ImportRefusedError, SettingError
from jingzhe.core.progress import Progress, Silent
from jingzhe.core.text import Text
from jingzhe.store.engine import LocalSession, Session
from jingzhe.store.engine.spill import spill_folder
from jingzhe.store.facts import QUARANTINE
from jingzhe.store.warehouse import Warehouse, Writing

KIND = "import"
"""Kind of the documents that keep what every import did."""

RULES_VERSION = 3
"""Changes when the same file would give other facts; the same file is then imported anew."""

_FUTURE_ALLOWED = timedelta(days=1)


@dataclass(frozen=True)
class Wishes:
    """How an import is to be done; everything has a default.

    Args:
        mapping: columns by field, such as ``{"customer_id": "CustomerID"}``; what is not given is guessed, an empty
            name says that the field is not there.
        preset: name of a preset, shipped or saved.
        source_name: the source that the facts carry; a corrected file replaces orders of the same source only.
        timezone: IANA zone of times that carry none, and in which days begin.
        currency: ISO 4217 code of amounts that carry none.
        strict: True to refuse everything because of one bad row.
        encoding: of texts, where guessing errs.
        delimiter: of CSV files, where guessing errs.
        sheet: of Excel files; None: the first with rows.
        dates: how times are written, where guessing errs (``day-first``, ``month-first`` …).
        decimal: what stands before the decimals, where guessing errs.
        key_kind: kind of the customers' keys; sources that share it share their customers. Empty: ``phone`` or
            ``email`` where the header of the customers' column and its values say so, else ``customer``, who is
            whoever signs in with the same id. Another kind, such as ``member``, keeps equal ids of other systems
            apart. Keys of personal kinds are known by their hashes from there on.
        keys: columns of further keys of the customers by kind, such as ``{"phone": "手机号"}``; what is not given is
            guessed, an empty name says that there is none. Rows that share such a key are one person's, as far as
            the rules of the identity graph allow.
        people: True for a list of people: customers and keys, no orders; guessed where there is neither time nor
            amount.
    """

    mapping: Mapping[str, str] | None = None
    preset: str | None = None
    source_name: str | None = None
    timezone: str = "UTC"
    currency: str | None = None
    strict: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    dates: TimeStyle | None = None
    decimal: DecimalStyle | None = None
    key_kind: str = ""
    keys: Mapping[str, str] | None = None
    people: bool = False

    @property
    def columns(self) -> dict[str, str]:
        """Returns the columns by field, further keys included."""
        return {**(self.mapping or {}), **{field_of(kind): column for kind, column in (self.keys or {}).items()}}

    def kind_of(self, understood: Sequence[Understood]) -> str:
        """Returns the kind of the customers' keys of all files.

        Raises:
            ImportRefusedError: the files name their customers by keys of several kinds.
        """
        found = {one.report.key_kind or CUSTOMER: one.report for one in understood}
        if len(found) > 1:
            named = ((kind, report["customer_id"].column, report.file) for kind, report in found.items())
            told = "; ".join(f"{kind}: {column!r} of {file}" for kind, column, file in named)
            raise ImportRefusedError(
                f"The files name their customers by keys of several kinds ({told})",
                hint="Import them one after the other, or say what the customers' keys of all are: --id-kind.",
            )
        return next(iter(found))


def import_orders(
    warehouse: Warehouse,
    source: str | Path | SqlSource | None,
    *,
    progress: Progress | None = None,
    minding: Minding | None = None,
    graph: Graph | None = None,
    **wishes: Any,
) -> ImportSummary:
    """Imports orders or events, completely or not at all.

    The same files again change nothing. Orders that an earlier import of the same source knows are replaced where
    they differ and left alone where they do not. An order that is spread over several files of one import is one
    order. Rows without an order number are the same fact when all their fields are the same.

    Args:
        warehouse: where the facts go.
        source: a file, a folder, a pattern such as ``orders-*.csv``, or a query; None for a preset that brings its
            own data.
        progress: is told what is being done; None: nobody.
        minding: knows who was erased: their rows are dropped and counted as refused; None where nobody does.
        graph: says whose a customer's key is, where it knows; None where nobody does.
        wishes: see :class:`Wishes`.

    Returns:
        what was understood and done.

    Raises:
        ImportRefusedError: a file cannot be read or understood, holds no good row, or ``strict`` refused a row.
        BusyError: another process is writing and did not finish in time.
        SettingError: a wish cannot be used.
    """
    wish = Wishes(**wishes)
    if wish.timezone not in available_timezones():
        raise SettingError(f"{wish.timezone!r} is no IANA time zone", hint="Such as Asia/Shanghai or UTC.")
    if graph is not None:
        graph.check(wish.key_kind or CUSTOMER, further_kinds(wish.columns))
    elif wish.key_kind not in {"", CUSTOMER}:
        raise SettingError("Keys of another kind need the identity graph", hint="Import through the workspace.")
    with spill_folder(warehouse.engine.work_folder) as folder:
        return _Import(warehouse, wish, folder, progress or Silent(), minding, graph).run(source)


@dataclass(frozen=True)
class _Import:
    """One import under way."""

    warehouse: Warehouse
    wish: Wishes
    folder: Path
    progress: Progress
    minding: Minding | None = None
    graph: Graph | None = None

    def run(self, source: str | Path | SqlSource | None) -> ImportSummary:
        begun = time.monotonic()
        preset = find_preset(self.warehouse.state, self.wish.preset) if self.wish.preset else None
        name = self.wish.source_name or (preset.name if preset else "orders")
        with ThreadPoolExecutor(1, "digest") as pool:
            with self.warehouse.engine.session() as session:
                inputs = self._open(session.local, source, preset)
                hashed = pool.submit(digest, inputs)
                fingerprint = self._fingerprint(inputs, preset, name)
                repeated = self._repeated(inputs, name, fingerprint, hashed)
                if repeated is not None:
                    return repeated.again(time.monotonic() - begun)
                understood = self._understand(session.local, inputs, preset)
            kind = self._kind(understood)
            files = tuple(given.name for given in inputs)
            reports = tuple(one.report for one in understood)
            summary = ImportSummary(uuid.uuid4().hex[:12], name, files, mappings=reports)
            with self.warehouse.writing(f"import {', '.join(files)[:200]}") as writing:
                summary = self._load(writing, list(zip(inputs, understood, strict=True)), kind, summary)
                summary = replace(summary, seconds=round(time.monotonic() - begun, 3))
                return self._publish(writing, summary, fingerprint, hashed.result())

    def _open(self, session: LocalSession, source: str | Path | SqlSource | None, preset: Preset | None) -> list[Input]:
        if source is None:
            if preset is None or preset.loader is None:
                raise ImportRefusedError("There is nothing to import", hint="Give a file, a folder or a query.")
            self.progress.stage(f"prepare {preset.name}", None)
            return preset.loader(session, self.folder)
        options = Options(self.wish.encoding, self.wish.delimiter, self.wish.sheet)
        return open_source(source, self.folder, options, self.progress)

    def _fingerprint(self, inputs: Sequence[Input], preset: Preset | None, name: str) -> str:
        """Returns what besides the files' bytes decides which facts come out."""
        wish = self.wish
        said = [
            RULES_VERSION, [given.name for given in inputs], wish.columns, preset and preset.document(),
            name, wish.timezone, wish.currency, wish.encoding, wish.delimiter, wish.sheet, wish.dates, wish.decimal,
            wish.key_kind, wish.people, sorted(activity_names(self.warehouse.state).items()),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    def _repeated(
        self, inputs: Sequence[Input], name: str, fingerprint: str, hashed: Future[str]
    ) -> ImportSummary | None:
        """Returns the earlier import of the very same files, if nothing has replaced what it brought."""
        if any(given.origin is None for given in inputs):
            return None
        earlier = [one.body for one in self.warehouse.state.documents(KIND) if one.body["source"] == name]
        for body in sorted(earlier, key=lambda one: int(one["batch"]), reverse=True):
            if body["fingerprint"] == fingerprint and body["digest"] == hashed.result():
                return ImportSummary.from_document(body)
            if body["orders_replaced"]:
                return None
        return None

    def _understand(self, session: LocalSession, inputs: Sequence[Input], preset: Preset | None) -> list[Understood]:
        given = {**(preset.mapping if preset else {}), **self.wish.columns}
        why = "preset" if preset and not self.wish.columns else "given"
        further = further_kinds(given)
        if self.graph is None and further:
            raise SettingError("Further keys need the identity graph", hint="Import through the workspace.")
        own, graph = self.wish.key_kind, self.graph
        may_guess = graph.may_guess(own or CUSTOMER, NAMES.keys()) if graph is not None else frozenset()
        hidden = bool(own) and graph is not None and graph.is_personal(own)
        wish = Wish(given, why, self.wish.dates or (preset.dates if preset else None),
                    self.wish.decimal or (preset.decimal if preset else None),
                    Keys(may_guess, self.wish.people, own, hidden))  # fmt: skip
        self.progress.stage("look at the columns", None)
        return [understand(session, one, wish) for one in inputs]

    def _kind(self, understood: Sequence[Understood]) -> str:
        """Returns the kind of the customers' keys, before anything is read for long and while others may write."""
        kind = self.wish.kind_of(understood)
        if self.graph is not None:
            further = dict.fromkeys(kind_of(name) for one in understood for name in one.readings if is_key(name))
            self.graph.check(kind, list(further))
        return kind

    def _load(
        self, writing: Writing, files: list[tuple[Input, Understood]], kind: str, summary: ImportSummary
    ) -> ImportSummary:
        now = self.warehouse.clock.now()
        wanted = columns_wanted(frozenset(name for _, one in files for name in one.readings), self.wish.timezone)
        keys = tuple(dict.fromkeys(name for _, one in files for name in one.readings if is_key(name)))
        plan = ReadPlan(wanted, now + _FUTURE_ALLOWED, self.wish.timezone, self.folder, keys)
        here = writing.session.local
        read = read_files(here, files, plan, self.progress)
        columns = {key_column(place): kind_of(name) for place, name in enumerate(keys)}
        erased = drop_erased(here, self.minding, {"customer": kind, **columns})
        if self.graph is not None and self.graph.is_personal(kind):
            writing.also(hide_customers(here, self.graph, kind))
        met = met_keys(here, read, list(columns.values()), f"import {summary.import_id}") if keys else None
        bounds = here.run(queries.bounds(wanted)).to_pylist()[0]
        rows, left_out = sum(one.count + len(one.rejections) for one in read), 0
        rejected = self._refuse(writing, read, wanted, summary) if bounds["good"] < rows else {}
        rejected |= {ERASED: erased} if erased else {}
        writing.session.take(ROWS)
        if "quarantined" in wanted:
            left_out = take_mended(writing, wanted, {"source": summary.source, "kind": kind})
            bounds = writing.session.run(queries.bounds(wanted)).to_pylist()[0]
        days = {"first_day": bounds["first_day"], "last_day": bounds["last_day"]}
        summary = replace(summary, rows=rows - left_out, rejected=rejected, **days)
        good = bounds["good"]
        if not good:
            if rows > erased and not left_out:
                raise self._nothing_good(summary, writing.session)
            return summary
        load = Load(
            writing, wanted, summary.source, self.wish.currency, now, kind,
            activity_names(self.warehouse.state), self.progress, self.graph, met,
        )  # fmt: skip
        loaded, unknown = load.run(good, bounds["facts"], bounds["with_order"])
        return _with_loaded(summary, loaded, unknown)

    def _refuse(
        self, writing: Writing, read: list[FileRows], wanted: tuple[str, ...], summary: ImportSummary
    ) -> dict[str, int]:
        """Stages the refused rows, and returns how many there are by reason."""
        self.progress.stage("refused rows", None)
        offer_refused(writing.session.local, read, self.minding)
        writing.session.local.keep(queries.refused_rows(wanted))
        writing.session.take("refused_rows")
        counts = {row["reason"]: row["rows"] for row in writing.session.run(queries.REFUSED_COUNTS).to_pylist()}
        if self.wish.strict and counts:
            raise ImportRefusedError(
                f"{sum(counts.values())} rows cannot be imported:\n{_first_refused(writing.session)}",
                hint="Mend them, or import without strict: they then go to quarantine.",
            )
        values = {"import_id": summary.import_id, "batch": writing.batch}
        offer_sealed(writing.session, self.warehouse.state.sealer)
        writing.append(QUARANTINE, queries.QUARANTINE_ROWS, values)
        return counts

    def _nothing_good(self, summary: ImportSummary, session: Session) -> ImportRefusedError:
        return ImportRefusedError(
            f"None of the {summary.rows} rows can be imported:\n{_first_refused(session)}",
            hint="The columns were taken as follows; say otherwise with --map FIELD=COLUMN.\n"
            + "\n".join(one.as_text() for one in summary.mappings),
        )

    def _publish(self, writing: Writing, summary: ImportSummary, fingerprint: str, digest_: str) -> ImportSummary:
        """Makes everything visible, and keeps what the import did with it."""
        self.progress.stage("publish", None)
        published = replace(summary, publication=writing.batch if writing.has_changes else None)
        body = {**published.document(), "fingerprint": fingerprint, "digest": digest_, "batch": writing.batch}
        if not writing.has_changes:
            self.warehouse.state.put_document(KIND, summary.import_id, body)
            return published

        def also(connection: Connection) -> None:
            self.warehouse.state.put_document(KIND, summary.import_id, body, connection=connection)

        writing.also(also)
        writing.publish(f"import {summary.import_id}: {', '.join(summary.files)[:200]}")
        return published


def _with_loaded(summary: ImportSummary, loaded: Loaded, unknown: dict[str, int]) -> ImportSummary:
    notes = summary.notes
    if loaded.mixed_currencies:
        notes += (
            Text(
                f"{loaded.mixed_currencies} orders have lines in several currencies",
                f"{loaded.mixed_currencies} 个订单含多种货币",
            ),
        )
    return replace(
        summary, orders=loaded.orders, orders_replaced=loaded.replaced, orders_unchanged=loaded.unchanged,
        events=loaded.events, items=loaded.items, people=loaded.people, keys=dict(loaded.joined.usable),
        keys_unusable={kind: count for kind, count in loaded.joined.unusable.items() if count},
        people_joined=loaded.joined.merges, unknown_events=unknown, notes=notes,
    )  # fmt: skip


def _first_refused(session: Session) -> str:
    lines = []
    for row in session.run(queries.FIRST_REFUSED).to_pylist():
        place = f"{row['file']}, line {row['line']}"
        value = "" if row["value"] is None else f": {row['value'][:80]!r}"
        lines.append(f"  {place}: {row['field'] or 'row'}{value} ({REASONS[row['reason']].en})")
    return "\n".join(lines)
