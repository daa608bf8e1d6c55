"""What is left of a person when pairs of keys do not count any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jingzhe.identity.evidence import Edge
from jingzhe.identity.keyring import KeyRow
from jingzhe.identity.people import Member

Pair = frozenset[int]
_Node = tuple[str, int]


@dataclass
class Part:
    """Keys and people that still hang together.

    Args:
        people: numbers of people.
        keys: numbers of keys.
    """

    people: set[int] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)


def parts_without(found: Member, apart: Iterable[Pair], joins: Callable[[str], bool]) -> list[Part]:
    """Returns what hangs together without some pairs, the part with the oldest person first.

    A joining key hangs on the key through which it came, or on its person where it founded one. A device or cookie
    hangs on the key that it follows and on nothing else, so it holds no two people together; a person whose history
    was claimed hangs on the key that claimed it. A joining key that belongs to nobody is in no part.

    Args:
        found: the person.
        apart: pairs of keys that do not count.
        joins: tells whether keys of a kind may join people.
    """
    left_out = set(apart)
    alive = {number: key for number, key in found.keys.items() if key.shared_us is None or not joins(key.kind)}
    above: dict[_Node, _Node] = {}

    def top(node: _Node) -> _Node:
        above.setdefault(node, node)
        while above[node] != node:
            above[node] = node = above[above[node]]
        return node

    nodes = [*(("person", person) for person in found.people), *(("key", key) for key in alive)]
    for node in nodes:
        top(node)
    for one, other in _links(found, alive, left_out, joins):
        above[top(one)] = top(other)
    parts: dict[_Node, Part] = {}
    for node in nodes:
        part = parts.setdefault(top(node), Part())
        (part.people if node[0] == "person" else part.keys).add(node[1])
    return sorted(parts.values(), key=lambda part: (not part.people, min(part.people or part.keys)))


def _links(
    found: Member, alive: dict[int, KeyRow], left_out: set[Pair], joins: Callable[[str], bool]
) -> Iterable[tuple[_Node, _Node]]:
    for key in alive.values():
        link = _own_link(found, key, left_out, joins)
        if link is not None:
            yield ("key", key.key_id), link
    for edge in found.edges:
        if frozenset((edge.a, edge.b)) not in left_out:
            yield from _edge_links(found, edge, alive, joins)


def _own_link(found: Member, key: KeyRow, left_out: set[Pair], joins: Callable[[str], bool]) -> _Node | None:
    """Returns what a key hangs on by its own row."""
    through = found.keys.get(key.joined_to) if key.joined_to else None
    if through is not None and (frozenset((key.key_id, through.key_id)) in left_out or _is_nobodys(through, joins)):
        # A device goes back to the anonymous person whom it had been before; others have nobody.
        claimed = [e for e in found.edges if e.outcome == "claimed" and (e.a, e.b) == (through.key_id, key.key_id)]
        former = claimed[0].lost if claimed else None
        return ("person", former) if former in found.people and former is not None else None
    if through is not None and joins(through.kind):
        return "key", through.key_id
    # Its founder, or an anonymous person whose device led it there.
    return ("person", key.person_id) if key.person_id in found.people else None


def _is_nobodys(key: KeyRow, joins: Callable[[str], bool]) -> bool:
    return key.shared_us is not None and joins(key.kind)


def _edge_links(
    found: Member, edge: Edge, alive: dict[int, KeyRow], joins: Callable[[str], bool]
) -> Iterable[tuple[_Node, _Node]]:
    a, b = alive.get(edge.a), alive.get(edge.b)
    if edge.outcome == "claimed" and edge.lost in found.people:
        if a is not None and joins(a.kind):
            yield ("key", edge.a), ("person", edge.lost)
        elif edge.person_id in found.people and edge.a not in found.keys.keys() - alive.keys():
            yield ("person", edge.person_id), ("person", edge.lost)
    elif edge.outcome in {"same", "merged"} and a is not None and b is not None and joins(a.kind) and joins(b.kind):
        yield ("key", edge.a), ("key", edge.b)
