"""Which person a customer's key belongs to: known ones keep their number, new ones get the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.customer_queries import (
    KNOWN,
    KNOWN_TO_GRAPH,
    LAST_PERSON,
    NEW_PEOPLE,
    PEOPLE,
    SEEN,
    SEEN_CUSTOMERS,
)
from jingzhe.collect.met_keys import MetKeys
from jingzhe.store.query import Step
from jingzhe.store.state import counting
from jingzhe.store.warehouse import Writing

CUSTOMER = "customer"
"""The kind of key under which customers of files are known."""


@dataclass(frozen=True)
class Filed:
    """Customers' keys of a personal kind as the lake has them.

    Args:
        customers: the keys, hashed and marked as such, in the order in which they were asked for.
        keep: keeps what the file wrote, sealed, within the transaction that publishes.
    """

    customers: pa.Array
    keep: Callable[[Connection], object]


class Graph(Protocol):
    """The seam to identity: what an import asks. This part does not know how people are told apart."""

    def is_used(self) -> bool:
        """Tells whether the identity graph knows anybody; else the lake's own numbers hold."""
        ...

    def check(self, kind: str, further: Sequence[str] = ()) -> None:
        """Raises a SettingError or an IdentityError where keys of a kind cannot say who somebody is.

        Args:
            kind: of the customers' keys.
            further: kinds of further keys of the customers.
        """
        ...

    def may_guess(self, kind: str, further: Set[str]) -> Set[str]:
        """Returns those kinds of ``further`` that there are and that the customers' own keys are not."""
        ...

    def is_personal(self, kind: str) -> bool:
        """Tells whether the lake has keys of a kind as hashes only."""
        ...

    def filed(self, kind: str, customers: pa.Array) -> Filed:
        """Returns customers' keys of a personal kind as the lake has them.

        Args:
            kind: of the keys.
            customers: the keys, as the file writes them; each once, in the order of the rows.
        """
        ...

    def homes(self, kind: str, customers: pa.Array) -> NDArray[Any]:
        """Returns under whom the facts of customers are filed, 0 where the graph does not know one.

        Args:
            kind: of their keys.
            customers: the keys, as the lake has them.
        """
        ...

    def join(self, kind: str, met: MetKeys, above: int) -> Joined:
        """Joins customers by their further keys, as far as the rules allow.

        Args:
            kind: of the customers' keys.
            met: the keys that stand in one row.
            above: new people are numbered above this one.
        """
        ...


@dataclass(frozen=True)
class Joined:
    """Who the customers of an import are by the identity graph, and what further keys did.

    Args:
        customers: their keys, each once.
        homes: under whom the facts of each are filed; 0 where the key stands for nobody.
        new_people: how many were not known.
        merges: how many people were taken over by another.
        usable: further keys that could be used, by kind.
        unusable: those that stand for none, by kind.
    """

    customers: pa.Array
    homes: NDArray[Any]
    new_people: int = 0
    merges: int = 0
    usable: Mapping[str, int] = field(default_factory=dict)
    unusable: Mapping[str, int] = field(default_factory=dict)


NOBODY = Joined(pa.array([], pa.string()), np.empty(0, np.int64))


@dataclass(frozen=True)
class Numbered:
    """What numbering did.

    Args:
        by_lake: how many new people the graph does not know.
        joined: what the graph said.
    """

    by_lake: int
    joined: Joined


def number_people(
    writing: Writing, good_rows: Step, kind: str, graph: Graph | None = None, met: MetKeys | None = None
) -> Numbered:
    """Keeps the steps ``people`` and ``new_people``; returns how many are new.

    Args:
        writing: the write under way.
        good_rows: the rows whose customers are meant.
        kind: the kind of key.
        graph: says whose a key is, where it knows; None where nobody does.
        met: further keys of the customers; None where the rows have none.
    """
    session, state = writing.session, writing.warehouse.state
    values = {"kind": kind}
    seen = session.keep(Step(SEEN.name, f"WITH {good_rows.name} AS ({good_rows.sql}) {SEEN.sql}"))
    in_lake = int(session.run(LAST_PERSON)["person_id"][0].as_py())
    joined = NOBODY
    if graph is not None and met is not None:
        joined = graph.join(kind, met, in_lake)
    if graph is not None and graph.is_used():
        customers = session.run(SEEN_CUSTOMERS)["customer"].combine_chunks().cast(pa.string())
        # Mended rows bring customers of earlier imports, whom these files do not name.
        others = customers.filter(pc.invert(pc.is_in(customers, joined.customers)))
        homes = np.concatenate([joined.homes, graph.homes(kind, others)])
        named = pa.concat_arrays([joined.customers, others])
        found = pa.table({"customer": named, "person_id": pa.array(homes, pa.int64())})
        session.offer("graph_people", found.filter(pc.greater(found["person_id"], 0)))
        known = session.keep(KNOWN_TO_GRAPH, values)
        session.drop("graph_people")
    else:
        known = session.keep(KNOWN, values)
    # Live events and decisions by hand number people as well, at the same time.
    with state.writing() as connection:
        last = counting.reserve(connection, counting.PEOPLE, seen - known, above=in_lake)
    new = session.keep(NEW_PEOPLE, {"last_person": last})
    session.keep(PEOPLE)
    session.drop(SEEN.name, KNOWN.name)
    return Numbered(new, joined)
