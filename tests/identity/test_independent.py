"""The people against another reading of the rules: networkx over the raw observations, nothing of what was stored.

The first test takes no limit per person, so that the order of arrival must not matter at all; the second takes the
rules as they ship, where what is refused for a limit depends on what came first, and follows observations one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random

import networkx as nx
import pytest

from jingzhe.identity.checking import differences
from jingzhe.identity.keyring import all_keys, as_rows
from jingzhe.identity.keys import KINDS
from jingzhe.identity.merges import By, undo
from jingzhe.identity.observations import Coder
from jingzhe.identity.people import explain
from jingzhe.identity.rules import Rules, known_salt, load_rules, save_rules
from jingzhe.store.state import State, bulk
from tests.identity.conftest import Fresh
from tests.identity.stories import CLOCK, tell_cut, who
from tests.identity.stories import key as written_key

STRENGTH = {
    "login": 100,
    "member": 90,
    "phone": 80,
    "email": 70,
    "till_card": 50,
    "record": 40,
    "device": 20,
    "cookie": 10,
}
SINGLE = {"login": 1, "member": 1, "phone": 3, "email": 5, "till_card": 5}
FOLLOWS = {"device", "cookie"}
JUNK = ["login=0", "phone=unknown", "email=none@none.com", "device=00000000-0000", "till_card=null"]


def parsed(line: str) -> list[str]:
    """Returns an observation's usable keys, the strongest first."""
    keys = [word for word in dict.fromkeys(line.split()) if word not in JUNK]
    return sorted(keys, key=lambda key: (key.split("=")[0] in FOLLOWS, -STRENGTH[key.split("=")[0]]))


def kind_of(key: str) -> str:
    return key.split("=", maxsplit=1)[0]


def joining(line: str) -> list[str]:
    return [key for key in parsed(line) if kind_of(key) not in FOLLOWS]


def town(random: Random, lines: int) -> list[str]:
    """Returns what a town's shops see: people with their own keys, some shared, a shop's phone, pads, junk."""
    told = []
    for _ in range(lines):
        person = random.randrange(70)
        keys = [
            f"login=u{person}", f"phone=139{person:04}{random.randrange(2):04}",
            f"email=p{person}x{random.randrange(3)}@x.org",
            f"till_card=c{person}x{random.randrange(2)}", f"record=list:{random.randrange(400)}", f"member=m{person}",
            f"device=pad{random.randrange(6)}", f"device=d{person}", f"cookie=w{random.randrange(150)}",
        ]  # fmt: skip
        chosen = random.sample(keys, random.choice([1, 1, 2, 2, 2, 3, 4]))
        if random.random() < 0.12:
            chosen.append(random.choice(["phone=13800001111", "till_card=shop", "email=till@shop.cn"]))
        if random.random() < 0.05:
            chosen.append(random.choice(JUNK))
        if random.random() < 0.04:
            chosen.append(f"phone=139{random.randrange(70):04}0000")
        random.shuffle(chosen)
        # One value of a kind in an event, as sources write them.
        told.append(" ".join({kind_of(key): key for key in chosen}.values()))
    return told


def partners_of(told: list[str]) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = defaultdict(set)
    for line in told:
        for a, b in combinations(joining(line), 2):
            seen[a].add(b)
            seen[b].add(a)
    return seen


def people_of(state: State, told: list[str], kinds: Callable[[str], list[str]] = joining) -> dict[str, int | None]:
    """Returns to whom each key leads; None where to nobody."""
    rules = load_rules(state)
    with state.reading() as connection:
        coder = Coder(rules, known_salt(connection) or b"")
        rows = {(row.kind, row.value): row for row in as_rows(connection, all_keys(connection, texts=2))}
        now: dict[int, int] = dict(bulk.select(connection, "SELECT old_person, new_person FROM identity_override"))
    found: dict[str, int | None] = {}
    for written in sorted({one for line in told for one in kinds(line)}):
        stored = coder.stored(written_key(written))
        row = rows[kind_of(written), stored[0] if stored else ""]
        found[written] = None if row.shared_us else now.get(row.person_id, row.person_id)
    return found


