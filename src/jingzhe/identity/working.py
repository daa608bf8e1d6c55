"""A batch's work in memory: plain observations at once, the others one by one, people numbered in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jingzhe.identity.components import beside_of, pairs_of, plain, settle
from jingzhe.identity.graph import Graph
from jingzhe.identity.known import Known, Numbers
from jingzhe.identity.noting import Noted
from jingzhe.identity.walking import FirstName, Walk
from jingzhe.store.state.ordering import distinct, first_places, order_of


@dataclass
class Done:
    """What a batch did.

    Args:
        homes: person under whom each observation's facts are filed.
        people: who that is after the batch.
        edges: pairs to note.
        moved: people who were taken over, in order, and who stands for them after the batch, in two columns.
        first: codes of the new keys, and the observation in which each was met.
        changed: codes of the known keys whose row changed, and the observation.
        crowded: codes of keys that became shared, and the observation in which each did.
        named: people who are not anonymous any more, or not themselves.
        unnamed: new people without a joining key.
        last_person: number of the newest person.
    """

    homes: Numbers
    people: Numbers
    edges: Noted
    moved: Numbers
    first: tuple[Numbers, Numbers]
    changed: tuple[Numbers, Numbers]
    crowded: dict[int, int]
    named: list[int]
    unnamed: list[int]
    last_person: int


def work(known: Known, matrix: Numbers, last_person: int, *, one_by_one: bool = False) -> Done:
    """Does a batch's work; the arrays of ``known`` are changed.

    A new person is first called after the observation that founded it, so that both ways of working give names that
    stand in the order of the observations; at the end they get the next free numbers in that order.

    Args:
        known: what is known of the keys.
        matrix: codes of each observation's keys.
        last_person: number of the newest person.
        one_by_one: True to take no short cut.
    """
    first_name = FirstName(last_person + 1, matrix.shape[1] + 1)
    is_plain = np.zeros(len(matrix), bool) if one_by_one else _plain(known, matrix)
    rows, slow = np.flatnonzero(is_plain), np.flatnonzero(~is_plain)
    before = _standing(known, len(slow) > 0)
    quick = settle(known, matrix[rows], rows, first_name)
    homes, people = np.empty((2, len(matrix)), np.int64)
    homes[rows], people[rows] = quick.homes, quick.roots
    walk, moved = _walk(known, matrix, slow, homes, first_name)
    people[slow] = _mapped(homes[slow], before)
    called = _Names(last_person, np.concatenate([quick.founded, np.array(walk.founded, np.int64)]))
    known.person[:] = called.of(known.person)
    edges = called.in_edges(quick.edges.and_then(Noted.of(walk.edges)))
    homes, people = called.of(homes), called.of(people)
    moved = called.of(np.concatenate([quick.moved, moved]))
    moved = moved.take(order_of(moved[:, 0]), axis=0)
    anonymous = walk.graph.anonymous
    unnamed = np.sort(called.of(np.array(list(anonymous), np.int64)))
    return Done(
        homes, _mapped(people, moved), edges, moved,
        _joined(quick.first, walk.first), _joined(quick.changed, walk.changed), walk.crowded,
        sorted(known.anonymous - anonymous), unnamed[unnamed > last_person].tolist(),
        called.last,
    )  # fmt: skip


def _plain(known: Known, matrix: Numbers) -> NDArray[np.bool_]:
    pairs = pairs_of(matrix)
    return plain(known, pairs, beside_of(known, matrix, pairs.anchor))


def _walk(known: Known, matrix: Numbers, slow: Numbers, homes: Numbers, first_name: FirstName) -> tuple[Walk, Numbers]:
    """Takes observations one by one; returns what that did, and who stands for the people that were taken over.

    What they meet is met by no plain observation.
    """
    graph = Graph.of(known) if len(slow) else Graph.empty(known)
    walk = Walk(graph, known.limits, first_name)
    for number, row in zip(slow.tolist(), matrix[slow].tolist(), strict=True):
        homes[number] = walk.observe(tuple(dict.fromkeys(key for key in row if key >= 0)), number)
    if len(slow):
        walk.keep(known)
    moved = [(person, graph.root(person)) for person in {person for person, _ in walk.lost}]
    return walk, np.array(moved, np.int64).reshape(-1, 2)


def _standing(known: Known, wanted: bool) -> Numbers:
    """Returns the people of known keys for whom others stand, in order, and who does, in two columns."""
    moved = np.flatnonzero((known.person != known.root) & wanted)
    moved = moved[first_places(known.person[moved])]
    return np.stack([known.person[moved], known.root[moved]], axis=1)


def _mapped(people: Numbers, moved: Numbers) -> Numbers:
    """Returns who stands for ``people`` by two columns, old ones in order and new ones."""
    if not len(moved):
        return people
    place = np.searchsorted(moved[:, 0], people)
    place[place == len(moved)] = 0
    found: Numbers = np.where(moved[place, 0] == people, moved[place, 1], people)
    return found


class _Names:
    """The final numbers of people: those above ``last`` are numbered anew without gaps.

    Args:
        last: number of the newest person before the batch.
        new: everybody who is newer.
    """

    def __init__(self, last: int, new: Numbers) -> None:
        self._before = last
        ordered = distinct(new)
        self.last = last + len(ordered)
        # By name, as a table: there are few names in a batch, and looking one up in order takes many steps.
        self._final = np.zeros(int(ordered[-1]) - last + 1 if len(ordered) else 1, np.int64)
        self._final[ordered - last] = np.arange(last + 1, self.last + 1)

    def of(self, people: Numbers) -> Numbers:
        """Returns the final numbers of many."""
        is_new = people > self._before
        numbers: Numbers = np.where(is_new, self._final[np.where(is_new, people - self._before, 0)], people)
        return numbers

    def in_edges(self, edges: Noted) -> Noted:
        """Returns edges with final numbers."""
        return replace(edges, person=self.of(edges.person), kept=self.of(edges.kept), lost=self.of(edges.lost))


def _joined(quick: tuple[Numbers, Numbers], walked: dict[int, int]) -> tuple[Numbers, Numbers]:
    if not walked:
        return quick
    codes, rows = np.array(list(walked.items()), np.int64).T
    return np.concatenate([quick[0], codes]), np.concatenate([quick[1], rows])
