"""The part of the identity graph that a batch meets, in memory: what :mod:`jingzhe.identity.walking` changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from jingzhe.identity.known import Known


@dataclass
class Graph:
    """The keys of a batch, by code, as the store knows them, and the people they lead to.

    The lists are the arrays of :class:`jingzhe.identity.known.Known`: lists are quicker one by one.

    Args:
        ids: see there.
        kinds: see there.
        strong: see there.
        limit: see there.
        after: see there.
        person: see there.
        joined: see there.
        partners: see there.
        shared: see there.
        parent: who took a person over; people that are not in it stand for themselves.
        anonymous: people without a joining key.
        counts: keys per limited kind of the people to whom some may be added.
        edges: pairs of codes (:meth:`pair`) seen before.
        beside: pairs of codes seen before, but only beside a stronger key, or with one that is nobody's.
        blocked: pairs of codes that may not join.
        never: people who may not become one, both ways.
    """

    ids: list[int]
    kinds: list[int]
    strong: list[bool]
    limit: list[int]
    after: list[int]
    person: list[int]
    joined: list[int]
    partners: list[int]
    shared: list[bool]
    parent: dict[int, int] = field(default_factory=dict)
    anonymous: set[int] = field(default_factory=set)
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    edges: set[int] = field(default_factory=set)
    beside: set[int] = field(default_factory=set)
    blocked: set[int] = field(default_factory=set)
    never: dict[int, set[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Known) -> Graph:
        """Returns what is known, one by one."""
        moved = known.person != known.root
        parent = dict(zip(known.person[moved].tolist(), known.root[moved].tolist(), strict=True))
        return cls(
            known.ids.tolist(), known.kinds.tolist(), known.strong.tolist(), known.limit.tolist(),
            known.after.tolist(), known.person.tolist(), known.joined.tolist(), known.partners.tolist(),
            known.shared.tolist(), parent, set(known.anonymous),
            {person: dict(counts) for person, counts in known.counts.items()},
            set(known.pairs.tolist()), set(known.beside.tolist()), known.blocked,
            {one: set(others) for one, others in known.never.items()},
        )  # fmt: skip

    @classmethod
    def empty(cls, known: Known) -> Graph:
        """Returns no keys, and the people without a joining key."""
        return cls([], [], [], [], [], [], [], [], [], anonymous=set(known.anonymous))

    def pair(self, a: int, b: int) -> int:
        """Returns one number for a pair of codes, whichever comes first."""
        return (a << 32) | b if a < b else (b << 32) | a

    def root(self, person: int) -> int:
        """Returns the person who stands for ``person`` now."""
        parent = self.parent
        above = parent.get(person, person)
        while above != person:
            person, above = above, parent.get(above, above)
        return person