def partition(people: dict[str, int | None]) -> set[frozenset[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for key, person in people.items():
        if person is not None:
            found[person].add(key)
    return {frozenset(keys) for keys in found.values()}


def freely(limit: int) -> Rules:
    """Returns the rules that ship without limits per person; a joining key is nobody's after so many others."""
    return Rules({name: replace(k, single=None, shared_after=limit if k.merges else 20) for name, k in KINDS.items()})


@pytest.mark.parametrize("seed", range(6))
def test_without_limits_per_person_the_order_does_not_matter(fresh: Fresh, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a test
    told = town(random, 260)
    limit = random.choice([4, 6, 9])
    seen = partners_of(told)
    nobodys = {key for key, others in seen.items() if len(others) > limit}
    assert nobodys, "the shop's own are seen with too many"
    graph: nx.Graph[str] = nx.Graph()
    for line in told:
        alive = [key for key in joining(line) if key not in nobodys]
        graph.add_nodes_from(alive)
        nx.add_path(graph, alive)
    assert graph.number_of_nodes() + len(nobodys) >= 200
    wanted = {frozenset(keys) for keys in nx.connected_components(graph)}
    rules = freely(limit)
    for _ in range(2):
        random.shuffle(told)
        with fresh() as state:
            save_rules(state, rules)
            tell_cut(state, told, [random.randrange(260) for _ in range(random.randrange(6))])
            people = people_of(state, told)
            assert {key for key, person in people.items() if person is None} == nobodys
            assert partition(people) == wanted
            assert differences(state).num_rows == 0, "and the batch computation over what is stored says the same"
            _undo_one(state, graph, random)
            assert differences(state).num_rows == 0


def _undo_one(state: State, graph: nx.Graph[str], random: Random) -> None:
    """Takes one pair that two people hang on back: the split people follow the rules for what was split too."""
    logins = sorted(key for key in graph if kind_of(key) == "login")
    for person in {who(state, login) for login in logins[:20]}:
        for join in explain(state, person or 0):
            if join.outcome == "merged" and join.a.kind == "login" and join.b.kind == "record":
                a, b = f"login={join.a.value}", f"record={join.b.value}"
                if {a, b} in map(set, nx.bridges(graph)):
                    undo(state, [join.numbers], By("ann", "not hers"), clock=CLOCK)
                    assert who(state, a) != who(state, b)
                    return


@dataclass
class Reader:
    """Follows observations one by one, by the words of the guide."""

    shared_after: dict[str, int]
    graph: nx.Graph[str] = field(default_factory=nx.Graph)
    partners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    device_partners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    nobodys: set[str] = field(default_factory=set)
    met: list[tuple[str, list[str]]] = field(default_factory=list)
    follows: dict[str, str] = field(default_factory=dict)
    tried: set[frozenset[str]] = field(default_factory=set)

    def observe(self, line: str) -> None:
        keys = joining(line)
        for a, b in combinations(keys, 2):
            self.partners[a].add(b)
            self.partners[b].add(a)
        new = [k for k in keys if k not in self.nobodys and len(self.partners[k]) > self.shared_after[kind_of(k)]]
        alive = [key for key in keys if key not in self.nobodys and key not in new]
        devices = [key for key in parsed(line) if kind_of(key) in FOLLOWS and key not in self.nobodys]
        if alive:
            self._join(alive)
            self._follow(alive[0], devices)
        for key in new:
            self._dissolve(key)

    def _join(self, alive: list[str]) -> None:
        anchor, *others = alive
        if anchor not in self.graph:
            known = [key for key in others if key in self.graph]
            self.graph.add_node(anchor)
            first = next((key for key in known if self._fits(anchor, key)), None)
            if first is not None:
                self.graph.add_edge(anchor, first)
                self.tried.add(frozenset((anchor, first)))
        for key in others:
            pair = frozenset((anchor, key))
            if pair in self.tried:
                continue
            self.tried.add(pair)
            self.graph.add_node(key)
            if nx.has_path(self.graph, anchor, key) or self._fits(anchor, key):
                self.graph.add_edge(anchor, key)
        self.met.append((anchor, others))

    def _fits(self, a: str, b: str) -> bool:
        both = nx.node_connected_component(self.graph, a) if a in self.graph else {a}
        both = both | (nx.node_connected_component(self.graph, b) if b in self.graph else {b})
        counts = Counter(kind_of(key) for key in both)
        return all(counts[kind] <= most for kind, most in SINGLE.items())

    def _follow(self, anchor: str, devices: list[str]) -> None:
        for device in devices:
            self.device_partners[device].add(anchor)
            if len(self.device_partners[device]) > 20:
                self.nobodys.add(device)
                self.follows.pop(device, None)
            else:
                self.follows[device] = anchor

    def _dissolve(self, key: str) -> None:
        """What an event showed together stays together when its strongest key is nobody's."""
        self.nobodys.add(key)
        if key not in self.graph:
            return
        held = set(self.graph[key])
        for anchor, others in self.met:
            if anchor == key:
                self.graph.add_edges_from(combinations([other for other in others if other in held], 2))
        self.graph.remove_node(key)


@pytest.mark.parametrize("seed", range(8))
def test_with_the_rules_that_ship_observation_by_observation(fresh: Fresh, seed: int) -> None:
    random = Random(100 + seed)  # noqa: S311 - a test
    told = town(random, 420)
    rules, limits = Rules(), {name: kind.shared_after or 10**9 for name, kind in KINDS.items()}
    if seed % 2:
        # The same with keys that are nobody's much sooner.
        limits |= {"phone": 6, "email": 5, "till_card": 7}
        rules = Rules({name: replace(kind, shared_after=limits[name]) for name, kind in KINDS.items()})
    reader = Reader(limits)
    for line in told:
        reader.observe(line)
    assert reader.graph.number_of_nodes() >= 200
    assert any(kind_of(key) not in FOLLOWS for key in reader.nobodys) or not seed % 2
    with fresh() as state:
        save_rules(state, rules)
        tell_cut(state, told, [random.randrange(420) for _ in range(5)])
        people, devices = people_of(state, told), people_of(state, told, parsed)
        assert {key for key, person in people.items() if person is None} == {
            key for key in reader.nobodys if kind_of(key) not in FOLLOWS
        }
        assert partition(people) == {frozenset(keys) for keys in nx.connected_components(reader.graph)}
        for device, anchor in reader.follows.items():
            if anchor in reader.graph:
                assert devices[device] == people[anchor], "a device follows who signed in last"
        assert differences(state).num_rows == 0
