"""A batch's work in memory: plain observations at once, the others one by one, people numbered in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jingzhe.identity.components import pairs_of, plain, settle
from jingzhe.identity.known import Known, Numbers, distinct
from jingzhe.identity.walking import NOBODY, EdgeRow, FirstName, Graph, Walk


@dataclass
class Done:
    """What a batch did.

    Args:
        homes: person under whom each observation's facts are filed.
        people: who that is after the batch.
        edges: pairs to note.
        moved: people who were taken over, and who stands for them after the batch.
        first: codes of the new keys, and the observation in which each was met.
        changed: codes of the known keys whose row changed, and the observation.
        crowded: codes of keys that became shared, and the observation in which each did.
        named: people who are not anonymous any more, or not themselves.
        unnamed: new people without a joining key.
        last_person: number of the newest person.
    """

    homes: Numbers
    people: Numbers
    edges: list[EdgeRow]
    moved: list[tuple[int, int]]
    first: tuple[Numbers, Numbers]
    changed: tuple[Numbers, Numbers]
    crowded: dict[int, int]
    named: list[int]
    unnamed: list[int]
    last_person: int


def work(known: Known, matrix: Numbers, last_person: int, rule: str, *, one_by_one: bool = False) -> Done:
    """Does a batch's work; the arrays of ``known`` are changed.

    A new person is first called after the observation that founded it, so that both ways of working give names that
    stand in the order of the observations; at the end they get the next free numbers in that order.

    Args:
        known: what is known of the keys.
        matrix: codes of each observation's keys.
        last_person: number of the newest person.
        rule: what joins are called in explanations.
        one_by_one: True to take no short cut.
    """
    first_name = FirstName(last_person + 1, matrix.shape[1] + 1)
    is_plain = np.zeros(len(matrix), bool) if one_by_one else plain(known, pairs_of(matrix))
    rows = np.flatnonzero(is_plain)
    quick = settle(known, matrix[rows], rows, first_name, rule)
    graph = Graph.of(known)
    graph.parent.update(quick.parent)
    walk = Walk(graph, known.limits, first_name, rule)
    homes = np.empty(len(matrix), np.int64)
    homes[rows] = quick.homes
    slow = np.flatnonzero(~is_plain)
    for number, row in zip(slow.tolist(), matrix[slow].tolist(), strict=True):
        homes[number] = walk.observe(tuple(dict.fromkeys(key for key in row if key >= 0)), number)
    if len(slow):
        walk.keep(known)
    lost = [*quick.lost, *walk.lost]
    roots = {person: graph.root(person) for person, _ in lost}
    called = _Names(last_person, np.concatenate([quick.founded, np.array(walk.founded, np.int64)]))
    known.person[:] = called.of(known.person)
    edges = called.in_edges([*quick.edges, *walk.edges])
    homes = called.of(homes)
    moved = [(called.one(old), called.one(new)) for old, new in sorted(roots.items())]
    unnamed = {called.one(person) for person in graph.anonymous}
    return Done(
        homes, _now(homes, graph, called), edges, moved,
        _joined(quick.first, walk.first), _joined(quick.changed, walk.changed), walk.crowded,
        sorted(known.anonymous - unnamed), sorted(person for person in unnamed if person > last_person),
        called.last,
    )  # fmt: skip


class _Names:
    """The final numbers of people: those above ``last`` are numbered anew without gaps.

    Args:
        last: number of the newest person before the batch.
        new: everybody who is newer.
    """

    def __init__(self, last: int, new: Numbers) -> None:
        self._before = last
        self._new = distinct(new)
        self.last = last + len(self._new)

    def of(self, people: Numbers) -> Numbers:
        """Returns the final numbers of many."""
        final = self._before + 1 + np.searchsorted(self._new, people)
        numbers: Numbers = np.where(people > self._before, final, people)
        return numbers

    def one(self, person: int) -> int:
        """Returns the final number of one."""
        if person <= self._before:
            return person
        return self._before + 1 + int(np.searchsorted(self._new, person))

    def in_edges(self, edges: list[EdgeRow]) -> list[EdgeRow]:
        """Returns edges with final numbers."""
        if not edges or not len(self._new):
            return edges
        columns = list(zip(*edges, strict=True))
        homes = self.of(np.array(columns[0], np.int64)).tolist()
        kept, lost = (
            [None if old is None else int(new) for old, new in zip(
                column, self.of(np.array([0 if cell is None else cell for cell in column], np.int64)).tolist(),
                strict=True,
            )]
            for column in (columns[5], columns[6])
        )  # fmt: skip
        return [EdgeRow(*row) for row in zip(homes, *columns[1:5], kept, lost, columns[7], strict=True)]


def _joined(quick: tuple[Numbers, Numbers], walked: dict[int, int]) -> tuple[Numbers, Numbers]:
    if not walked:
        return quick
    codes, rows = np.array(list(walked.items()), np.int64).T
    return np.concatenate([quick[0], codes]), np.concatenate([quick[1], rows])


def _now(homes: Numbers, graph: Graph, called: _Names) -> Numbers:
    """Returns who the people ``homes`` are after the batch."""
    parent = {called.one(person): called.one(graph.root(person)) for person in graph.parent}
    if not parent:
        return homes
    distinct, places = np.unique(homes, return_inverse=True)
    now = np.array([parent.get(person, person) for person in distinct.tolist()], np.int64)
    return now[places] if len(now) else np.full_like(homes, NOBODY)
