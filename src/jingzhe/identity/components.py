"""Connected components: of a whole graph at once, and of a batch where no rule stands in the way.

:func:`components` is the batch computation. :func:`plain` finds the observations of a batch whose outcome no rule can
change (in whatever order they come, everything joins); :func:`settle` computes them with array operations, to the same
result as :mod:`jingzhe.identity.walking`, which takes the others one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jingzhe.identity.evidence import BESIDE, OUTCOMES
from jingzhe.identity.known import FRESH, Known, Numbers, first_shown, pair_of
from jingzhe.identity.noting import Noted
from jingzhe.identity.walking import FirstName
from jingzhe.store.state.ordering import among, distinct, numbered_places


def components(nodes: int, a: Numbers, b: Numbers) -> Numbers:
    """Returns for each node the smallest node that it is connected with.

    Args:
        nodes: how many there are, numbered from 0.
        a: one end of each edge.
        b: the other end.
    """
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(nodes, nodes))
    count, labels = connected_components(graph, directed=False)
    smallest = np.full(count, nodes, np.int64)
    np.minimum.at(smallest, labels, np.arange(nodes))
    found: Numbers = smallest[labels]
    return found


@dataclass(frozen=True)
class Pairs:
    """The pairs of keys that a batch shows: each observation's strongest key with each of its others.

    Args:
        anchor: code of the strongest key of each observation; -1 where it has none.
        a: anchors of the pairs, in the order of the observations.
        b: the other keys.
        row: observation of each pair.
    """

    anchor: Numbers
    a: Numbers
    b: Numbers
    row: Numbers


def pairs_of(matrix: Numbers) -> Pairs:
    """Returns the pairs of a batch's observations."""
    if matrix.shape[1] == 0:
        empty = np.empty(0, np.int64)
        return Pairs(np.full(len(matrix), -1, np.int64), empty, empty, empty)
    filled = matrix >= 0
    anchor = np.where(filled.any(axis=1), matrix[np.arange(len(matrix)), filled.argmax(axis=1)], -1)
    other = filled & (matrix != anchor[:, None])
    row, column = np.nonzero(other)
    return Pairs(anchor, anchor[row], matrix[row, column], row)


def beside_of(known: Known, matrix: Numbers, anchor: Numbers) -> Pairs:
    """Returns the pairs of joining keys that observations show beside their strongest one, in their order."""
    found: list[tuple[Numbers, Numbers, Numbers]] = []
    for first in range(matrix.shape[1] if matrix.shape[1] > 2 else 0):
        for second in range(first + 1, matrix.shape[1]):
            a, b = matrix[:, first], matrix[:, second]
            row = np.flatnonzero((a >= 0) & (b >= 0) & (a != b) & (a != anchor) & (b != anchor))
            row = row[known.strong[a[row]] & known.strong[b[row]]]
            found.append((a[row], b[row], row))
    if not found:
        empty = np.empty(0, np.int64)
        return Pairs(anchor, empty, empty, empty)
    a, b, row = (np.concatenate(column) for column in zip(*found, strict=True))
    counted = (known.after[a] > 0) | (known.after[b] > 0) | (known.after[anchor[row]] > 0)
    order = np.flatnonzero(counted)
    order = order[np.argsort(row[order], kind="stable")]
    return Pairs(anchor, a[order], b[order], row[order])


def plain(known: Known, pairs: Pairs, beside: Pairs) -> NDArray[np.bool_]:
    """Tells which observations no rule can touch: nothing that they are connected with follows, is shared or full."""
    count = len(known.ids)
    held = np.flatnonzero(known.root > 0)
    people, _, place = numbered_places(known.root[held])
    label = components(count + len(people), np.concatenate([pairs.a, held]), np.concatenate([pairs.b, count + place]))
    touchy = ~known.strong | known.shared
    if known.after.any():
        once = first_shown(pairs.a, pairs.b)
        met = np.bincount(pairs.a[once], minlength=count) + np.bincount(pairs.b[once], minlength=count)
        if len(beside.a):
            once = first_shown(beside.a, beside.b)
            met += np.bincount(beside.a[once], minlength=count) + np.bincount(beside.b[once], minlength=count)
        touchy |= (known.after > 0) & (known.partners + met > known.after)
    if known.blocked:
        codes = np.array([(pair >> 32, pair & 0xFFFFFFFF) for pair in known.blocked], np.int64)
        touchy[codes.ravel()] = True
    refused = np.zeros(count + len(people), bool)
    refused[label[:count][touchy]] = True
    if known.never:
        refused[label[count:][np.isin(people, np.array(list(known.never), np.int64))]] = True
    refused |= _full(known, label, people)
    answer = np.zeros(len(pairs.anchor), bool)
    held = np.flatnonzero(pairs.anchor >= 0)
    answer[held] = ~refused[label[pairs.anchor[held]]]
    return answer


