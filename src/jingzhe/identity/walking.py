"""One observation after another: whose it is, which keys join, which people merge, what is refused.

This is the meaning of the rules. It works on a part of the graph that was read into memory
(:class:`jingzhe.identity.graph.Graph`) and notes what changed; it knows no database. What a stream of observations does
is the same however it is cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jingzhe.identity.graph import Graph
from jingzhe.identity.known import Known, Numbers
from jingzhe.identity.noting import EdgeRow

NOBODY = 0
"""The person of an observation without a key that can be used."""


class FirstName(NamedTuple):
    """What people are called before they are numbered: in the order of the observations that found them.

    A person founded by observation ``n`` is called ``base + n * width``, the next ones of that observation follow.
    """

    base: int
    width: int

    def of(self, number: Numbers) -> Numbers:
        """Returns the names of the people founded by the observations ``number``."""
        names: Numbers = self.base + number * self.width
        return names


class Walk:
    """Takes observations one by one.

    Args:
        graph: what they meet; it is changed.
        limits: how many keys of a kind one person may have, by code of the kind; kinds without limit are absent.
        first_name: what new people are called.
    """

    def __init__(self, graph: Graph, limits: Mapping[int, int], first_name: FirstName) -> None:
        self.graph = graph
        self._base, self._width = first_name
        self._newest = 0
        self.edges: list[EdgeRow] = []
        self.founded: list[int] = []
        """New people, in order; the keys of some have gone to others by now."""
        self.first: dict[int, int] = {}
        """Observation in which a new key was met, by code, in order."""
        self.crowded: dict[int, int] = {}
        """Keys that became shared, by code, and the observation in which they did."""
        self.changed: dict[int, int] = {}
        """Known keys whose row changed, by code, and the observation in which they last did."""
        self.lost: list[tuple[int, int]] = []
        """Merges in order: the person that was taken over, and by whom."""
        self.counting = any(graph.after)
        self._limits = limits

    def observe(self, keys: tuple[int, ...], number: int) -> int:
        """Returns the person under whom the facts of an observation are filed; NOBODY where no key can be used.

        Args:
            keys: codes, the joining ones first, the strongest first.
            number: of the observation.
        """
        graph = self.graph
        shared = graph.shared
        live = [key for key in keys if not shared[key]]
        beside: list[tuple[int, int]] = []
        if self.counting and len(keys) > 1:
            beside = self._count_pairs(keys, live, number)
            live = self._without_crowded(live, number)
        home = self._live(live, number) if live else NOBODY
        for a, b in beside:
            self._note_beside(a, b, live, number)
        return home

    def _live(self, live: list[int], number: int) -> int:
        """Returns the person under whom the facts of an observation are filed; its keys are somebody's."""
        graph = self.graph
        person = graph.person
        anchor = live[0]
        if len(live) == 1:
            if person[anchor] < 0:
                self._found(anchor, number)
            return person[anchor]
        if not graph.strong[anchor]:
            return self._weak_only(live, number)
        if person[anchor] < 0:
            self._place(anchor, live, number)
        for key in live[1:]:
            if graph.strong[key]:
                self._join(anchor, key, number)
            else:
                self._follow(anchor, key, number)
        return person[anchor]

    # ---- keys seen with too many

    def _count_pairs(self, keys: tuple[int, ...], live: list[int], number: int) -> list[tuple[int, int]]:
        """Counts the partners of joining keys, each pair once; returns the new pairs that may be no evidence.

        Whether a key belongs to nobody follows from all that it was ever seen with, whatever the order.
        """
        graph = self.graph
        strong, shared, after, partners = graph.strong, graph.shared, graph.after, graph.partners
        joining = [key for key in keys if strong[key]]
        beside = []
        for place, a in enumerate(joining):
            for b in joining[place + 1 :]:
                pair = graph.pair(a, b)
                if pair in graph.edges or (shared[a] and shared[b]):
                    continue
                if pair not in graph.beside:
                    for key in (a, b):
                        if after[key] and not shared[key]:
                            partners[key] += 1
                            self._changes(key, number)
                if len(keys) > 2 or len(live) < 2 or partners[a] > after[a] > 0 or partners[b] > after[b] > 0:
                    beside.append((a, b))
        return beside

    def _without_crowded(self, live: list[int], number: int) -> list[int]:
        """Returns the keys that are still somebody's; counts with how many people each device was seen."""
        graph = self.graph
        strong, after, partners = graph.strong, graph.after, graph.partners
        crowded = [key for key in live if strong[key] and partners[key] > after[key] > 0]
        live = [key for key in live if key not in crowded]
        anchor = live[0] if live else -1
        if live and strong[anchor]:
            for key in live[1:]:
                if strong[key] or not after[key] or graph.pair(anchor, key) in graph.edges:
                    continue
                if partners[key] >= after[key]:
                    crowded.append(key)
                else:
                    partners[key] += 1
                    self._changes(key, number)
        for key in crowded:
            graph.shared[key] = True
            self.crowded[key] = number
            self._changes(key, number)
        return [key for key in live if key not in crowded]

    def _note_beside(self, a: int, b: int, live: list[int], number: int) -> None:
        """Notes a new pair of joining keys that is no evidence, under one that is somebody's."""
        graph = self.graph
        pair = graph.pair(a, b)
        if pair in graph.edges or pair in graph.beside or not (a in live or b in live):
            return
        if graph.after[a] or graph.after[b] or graph.after[live[0]]:
            graph.beside.add(pair)
            self._edge(*((a, b) if a in live else (b, a)), "beside", number)

    # ---- new keys

    def _found(self, key: int, number: int) -> None:
        """Makes a new person for a key."""
        graph = self.graph
        self._newest = max(self._newest + 1, self._base + number * self._width)
        graph.person[key] = self._newest
        self.founded.append(self._newest)
        self.first.setdefault(key, number)
        if graph.strong[key]:
            self._count(self._newest, key)
        else:
            graph.anonymous.add(self._newest)

    def _place(self, anchor: int, live: list[int], number: int) -> None:
        """Gives a new strongest key a person: that of another joining key, an anonymous one, or a new one."""
        graph = self.graph
        for key in live[1:]:
            home = graph.person[key]
            if home < 0:
                continue
            root = graph.root(home)
            free = graph.strong[key] or root in graph.anonymous
            if free and graph.pair(anchor, key) not in graph.blocked and self._has_room(root, anchor):
                self._settle(anchor, home, key, number)
                graph.edges.add(graph.pair(anchor, key))
                graph.anonymous.discard(root)
                self._count(root, anchor)
                return
        self._found(anchor, number)

    def keep(self, known: Known) -> None:
        """Writes what the walk did to the keys into the arrays that it began with."""
        graph = self.graph
        known.person[:] = np.array(graph.person, np.int64)
        known.joined[:] = np.array(graph.joined, np.int64)
        known.partners[:] = np.array(graph.partners, np.int64)
        known.shared[:] = np.array(graph.shared, bool)

    def _settle(self, key: int, home: int, through: int, number: int) -> None:
        graph = self.graph
        graph.person[key] = home
        graph.joined[key] = graph.ids[through]
        self.first.setdefault(key, number)

    # ---- two joining keys

    def _join(self, anchor: int, key: int, number: int) -> None:
        graph = self.graph
        pair = graph.pair(anchor, key)
        if pair in graph.edges:
            return
        graph.edges.add(pair)
        home = graph.person[anchor]
        root = graph.root(home)
        if graph.person[key] < 0:
            if pair not in graph.blocked and self._has_room(root, key):
                self._settle(key, home, anchor, number)
                self._count(root, key)
                return
            self._found(key, number)
            self._edge(anchor, key, "blocked" if pair in graph.blocked else "limit", number)
            return
        other = graph.root(graph.person[key])
        if other == root:
            self._edge(anchor, key, "same", number)
            return
        reason = self._refusal(root, other, pair)
        if reason:
            self._edge(anchor, key, reason, number)
        else:
            self._merge(anchor, key, root, other, number)

    def _refusal(self, root: int, other: int, pair: int) -> str:
        """Returns why two people may not become one, or nothing."""
        graph = self.graph
        if pair in graph.blocked:
            return "blocked"
        if graph.never and other in graph.never.get(root, ()):
            return "never"
        if not self._limits:
            return ""
        few, many = graph.counts.get(root, {}), graph.counts.get(other, {})
        limits = self._limits
        return "limit" if any(few.get(kind, 0) + keys > limits[kind] for kind, keys in many.items()) else ""

    def _merge(self, anchor: int, key: int, root: int, other: int, number: int, *, known: bool = False) -> None:
        """Lets the older person take the other over; ``known`` where the pair is noted already."""
        graph = self.graph
        kept, lost = (root, other) if root < other else (other, root)
        graph.parent[lost] = kept
        self.lost.append((lost, kept))
        counts = graph.counts.pop(lost, None)
        if counts:
            mine = graph.counts.setdefault(kept, {})
            for kind, keys in counts.items():
                mine[kind] = mine.get(kind, 0) + keys
        if lost in graph.anonymous:
            graph.anonymous.discard(lost)
        else:
            graph.anonymous.discard(kept)
        if graph.never:
            self._inherit_never(kept, lost)
        if known:
            return
        if graph.strong[key]:
            self._edge(anchor, key, "merged", number, (kept, lost))
        else:
            self._edge(anchor, key, "claimed", number, (root, other))

    def _inherit_never(self, kept: int, lost: int) -> None:
        never = self.graph.never
        for other in never.pop(lost, set()):
            never[other].discard(lost)
            never[other].add(kept)
            never.setdefault(kept, set()).add(other)

    # ---- keys that follow

    def _follow(self, anchor: int, key: int, number: int) -> None:
        """Lets a device or cookie follow the person who is signed in; it never joins two who have signed in."""
        graph = self.graph
        pair = graph.pair(anchor, key)
        home = graph.person[anchor]
        known = pair in graph.edges
        graph.edges.add(pair)
        if pair in graph.blocked:
            if graph.person[key] < 0:
                self._found(key, number)
            if not known:
                self._edge(anchor, key, "blocked", number)
            return
        if graph.person[key] < 0:
            self._settle(key, home, anchor, number)
            self._edge(anchor, key, "same", number)
            return
        root, other = graph.root(home), graph.root(graph.person[key])
        if root == other:
            if not known:
                self._edge(anchor, key, "same", number)
            return
        if other in graph.anonymous and not self._refusal(root, other, pair):
            self._merge(anchor, key, root, other, number, known=known)
        elif not known:
            self._edge(anchor, key, "moved", number)
        graph.person[key], graph.joined[key] = home, graph.ids[anchor]
        self._changes(key, number)

    def _weak_only(self, live: list[int], number: int) -> int:
        """Returns the person whom the devices and cookies of an observation follow."""
        graph = self.graph
        person = graph.person
        known = [key for key in live if person[key] >= 0]
        named = [key for key in known if graph.root(person[key]) not in graph.anonymous]
        anchor = (named or known or live)[0]
        if person[anchor] < 0:
            self._found(anchor, number)
        home = person[anchor]
        for key in live:
            if key == anchor:
                continue
            pair = graph.pair(anchor, key)
            if person[key] < 0:
                if pair in graph.blocked:
                    self._found(key, number)
                else:
                    self._settle(key, home, anchor, number)
                continue
            root, other = graph.root(home), graph.root(person[key])
            if root != other and other in graph.anonymous and not self._refusal(root, other, pair):
                self._merge(anchor, key, root, other, number, known=pair in graph.edges)
                graph.edges.add(pair)
        return home

    # ---- notes

    def _has_room(self, root: int, key: int) -> bool:
        limit = self.graph.limit[key]
        return not limit or self.graph.counts.get(root, {}).get(self.graph.kinds[key], 0) < limit

    def _count(self, root: int, key: int) -> None:
        graph = self.graph
        if graph.limit[key]:
            counts = graph.counts.setdefault(root, {})
            kind = graph.kinds[key]
            counts[kind] = counts.get(kind, 0) + 1

    def _changes(self, key: int, number: int) -> None:
        if key not in self.first:
            self.changed[key] = number

    def _edge(self, a: int, b: int, outcome: str, number: int, people: tuple[int, int] | None = None) -> None:
        graph = self.graph
        kept, lost = people or (None, None)
        self.edges.append(EdgeRow(graph.person[a], graph.ids[a], graph.ids[b], outcome, kept, lost, number))
