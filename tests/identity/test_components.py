"""Incremental components against the batch computation and networkx, over random graphs, orders and batch sizes."""

from __future__ import annotations

from random import Random

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.identity.components import components
from jingzhe.identity.keys import Kind
from jingzhe.identity.overrides import overrides
from jingzhe.identity.rules import Rules
from tests.identity.conftest import Fresh
from tests.identity.stories import groups, tell_cut

FREE = Rules(kinds={"k": Kind("k", "plain", 50, shared_after=None)})
"""Everything joins."""

graphs = st.integers(2, 30).flatmap(
    lambda nodes: st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), min_size=1, max_size=60)
)
cuts = st.lists(st.integers(0, 60), max_size=12)


def by_networkx(edges: list[tuple[int, int]]) -> set[frozenset[str]]:
    graph: nx.Graph[int] = nx.Graph(edges)
    return {frozenset(f"k=n{node}" for node in group) for group in nx.connected_components(graph)}


@given(graphs)
def test_the_batch_computation_equals_networkx(edges: list[tuple[int, int]]) -> None:
    nodes = 1 + max(max(edge) for edge in edges)
    graph: nx.Graph[int] = nx.Graph(edges)
    graph.add_nodes_from(range(nodes))
    a, b = np.array(edges, np.int64).T
    found = components(nodes, a, b).tolist()
    wanted = {node: min(group) for group in nx.connected_components(graph) for node in group}
    assert found == [wanted[node] for node in range(nodes)]


@given(graphs, cuts, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whatever_order_and_batches_the_people_are_the_components(
    fresh: Fresh, edges: list[tuple[int, int]], cut: list[int], random: Random
) -> None:
    shuffled = list(edges)
    random.shuffle(shuffled)
    with fresh() as state:
        tell_cut(state, [f"k=n{a} k=n{b}" for a, b in shuffled], cut, rules=FREE)
        assert groups(state) == by_networkx(edges)


@given(graphs, cuts)
@settings(max_examples=40, deadline=None)
def test_the_oldest_person_survives_and_overrides_are_flat(
    fresh: Fresh, edges: list[tuple[int, int]], cut: list[int]
) -> None:
    with fresh() as state:
        homes = tell_cut(state, [f"k=n{a} k=n{b}" for a, b in edges], cut, rules=FREE)
        table = overrides(state).to_pydict()
    new = dict(zip(table["old_person"], table["new_person"], strict=True))
    assert not set(new) & set(new.values()), "no one has to look twice"
    graph: nx.Graph[int] = nx.Graph(edges)
    for group in nx.connected_components(graph):
        inside = {home for home, (a, _) in zip(homes, edges, strict=True) if a in group}
        assert {new.get(home, home) for home in inside} == {min(inside)}