def _full(known: Known, label: Numbers, people: Numbers) -> NDArray[np.bool_]:
    """Returns the components that would have more keys of a kind than one person may have."""
    count = len(known.ids)
    full = np.zeros(len(label), bool)
    for kind, limit in known.limits.items():
        new = (known.kinds == kind) & (known.person == FRESH)
        keys = np.bincount(label[:count][new], minlength=len(label))
        counted = [(person, counts[kind]) for person, counts in known.counts.items() if kind in counts]
        if counted:
            who, how_many = np.array(counted, np.int64).T
            np.add.at(keys, label[count + np.searchsorted(people, who)], how_many)
        full |= keys > limit
    return full


@dataclass
class Settled:
    """What plain observations did.

    Args:
        homes: person under whom each observation's facts are filed.
        roots: who that was before this batch's merges.
        edges: pairs to note.
        moved: people who were taken over, in order, and who stands for them now, in two columns.
        founded: new people, in order.
        first: observation in which each new key was met, by code.
        changed: known keys whose row changed, by code, and the observation.
    """

    homes: Numbers
    roots: Numbers
    edges: Noted
    moved: Numbers
    founded: Numbers
    first: tuple[Numbers, Numbers]
    changed: tuple[Numbers, Numbers]


def settle(known: Known, matrix: Numbers, rows: Numbers, first_name: FirstName) -> Settled:
    """Joins everything that plain observations show; ``known`` gets the people of new keys.

    Args:
        known: what is known of the keys.
        matrix: codes of the plain observations' keys; each has one at least.
        rows: their numbers within the batch.
        first_name: what new people are called.
    """
    pairs = pairs_of(matrix)
    first = _first_met(matrix, len(known.ids))
    new = np.flatnonzero((known.person == FRESH) & (first < len(matrix)))
    through = _came_through(known, matrix, pairs, first, new)
    joined = through >= 0
    lead = np.arange(len(known.ids))
    lead[new[joined]] = through[joined]
    while (further := lead[lead]) is not lead and (further != lead).any():
        lead = further
    founders = new[~joined]
    known.person[founders] = known.root[founders] = first_name.of(rows[first[founders]])
    known.joined[new[joined]] = known.ids[through[joined]]
    known.person[new], known.root[new] = known.person[lead[new]], known.root[lead[new]]

    inside = pair_of(new[joined], through[joined])
    once = first_shown(pairs.a, pairs.b)
    shown = pair_of(pairs.a[once], pairs.b[once])
    unseen = ~among(shown, known.pairs)
    counted = _counted(known, pairs, beside := beside_of(known, matrix, pairs.anchor), once[unseen])
    later = np.sort(once[unseen & ~among(shown, np.sort(inside))])
    changed = _count_partners(known, counted, new)
    edges, moved = _unite(known, pairs.a[later], pairs.b[later], rows[pairs.row[later]])
    if len(beside.a):
        edges = edges.and_then(_beside(known, beside, shown, pairs.row[once], rows))
    homes, roots = known.person[pairs.anchor], known.root[pairs.anchor]
    last = np.zeros(len(known.ids), np.int64)
    last[counted.a] = rows[counted.row]
    np.maximum.at(last, counted.b, rows[counted.row])
    return Settled(
        homes, roots, edges, moved, known.person[founders], (new, rows[first[new]]), (changed, last[changed])
    )  # fmt: skip


def _first_met(matrix: Numbers, keys: int) -> Numbers:
    """Returns the row in which each key stands first; the number of rows where it stands in none."""
    first = np.full(keys, len(matrix), np.int64)
    row, _ = filled = np.nonzero(matrix >= 0)
    # Backwards, so that the first row is written last.
    first[matrix[filled][::-1]] = row[::-1]
    return first


def _came_through(known: Known, matrix: Numbers, pairs: Pairs, first: Numbers, new: Numbers) -> Numbers:
    """Returns the key through which each new key came to its person, -1 for those that found one.

    A new key comes through the strongest of its first observation; that one, where it is new itself, through the first
    of the others that was known by then.
    """
    through = pairs.anchor[first[new]].copy()
    is_anchor = through == new
    wanted = np.full(len(matrix), -1, np.int64)
    known_by_then = (known.person[pairs.b] != FRESH) | (first[pairs.b] < pairs.row)
    row, b = pairs.row[known_by_then][::-1], pairs.b[known_by_then][::-1]
    wanted[row] = b
    through[is_anchor] = wanted[first[new[is_anchor]]]
    return through


