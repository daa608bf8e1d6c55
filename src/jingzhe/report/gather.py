"""Runs the report's queries and puts their answers together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

from jingzhe.core.text import Text
from jingzhe.report import queries
from jingzhe.report.contents import (
    DayGap,
    EdgePerson,
    EdgeWeek,
    Frame,
    Move,
    Quality,
    QuietTier,
    Rejected,
    ReportData,
    RfmCell,
    RfmClass,
    SilenceBin,
    Stake,
    StateCount,
    Totals,
)
from jingzhe.report.names import ABSENT, GROUPS, RFM_CLASSES, SILENCE_BINS, STATES, TIERS
from jingzhe.report.phrasing import same
from jingzhe.store.engine import Session
from jingzhe.store.query import Query

_LAST_WEEK = 12
"""Weeks after the report's day that stand alone; later ones are counted in it."""


def collect_data(session: Session, frame: Frame, written: Callable[[str], str] = str) -> ReportData:
    """Computes a report's contents.

    Args:
        session: ``people``, ``scores``, ``person_days``, ``identities`` and ``quarantine`` are readable in it
            (empty where there is nothing), and ``people_before`` (``person_id, state``)
            if ``frame.before`` is set.
        frame: what the tables do not say.
        written: returns a customer's key as a file wrote it, where the lake has a hash of it.

    Returns:
        the contents, aggregated.

    Raises:
        EngineError: a relation or a column is missing; names the query.
    """
    session.keep(queries.PEOPLE, {"as_of": frame.as_of, "year_start": frame.as_of - timedelta(days=365)})
    try:
        return _Reader(session, frame, written).data()
    finally:
        session.drop(queries.PEOPLE.name)


class _Reader:
    """The queries of one report."""

    def __init__(self, session: Session, frame: Frame, written: Callable[[str], str]) -> None:
        self._session = session
        self._frame = frame
        self._written = written
        self._values = {
            "as_of": frame.as_of,
            "day_after": frame.as_of + timedelta(days=1),
            "top": frame.top,
            "decline_ratio": frame.decline_ratio,
        }

    def _rows(self, query: Query) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._session.run(query, self._values).to_pylist()
        return rows

    def data(self) -> ReportData:
        """Returns the whole report."""
        day_row = self._rows(queries.DAYS)[0]
        moves = self._moves()
        return ReportData(
            frame=self._frame,
            totals=Totals(
                **self._rows(queries.TOTALS)[0], first_day=day_row["first_day"], last_day=day_row["last_day"]
            ),
            states=self._states(moves),
            moves=moves,
            stakes=tuple(
                Stake(row["quiet_group"], row["people"], row["spend_year"], row["expected_value"])
                for row in _ordered(self._rows(queries.STAKES), "quiet_group", GROUPS)
            ),
            rfm_classes=tuple(
                RfmClass(row["rfm_class"], row["people"], row["spend"])
                for row in _ordered(self._rows(queries.RFM_CLASSES), "rfm_class", RFM_CLASSES)
            ),
            rfm_cells=tuple(
                RfmCell(row["r_score"], row["f_score"], row["people"], row["spend"])
                for row in self._rows(queries.RFM_CELLS)
            ),
            tiers=self._tiers(),
            edge=tuple(self._edge_person(row) for row in self._rows(queries.EDGE)),
            edge_weeks=self._edge_weeks(),
            silence=tuple(
                SilenceBin(row["bin"], row["state"], row["people"])
                for row in _ordered(self._rows(queries.SILENCE), "bin", SILENCE_BINS)
            ),
            quality=self._quality(day_row),
        )

    def _moves(self) -> tuple[Move, ...]:
        if self._frame.before is None:
            return ()
        rows = self._rows(queries.MOVES)
        return tuple(Move(row["before"], row["now"], row["people"]) for row in rows)

    def _states(self, moves: tuple[Move, ...]) -> tuple[StateCount, ...]:
        found = {row["state"]: row for row in self._rows(queries.STATES)}
        earlier = {state: sum(m.people for m in moves if m.before == state) for state in STATES}
        return tuple(
            StateCount(
                state=state,
                people=found[state]["people"] if state in found else 0,
                spend_year=found[state]["spend_year"] if state in found else 0.0,
                expected_value=found[state]["expected_value"] if state in found else None,
                people_before=earlier[state] if any(m.before != ABSENT for m in moves) else None,
            )
            for state in STATES
            if state in found or earlier[state]
        )

    def _tiers(self) -> tuple[QuietTier, ...]:
        rows = _ordered(self._rows(queries.TIERS), "value_tier", TIERS)
        tiers = tuple(QuietTier(tier=row.pop("value_tier"), **row) for row in rows)
        return tuple(sorted(tiers, key=lambda tier: tier.state))

    def _edge_person(self, row: dict[str, Any]) -> EdgePerson:
        key = self._written(row["source_key"] or "")
        return EdgePerson(
            person_id=row["edge_person"],
            key=masked(key) if key and self._frame.mask_keys else key,
            state=row["edge_state"],
            tier=row["edge_tier"] or "",
            last_order=row["last_order"],
            silence_days=row["silence_days"],
            p_return=row["edge_p_return"],
            dormant_on=row["edge_dormant_on"],
            spend_year=row["spend_year"],
            expected_value=row["edge_value"] or 0.0,
            evidence=Text(row["evidence_en"], row["evidence_zh"]),
        )

    def _edge_weeks(self) -> tuple[EdgeWeek, ...]:
        weeks: dict[int, tuple[int, float]] = {}
        for row in self._rows(queries.EDGE_WEEKS):
            week = min(row["week"], _LAST_WEEK)
            people, spend = weeks.get(week, (0, 0.0))
            weeks[week] = (people + row["people"], spend + row["spend_year"])
        if not weeks:
            return ()
        start = self._frame.as_of + timedelta(days=1)
        return tuple(
            EdgeWeek(start + timedelta(days=7 * week), *weeks.get(week, (0, 0.0))) for week in range(max(weeks) + 1)
        )

    def _quality(self, day_row: dict[str, Any]) -> Quality:
        names = self._frame.reason_names
        first: date | None = day_row["first_day"]
        gap = None
        if day_row["gap_after"] is not None and day_row["widest"] > 1:
            after: date = day_row["gap_after"]
            gap = DayGap(after + timedelta(days=1), after + timedelta(days=day_row["widest"] - 1))
        return Quality(
            imports=self._frame.imports,
            rejected=tuple(
                Rejected(_reason(names.get(row["reason"]), row["reason"]), row["field"], row["rows_refused"])
                for row in self._rows(queries.REJECTED)
            ),
            days_with_orders=day_row["days_with_orders"],
            days_in_range=(self._frame.as_of - first).days + 1 if first else 0,
            longest_gap=gap,
        )


def _reason(known: Text | None, code: str) -> Text:
    return known or same(code)


def _ordered(rows: Iterable[dict[str, Any]], column: str, order: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns the rows in the order in which ``order`` names the values of ``column``."""
    known = [row for row in rows if row[column] in order]
    return sorted(known, key=lambda row: order.index(row[column]))


def masked(key: str) -> str:
    """Returns a customer key with its middle hidden, and its length with it.

    >>> masked("13800138000")
    '13•••00'
    >>> masked("2469")
    '2•••9'
    >>> masked("abc")
    '•••'
    """
    shown = min(3, len(key) // 4)
    return f"{key[:shown]}•••{key[-shown:]}" if shown else "•••"
