"""The workspace: one project's data and everything that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from jingzhe.app import models as fitted
from jingzhe.app import outcome
from jingzhe.app.customers import Customers
from jingzhe.app.finding import known_by
from jingzhe.app.hiding import hide_filed
from jingzhe.app.made_files import placed
from jingzhe.app.models import Basis
from jingzhe.app.reporting import Asked, report_data
from jingzhe.app.views import View, past_view, stored_view
from jingzhe.app.wiring import warehouse
from jingzhe.collect.databases import SqlSource
from jingzhe.collect.importing import import_orders
from jingzhe.collect.presets import Preset, presets, save_preset
from jingzhe.collect.quarantine import export_quarantined, imports, quarantined
from jingzhe.collect.report import ImportSummary
from jingzhe.consent.minding import Mind
from jingzhe.core.clock import Clock, SystemClock
from jingzhe.core.errors import NoDataError
from jingzhe.core.progress import Progress, Silent
from jingzhe.core.settings import Settings, load
from jingzhe.core.text import Text
from jingzhe.dormancy.backtest import Backtest, backtest
from jingzhe.dormancy.scoring import Models
from jingzhe.identity.overrides import any_touched
from jingzhe.profile import rfm
from jingzhe.profile.movement import movement
from jingzhe.profile.packs import StatePack
from jingzhe.profile.packs import pack as pack_named
from jingzhe.profile.refresh import DOCUMENT as REFRESH
from jingzhe.profile.refresh import Refreshed, default_as_of, refresh
from jingzhe.report import headlines, write_report
from jingzhe.store.lake.compact import Compacted, compact
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse

UNDO_DAYS = 30.0
"""Merges of people stand beside the facts, not in them, for so long."""


def open_workspace(home: str | Path | None = None, *, clock: Clock | None = None, **settings: Any) -> Workspace:
    """Opens a project; creates it where there is none.

    Args:
        home: folder of the project; None: ``JINGZHE_HOME`` or ``jingzhe-data``.
        clock: what time it is; None: the machine's.
        settings: values that win over the project's file and the environment, such as ``timezone="Asia/Shanghai"``.

    Returns:
        the workspace; close it, or use it as a context manager.

    Raises:
        SettingError: a setting cannot be used.
        StateError: the state store cannot be reached, or is of a newer version than this software.
    """
    found = load(home, **settings)
    return Workspace(found, warehouse(found, clock or SystemClock()))


class Reported(NamedTuple):
    """What a report wrote: the page, pictures of its charts, and its most telling lines."""

    page: Path
    charts: tuple[Path, ...]
    headlines: tuple[Text, ...]


@dataclass
class Workspace:
    """One project.

    Every question takes ``as_of``: a day at whose end the answer holds and after which nothing is looked at. None
    means today, or the last day of the data where they end earlier.

    Args:
        settings: of the project.
        warehouse: its stores.
        progress: told about long work.
    """

    settings: Settings
    warehouse: Warehouse
    progress: Progress = field(default_factory=Silent)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the stores."""
        self.warehouse.state.close()
        self.warehouse.engine.close()

    @property
    def pack(self) -> StatePack:
        """Returns the thresholds of the states."""
        return pack_named(self.settings.industry, **self.settings.states)

    @property
    def basis(self) -> Basis:
        """Returns what profiles and models stand on."""
        own = self.settings
        return Basis(own.timezone, self.pack, own.rfm_method, own.rfm_thresholds)

    # ---- bringing data

    def import_(self, source: str | Path | SqlSource | None, **wishes: Any) -> ImportSummary:
        """Imports orders or events, whole or not at all; see :func:`jingzhe.collect.importing.import_orders`.

        Args:
            source: a file, a folder, a pattern, or a query; None for a preset that brings its own data.
            wishes: mapping, preset, source_name, strict, encoding, delimiter, sheet … as there.

        Returns:
            what was understood and done.

        Raises:
            ImportRefusedError: a file cannot be read or understood, holds no good row, or ``strict`` refused a row.
            BusyError: another process is writing and did not finish in time.
        """
        wishes.setdefault("timezone", self.settings.timezone)
        wishes.setdefault("currency", self.settings.currency or None)
        minding, graph = Mind(self.warehouse.state), Customers(self.warehouse)
        hide_filed(self.warehouse)
        done = import_orders(self.warehouse, source, progress=self.progress, minding=minding, graph=graph, **wishes)
        graph.adopt_if_used()
        return done

    def adopt(self) -> int:
        """Lets the identity graph know the customers of imported files, who keep their numbers; returns how many.

        Live events and imports into a project that has some do this by themselves; whoever merges people by hand, or
        links lists, in a project of files alone calls it first.
        """
        return Customers(self.warehouse).adopt()

    def imports(self) -> list[ImportSummary]:
        """Returns what every import did, the latest first."""
        return imports(self.warehouse.state)

    def quarantine(self, *, import_id: str | None = None, reason: str | None = None) -> pa.Table:
        """Returns the rows that were refused, with file, line, field, value and reason."""
        return quarantined(self.warehouse, import_id=import_id or "", reason=reason or "")

    def export_quarantine(self, path: str | Path, *, import_id: str | None = None, reason: str | None = None) -> int:
        """Writes refused rows as they stood in the file, to be mended and imported again; returns their number."""
        return export_quarantined(self.warehouse, path, import_id=import_id or "", reason=reason or "")

    def presets(self) -> list[Preset]:
        """Returns the mappings that ship or were saved."""
        return presets(self.warehouse.state)

    def save_preset(self, name: str, summary: ImportSummary) -> None:
        """Keeps the mapping of an import under a name, for files of the same kind.

        Args:
            name: what to call it.
            summary: what the import did; the mapping of its first file is kept.
        """
        report = summary.mappings[0]
        doc = Text(f"Saved from {report.file}", f"取自 {report.file}")
        save_preset(self.warehouse.state, Preset(name, doc, report.columns))

    # ---- keeping current

    def refresh(self, *, as_of: date | None = None, full: bool = False) -> Refreshed:
        """Brings person-days, profiles and states up to date; see :func:`jingzhe.profile.refresh.refresh`."""
        known = fitted.latest(self.warehouse)
        how = fitted.recipe(self.basis, known.models if known else None)
        return refresh(self.warehouse, how, as_of=as_of, full=full, progress=self.progress)

    def awaits_refresh(self) -> bool:
        """Tells whether somebody was merged, or split off, whom the profiles do not follow yet."""
        return any_touched(self.warehouse.state)

    def train(self, *, as_of: date | None = None, horizon_days: int | None = None) -> Models:
        """Fits all models on what was known at the end of ``as_of`` and keeps them.

        Args:
            as_of: the day.
            horizon_days: horizon of the probabilities, days; None: the pack's.

        Raises:
            NoDataError: nobody had bought by then.
            ModelError: the horizon is not positive, or no model can be fitted.
        """
        day = as_of or default_as_of(self.warehouse, self.settings.timezone)
        if self._refreshed_as_of() is None:
            self.refresh(as_of=day)
        return fitted.train_models(
            self.warehouse, self.pack, day, horizon_days or self.pack.horizon_days, self.progress
        ).models

    def update(self, *, horizon_days: int | None = None) -> date:
        """Brings everything up to date: profiles, models where they are missing or old, scores; returns the day.

        Args:
            horizon_days: horizon of the probabilities; None: that of the models, the pack's at first.

        Raises:
            NoDataError: there are no events, or nobody has bought.
        """
        day = default_as_of(self.warehouse, self.settings.timezone)
        self.refresh(as_of=day)
        known = fitted.latest(self.warehouse)
        horizon = horizon_days or (known.models.horizon_days if known else self.pack.horizon_days)
        if (
            known is None
            or known.models.horizon_days != horizon
            or not timedelta(0) <= day - known.models.as_of <= fitted.STALE_AFTER
        ):
            known = fitted.train_models(self.warehouse, self.pack, day, horizon, self.progress)
            self.refresh(as_of=day)
        publication = self.warehouse.state.latest()
        profiles = publication.tables["profiles"] if publication else -1
        wanted = fitted.Scored(day, profiles, known.version, horizon)
        if fitted.scored(self.warehouse) != wanted:
            fitted.score_everybody(self.warehouse, known, self.pack, day, self.progress)
        return day

    def _refreshed_as_of(self) -> date | None:
        document = self.warehouse.state.document(*REFRESH)
        return date.fromisoformat(document.body["as_of"]) if document else None

    # ---- asking

    @contextmanager
    def view(self, as_of: date | None = None, *, horizon_days: int | None = None) -> Iterator[View]:
        """Opens a session in which profiles, scores and people are as of a day.

        Args:
            as_of: the day; None: brings everything up to date and takes its day.
            horizon_days: horizon of the probabilities.
        """
        last = default_as_of(self.warehouse, self.settings.timezone)
        if as_of is None or as_of == last:
            day = self.update(horizon_days=horizon_days)
            known = fitted.latest(self.warehouse)
            if known is None:
                raise NoDataError("There are no models", as_of=day)
            with stored_view(self.warehouse, known.models, day, self.basis) as view:
                yield view
            return
        horizon = horizon_days or self.pack.horizon_days
        with past_view(self.warehouse, as_of, horizon, self.basis, self.progress) as view:
            yield view

    def people(self, *, as_of: date | None = None, personal: bool = False) -> pa.Table:
        """Returns everybody: profile, state, RFM class and scores, with the keys the sources know them by.

        Args:
            as_of: the day.
            personal: True to show telephone numbers and e-mail addresses by which files name customers; else hashes.
        """
        with self.view(as_of) as view:
            return self._shown(view.session.run(outcome.PEOPLE), personal=personal)

    def _shown(self, rows: pa.Table, *, personal: bool) -> pa.Table:
        return outcome.with_written_keys(self.warehouse.state, rows) if personal else rows

    def hidden_in(self, rows: pa.Table) -> int:
        """Returns how many of some people stand under a hash in the column ``customer_id``."""
        return outcome.hidden_keys(rows)

    def person(self, key: str, *, as_of: date | None = None, personal: bool = False) -> dict[str, Any]:
        """Returns one person by a key of the source.

        Args:
            key: as the source writes it, or as a list shows it.
            as_of: the day.
            personal: True to show a telephone number or e-mail address by which files name the customer; else a hash.

        Raises:
            NoDataError: nobody is known by that key.
        """
        with self.view(as_of) as view:
            sought = pa.array(sorted(known_by(self.warehouse, key)), pa.int64())
            view.session.offer("sought", pa.table({"person_id": sought}))
            rows = self._shown(view.session.run(outcome.PERSON), personal=personal).to_pylist()
        if not rows:
            raise NoDataError(f"Nobody is known as {key!r}", hint="Keys are written as in the imported file.")
        row: dict[str, Any] = rows[0]
        return row

    def states(self, *, as_of: date | None = None, before: date | None = None) -> pa.Table:
        """Returns how many people stand in each state; with ``before`` how they moved since that day."""
        with self.view(as_of) as view:
            if before is None:
                return view.session.run(outcome.STATES)
            view.keep_people_before(before)
            return movement(view.session)

    def rfm(self, *, as_of: date | None = None, before: date | None = None) -> pa.Table:
        """Returns the eight RFM classes; with ``before`` how people moved between them since that day."""
        with self.view(as_of) as view:
            if before is None:
                return view.session.run(outcome.CLASSES)
            view.keep_people_before(before)
            return rfm.migration(view.session)

    def dormant(
        self,
        *,
        top: int | None = 1000,
        as_of: date | None = None,
        states: tuple[str, ...] = ("dormant", "declining"),
        tiers: tuple[str, ...] = ("high", "middle", "low"),
        personal: bool = False,
    ) -> pa.Table:
        """Returns the list to act on: who has gone quiet or is about to, the most valuable first, and why.

        Args:
            top: at most this many people; None for all.
            as_of: the day.
            states: which states.
            tiers: which value tiers.
            personal: True to show telephone numbers and e-mail addresses by which files name customers; else hashes.

        Returns:
            one row a person, with the columns of :data:`jingzhe.app.outcome.LIST_COLUMNS`.
        """
        with self.view(as_of) as view:
            return self._shown(outcome.listed(view, top=top, states=states, tiers=tiers), personal=personal)

    def backtest(self, cut: date, horizon_days: int | None = None) -> Backtest:
        """Trains as of ``cut`` and judges every model and baseline on the days after it.

        Args:
            cut: last day that the models see.
            horizon_days: days after it in which a purchase counts as a return.

        Raises:
            NoDataError: the data do not reach far enough; says which days they have.
        """
        with self.warehouse.reading() as session:
            return backtest(session, cut, horizon_days or self.pack.horizon_days, self.pack, progress=self.progress)

    def report(
        self,
        out: str | Path,
        *,
        charts_folder: str | Path | None = None,
        as_of: date | None = None,
        before: date | None = None,
        project: str | None = None,
    ) -> Reported:
        """Writes one bilingual page that a manager can read, and PNGs of its charts where asked.

        Args:
            out: the page.
            charts_folder: where the pictures go; None: none.
            as_of: the day.
            before: earlier day to compare with; None: 90 days before.
            project: name of the business; None: the name of the project's folder.
        """

        def make(part: Path) -> Reported:
            with self.view(as_of) as view:
                asked = Asked(view.as_of, before, project)
                data = report_data(view, self.warehouse, self.settings, asked, self.progress)
            written = write_report(data, part, charts_folder, self.settings.language)
            return Reported(Path(out), written.charts, headlines(data))

        return placed(self.warehouse, Path(out), make)

    def compact(
        self,
        *,
        keep_hours: float = 168,
        undo_days: float = UNDO_DAYS,
        between: Callable[[], object] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> Compacted:
        """Sorts the lake by person, folds overlays, corrections and merges in, removes files nobody needs any more.

        Others read and write meanwhile.

        Args:
            keep_hours: keep files that publications younger than this need, hours.
            undo_days: merges of people that are younger are not folded into the facts: undone, they give everybody
                their own facts back.
            between: called after each table.
            stopping: tells whether to stop; asked about once a second.

        Returns:
            what was done.

        Raises:
            BusyError: another process is compacting and did not finish in time, or this one was stopped.
        """
        document = self.warehouse.state.document(*REFRESH)
        through = int(document.body["through_batch"]) if document else 0
        before = self.warehouse.clock.now() - timedelta(days=undo_days)
        hide_filed(self.warehouse)
        done = compact(
            self.warehouse, keep_after_batch=through, moved_before=before, progress=self.progress,
            between=between, stopping=stopping,
        )  # fmt: skip
        return replace(done, files_removed=len(vacuum(self.warehouse, keep_hours=keep_hours)))

    def sql(self, query: str, **values: Any) -> pa.Table:
        """Returns the rows of a SELECT over the lake's tables, with ``$name`` bound to ``values``.

        The session is sealed: it can read the lake's tables and nothing else of this machine.
        """
        with self.warehouse.reading(sealed=True) as session:
            return session.run(one("query", query), values)

    def rows(self) -> Mapping[str, int]:
        """Returns how many rows each table has, from the log alone."""
        publication = self.warehouse.state.latest()
        if publication is None:
            raise NoDataError("Nothing has been imported yet", hint="Import a file first: jingzhe import orders.csv")
        lake = self.warehouse.lake
        return {
            table.name: sum(lake.rows(table, publication.tables.get(table.name))) for table in self.warehouse.catalogue
        }
