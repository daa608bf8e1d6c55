"""Joins the customers of an import by the further keys that its rows show: telephone, e-mail, card.

A row is an observation like a live event: its keys belong to one person, under the same rules. Every customer is first
told by the own key alone, and has a number of their own from then on. Facts are filed under that number; whom a
telephone joins is a merge, so that undoing it gives everybody their facts back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.clock import Clock
from jingzhe.core.errors import SettingError
from jingzhe.identity.adopting import check_kind
from jingzhe.identity.observations import KeyColumn, Observations
from jingzhe.identity.resolving import resolve
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.store.state import State, counting

AT_ONCE = 100_000
"""Rows for one transaction on the graph."""
RULE = "same row of a file"
"""What explanations say of such joins."""


class Column(NamedTuple):
    """Further keys of one kind, null where a row has none."""

    kind: str
    values: pa.Array


@dataclass(frozen=True)
class FileKeys:
    """The keys of an import's rows, in the order in which they count.

    Args:
        kind: kind of the customers' keys; one that joins people.
        customers: the customers' keys, those of personal kinds as the lake has them; one may stand several times.
        columns: further keys by kind, each as long as ``customers``; null where a row has none.
        places: what explanations name: file and line.
    """

    kind: str
    customers: pa.Array
    columns: Sequence[Column]
    places: pa.Array


@dataclass(frozen=True)
class Joined:
    """Who the customers of an import are.

    Args:
        customers: their keys, each once.
        homes: person under whom the facts of each are filed; 0 where the key stands for nobody.
        new_people: how many were not known.
        merges: how many people were taken over by another.
        usable: further keys that could be used, by kind.
        unusable: those that stand for none, by kind.
    """

    customers: pa.Array
    homes: NDArray[np.int64]
    new_people: int
    merges: int
    usable: Mapping[str, int]
    unusable: Mapping[str, int]


def check_kinds(rules: Rules, kind: str, further: Sequence[str]) -> None:
    """Raises where customers' keys, or further ones, cannot be used.

    Args:
        rules: of the project.
        kind: of the customers' keys.
        further: kinds of the further keys.

    Raises:
        IdentityError: strangers may share the customers' keys.
        SettingError: there is no such kind, or the further keys are the customers' own.
    """
    check_kind(rules, kind)
    for one in further:
        rules.kind(one)
        if rules.are_same(one, kind):
            raise SettingError(
                f"The customers' keys are of the kind {one!r} already",
                hint="Name another kind for the further column, or say what the customers' keys are: --id-kind.",
            )


def join_rows(state: State, keys: FileKeys, *, batch_id: str, clock: Clock, above: int = 0) -> Joined:
    """Tells the graph which keys stand in one row; the same again changes nothing.

    Args:
        state: the state store.
        keys: of the rows.
        batch_id: of the import; never the same for two.
        clock: when.
        above: new people are numbered above this one.

    Returns:
        under whom each customer's facts are filed, and what came of it.

    Raises:
        IdentityError: customers' keys of this kind cannot say who somebody is.
        SettingError: there is no such kind of key.
        BusyError: another process held the store for too long.
    """
    rules = load_rules(state)
    check_kinds(rules, keys.kind, [column.kind for column in keys.columns])
    with state.writing() as connection:
        counting.raise_to(connection, counting.PEOPLE, above)
    encoded = keys.customers.dictionary_encode()
    code = encoded.indices.to_numpy()
    # Codes are given in the order of the rows: a customer is new where the code is higher than all before.
    is_first = np.ones(len(code), bool)
    is_first[1:] = code[1:] > np.maximum.accumulate(code)[:-1]
    homes = np.zeros(len(encoded.dictionary), np.int64)
    counts, unusable = Counter[str](), Counter[str]()
    for number, begin in enumerate(range(0, len(code), AT_ONCE)):
        rows = slice(begin, begin + AT_ONCE)
        seen = _observations(keys, rows, is_first[rows], clock)
        told = resolve(state, seen, batch_id=f"{batch_id} {number}", clock=clock, rules=rules, rule=RULE)
        first = code[rows][is_first[rows]]
        homes[first] = told.homes[: len(first)]
        counts.update(new=told.new_people, merges=told.merges)
        unusable.update(told.unusable)
    wrong = {one.kind: unusable[rules.called(one.kind)] for one in keys.columns}
    usable = {one.kind: len(one.values) - one.values.null_count - wrong[one.kind] for one in keys.columns}
    return Joined(encoded.dictionary, homes, counts["new"], counts["merges"], usable, wrong)


def _observations(keys: FileKeys, rows: slice, is_first: NDArray[np.bool_], clock: Clock) -> Observations:
    """Returns some rows as observations: the customers who are met in them for the first time, each alone, go before.

    Args:
        keys: of all rows.
        rows: which.
        is_first: whether each of them names its customer for the first time.
        clock: when.
    """
    customers, further = keys.customers[rows], [one.values[rows] for one in keys.columns]
    filled = np.zeros(len(customers), bool)
    for values in further:
        filled |= values.is_valid().to_numpy(zero_copy_only=False)
    order = pa.array(np.concatenate([np.flatnonzero(is_first), np.flatnonzero(filled)]))
    alone = pa.nulls(int(is_first.sum()), pa.string())
    columns = [KeyColumn(keys.kind, customers.take(order), filed=True)]
    for column, values in zip(keys.columns, further, strict=True):
        columns.append(KeyColumn(column.kind, pa.concat_arrays([alone, values.filter(pa.array(filled))])))
    now = round(clock.now().timestamp() * 1e6)
    return Observations(tuple(columns), np.full(len(order), now), keys.places[rows].take(order).to_pylist())
