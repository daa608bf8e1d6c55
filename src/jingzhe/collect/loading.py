"""From kept rows to the tables of facts, within one write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from jingzhe.collect import queries
from jingzhe.collect.activities import table_of
from jingzhe.collect.customer_queries import IDENTITY_ROWS, IDENTITY_ROWS_OF_GRAPH
from jingzhe.collect.met_keys import MetKeys
from jingzhe.collect.people import NOBODY, Graph, Joined, number_people
from jingzhe.core.errors import EngineError
from jingzhe.core.progress import Progress
from jingzhe.store.facts import EVENTS, IDENTITIES, ITEMS, RETRACTIONS
from jingzhe.store.query import Query, Step
from jingzhe.store.state.graph_notes import leave_unadopted
from jingzhe.store.warehouse import Writing


@dataclass
class Loaded:
    """What loading did; see :class:`jingzhe.collect.report.ImportSummary`."""

    people: int = 0
    orders: int = 0
    replaced: int = 0
    unchanged: int = 0
    events: int = 0
    items: int = 0
    mixed_currencies: int = 0
    joined: Joined = NOBODY


@dataclass(frozen=True)
class Load:
    """One load of kept rows.

    Args:
        writing: the write under way.
        present: columns that the kept rows have.
        source: the source that the facts carry.
        currency: of rows that name none; None where unknown.
        received_at: when the facts became known.
        kind: kind of the customers' keys.
        activities: activities by name of event, in lower case.
        progress: is told.
        graph: says whose a customer's key is, where it knows; None where nobody does.
        met: further keys of the customers; None where the files have none.
    """

    writing: Writing
    present: tuple[str, ...]
    source: str
    currency: str | None
    received_at: datetime
    kind: str
    activities: Mapping[str, str]
    progress: Progress
    graph: Graph | None = None
    met: MetKeys | None = None

    @property
    def _events(self) -> bool:
        return "event_name" in self.present

    @property
    def _values(self) -> dict[str, Any]:
        return {
            "batch": self.writing.batch, "source": self.source, "currency": self.currency, "kind": self.kind,
            "received_at": self.received_at,
        }  # fmt: skip

    @property
    def _has_items(self) -> bool:
        return bool({"product_id", "category"} & set(self.present))

    def run(self, rows: int, facts: int, with_order: int) -> tuple[Loaded, dict[str, int]]:
        """Writes and stages everything that is new.

        Args:
            rows: good rows.
            facts: those of them that are facts; the others are people, of whom nothing happened.
            with_order: kept rows that have an order number.

        Returns:
            what was done, and the names of events that no activity is known for.
        """
        session, loaded = self.writing.session, Loaded()
        everybody = queries.good_rows(self.present)
        good = everybody if facts == rows else queries.good_rows(self.present, facts_only=True)
        unknown: dict[str, int] = {}
        if self._events:
            names = {row["name"]: row["rows"] for row in session.run(queries.EVENT_NAMES).to_pylist()}
            table, unknown = table_of(names, self.activities)
            session.offer("activity_of", table)
        self.progress.stage("customers", rows)
        numbered = number_people(self.writing, everybody, self.kind, self.graph, self.met)
        loaded.joined, loaded.people = numbered.joined, numbered.by_lake + numbered.joined.new_people
        known = bool(session.run(queries.HAS_SOURCE, self._values)["events"][0].as_py())
        if with_order:
            self._orders(good, loaded, known=known)
        if with_order < facts:
            self._singles(good, loaded)
        if loaded.events or loaded.replaced or facts < rows:
            self._list(numbered.by_lake)
        return loaded, unknown

    def _list(self, unknown_to_graph: int) -> None:
        """Lists the customers who are new to the lake; the graph takes over those who have new numbers."""
        if self.graph is not None and self.graph.is_used():
            self.writing.append(IDENTITIES, IDENTITY_ROWS_OF_GRAPH, self._values)
        elif unknown_to_graph:
            self.writing.append(IDENTITIES, IDENTITY_ROWS, self._values)
        if unknown_to_graph:
            self.writing.also(partial(leave_unadopted, self.writing.warehouse.state, batch=self.writing.batch))

    def _orders(self, good: Step, loaded: Loaded, *, known: bool) -> None:
        session, values = self.writing.session, self._values
        lines = queries.order_lines(events=self._events)
        self.progress.stage("orders", None)
        self._keep(queries.orders(self.present), (good, lines))
        check = session.run(queries.ORDER_CHECK).to_pylist()[0]
        if check["glued"]:
            raise EngineError(
                "Two orders got the same number of an event", hint="Import again: the number is made anew."
            )
        loaded.mixed_currencies = check["mixed"]
        changed_only = known and self._overlap(good, lines, loaded)
        orders = queries.ORDERS
        if changed_only:
            self._keep(queries.NEW_ORDERS)
            orders = queries.NEW_ORDERS.name
        loaded.events += self.writing.append(EVENTS, queries.event_rows(orders, events=self._events), values)
        if changed_only or check["back"]:
            counted = queries.ADDED_ORDERS if changed_only else queries.order_count(orders)
            loaded.orders = session.run(counted)["orders"][0].as_py()
        else:
            loaded.orders = check["events"]
        if self._has_items:
            self.progress.stage("lines", None)
            if check["spread"]:
                self._keep(queries.SPREAD)
            rows = queries.item_rows(lines, changed_only=changed_only, spread=bool(check["spread"]))
            loaded.items += self.writing.append(ITEMS, Query(rows.name, (good, *rows.steps)), values)

    def _overlap(self, good: Step, lines: Step, loaded: Loaded) -> bool:
        """Finds orders that are known, and retracts those that changed; tells whether there are any."""
        session, values = self.writing.session, self._values
        if not self._keep(queries.KNOWN_ORDERS):
            return False
        self.progress.stage("compare with earlier imports", None)
        self._keep(queries.unchanged_orders(events=self._events), (good, lines))
        self._keep(queries.REPLACED)
        found = session.run(queries.OVERLAP).to_pylist()[0]
        loaded.replaced, loaded.unchanged = found["replaced"], found["unchanged"]
        if loaded.replaced:
            self.writing.append(RETRACTIONS, queries.RETRACTION_ROWS, values)
        return True

    def _singles(self, good: Step, loaded: Loaded) -> None:
        session, values = self.writing.session, self._values
        self.progress.stage("rows without an order number", None)
        self._keep(queries.SINGLES, (good,))
        known = queries.known_singles(events=self._events)
        self._keep(known)
        self._keep(queries.NEW_SINGLES)
        check = session.run(queries.SINGLES_CHECK).to_pylist()[0]
        if check["glued"]:
            raise EngineError("Two rows got the same number of an event", hint="Import again: the number is made anew.")
        total = session.run(queries.SINGLES_TOTAL)["rows"][0].as_py() or 0
        loaded.unchanged += total - check["rows"]
        loaded.orders += check["rows"]
        if check["rows"]:
            loaded.events += self.writing.append(EVENTS, queries.single_event_rows(events=self._events), values)
            if self._has_items:
                loaded.items += self.writing.append(ITEMS, queries.SINGLE_ITEM_ROWS, values)

    def _keep(self, step: Step, before: tuple[Step, ...] = ()) -> int:
        head = ", ".join(f"{one.name} AS ({one.sql})" for one in before)
        sql = f"WITH {head} {step.sql}" if before else step.sql
        return self.writing.session.keep(Step(step.name, sql), self._values)
