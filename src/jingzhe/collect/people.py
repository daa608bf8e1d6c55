"""Which person a customer's key belongs to: known ones keep their number, new ones get the next."""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jingzhe.collect.customer_queries import (
    KNOWN,
    KNOWN_TO_GRAPH,
    LAST_PERSON,
    NEW_PEOPLE,
    PEOPLE,
    SEEN,
    SEEN_CUSTOMERS,
)
from jingzhe.store.query import Step
from jingzhe.store.state import counting
from jingzhe.store.warehouse import Writing

CUSTOMER = "customer"
"""The kind of key under which customers of files are known."""


class Graph(Protocol):
    """The seam to identity: what an import asks. This part does not know how people are told apart."""

    def is_used(self) -> bool:
        """Tells whether the identity graph knows anybody; else the lake's own numbers hold."""
        ...

    def check(self, kind: str) -> None:
        """Raises a SettingError or an IdentityError where keys of a kind cannot say who somebody is."""
        ...

    def homes(self, kind: str, customers: pa.Array) -> NDArray[Any]:
        """Returns under whom the facts of customers are filed, 0 where the graph does not know one.

        Args:
            kind: of their keys.
            customers: the keys, as the file writes them.
        """
        ...


def number_people(writing: Writing, good_rows: Step, kind: str, graph: Graph | None = None) -> int:
    """Keeps the steps ``people`` and ``new_people``; returns how many are new.

    Args:
        writing: the write under way.
        good_rows: the rows whose customers are meant.
        kind: the kind of key.
        graph: says whose a key is, where it knows; None where nobody does.
    """
    session, state = writing.session, writing.warehouse.state
    values = {"kind": kind}
    seen = session.keep(Step(SEEN.name, f"WITH {good_rows.name} AS ({good_rows.sql}) {SEEN.sql}"))
    if graph is not None and graph.is_used():
        customers = session.run(SEEN_CUSTOMERS)["customer"].combine_chunks()
        found = pa.table({"customer": customers, "person_id": pa.array(graph.homes(kind, customers), pa.int64())})
        session.offer("graph_people", found.filter(pc.greater(found["person_id"], 0)))
        known = session.keep(KNOWN_TO_GRAPH, values)
        session.drop("graph_people")
    else:
        known = session.keep(KNOWN, values)
    in_lake = session.run(LAST_PERSON)["person_id"][0].as_py()
    # Live events and decisions by hand number people as well, at the same time.
    with state.writing() as connection:
        last = counting.reserve(connection, counting.PEOPLE, seen - known, above=in_lake)
    new = session.keep(NEW_PEOPLE, {"last_person": last})
    session.keep(PEOPLE)
    session.drop(SEEN.name, KNOWN.name)
    return new