def _counted(known: Known, pairs: Pairs, beside: Pairs, unseen: Numbers) -> Pairs:
    """Returns the pairs that count for the first time, in the order of their observations.

    Args:
        known: with the pairs that have counted.
        pairs: of the strongest keys.
        beside: of the others.
        unseen: places of the distinct new ones among ``pairs``.
    """
    chosen = np.sort(unseen)
    if not len(beside.a) and not len(known.beside):
        return Pairs(pairs.anchor, pairs.a[chosen], pairs.b[chosen], pairs.row[chosen])
    columns = [np.concatenate([getattr(pairs, name)[chosen], getattr(beside, name)]) for name in ("a", "b", "row")]
    order = np.argsort(columns[2], kind="stable")
    a, b, row = (column[order] for column in columns)
    once = first_shown(a, b)
    shown = pair_of(a[once], b[once])
    once = np.sort(once[~among(shown, known.pairs) & ~among(shown, known.beside)])
    return Pairs(pairs.anchor, a[once], b[once], row[once])


def _beside(known: Known, beside: Pairs, shown: Numbers, shown_in: Numbers, rows: Numbers) -> Noted:
    """Returns what is to be noted of pairs that are seen beside a stronger key.

    Args:
        known: with the pairs that were seen before.
        beside: the pairs.
        shown: pairs of this batch that are evidence, in order.
        shown_in: row in which each is shown first.
        rows: number of each row within the batch.
    """
    once = first_shown(beside.a, beside.b)
    pair = pair_of(beside.a[once], beside.b[once])
    new = ~among(pair, known.pairs) & ~among(pair, known.beside)
    place = np.minimum(np.searchsorted(shown, pair), len(shown) - 1)
    new &= (shown[place] != pair) | (shown_in[place] > beside.row[once])
    once = np.sort(once[new])
    a, b, nothing = beside.a[once], beside.b[once], np.zeros(len(once), np.int64)
    return Noted(
        known.person[a], known.ids[a], known.ids[b], nothing + BESIDE, nothing, nothing, rows[beside.row[once]]
    )  # fmt: skip


def _count_partners(known: Known, counted: Pairs, new: Numbers) -> Numbers:
    """Counts the partners of keys that may become shared; returns the known keys whose count changed."""
    both = np.concatenate([counted.a, counted.b])
    grown = both[known.after[both] > 0]
    np.add.at(known.partners, grown, 1)
    is_known = np.ones(len(known.ids), bool)
    is_known[new] = False
    return distinct(grown[is_known[grown]])


def _unite(known: Known, a: Numbers, b: Numbers, rows: Numbers) -> tuple[Noted, Numbers]:
    """Takes pairs of keys that have people already, in order; the older person takes the other over."""
    root_a, root_b = known.root[a], known.root[b]
    apart = np.flatnonzero(root_a != root_b)
    # By place in the order of their numbers, so that the older person is the smaller place.
    people, _, place = numbered_places(np.concatenate([root_a[apart], root_b[apart]]))
    above = list(range(len(people)))
    # One list of numbers: Python's collector walks through a tuple for each merge again and again.
    merged: list[int] = []
    for number, first, second in zip(apart.tolist(), *place.reshape(2, -1).tolist(), strict=True):
        one, other = first, second
        while (further := above[one]) != one:
            above[one] = one = above[further]
        while (further := above[other]) != other:
            above[other] = other = above[further]
        if one < other:
            above[other] = one
            merged += (number, one, other)
        elif other < one:
            above[one] = other
            merged += (number, other, one)
    at, kept, gone = np.array(merged, np.int64).reshape(-1, 3).T
    outcome, keeping, losing = np.zeros((3, len(a)), np.int64)
    outcome[at], keeping[at], losing[at] = OUTCOMES.index("merged"), people[kept], people[gone]
    noted = Noted(known.person[a], known.ids[a], known.ids[b], outcome, keeping, losing, rows)
    top = np.array(above, np.int64)
    while (further := top[top] if len(top) else top).tobytes() != top.tobytes():
        top = further
    gone = np.sort(gone)
    return noted, np.stack([people[gone], people[top[gone]]], axis=1)
