"""Random histories of writes against a model in Python: what readers see is what the model says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.compact import compact
from jingzhe.store.lake.erase import delete, erase
from jingzhe.store.lake.tables import Change
from jingzhe.store.lake.vacuum import vacuum
from jingzhe.store.query import one
from jingzhe.store.warehouse import Warehouse, oldest_readable
from tests.store.small import append, event, ids, opened, published, retracted, scores, stage_scores

PEOPLE = st.integers(1, 4)
ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.lists(PEOPLE, min_size=1, max_size=4)),
    st.tuples(st.just("retract"), st.integers(0, 10)),
    st.tuples(st.just("replace"), st.dictionaries(PEOPLE, st.integers(0, 9))),
    st.tuples(st.just("overlay"), st.dictionaries(PEOPLE, st.none() | st.integers(0, 9))),
    st.tuples(st.just("compact"), st.none() | st.integers(0, 9)),
    st.tuples(st.just("vacuum"), st.just(0)),
    st.tuples(st.just("erase"), PEOPLE),
    st.tuples(st.just("delete"), st.integers(0, 10)),
    st.tuples(st.just("die"), PEOPLE),
)


@dataclass
class Model:
    """What ought to be there."""

    events: dict[int, int] = field(default_factory=dict)
    base: dict[int, int] = field(default_factory=dict)
    overlay: dict[int, int | None] = field(default_factory=dict)
    retracted: dict[int, int] = field(default_factory=dict)
    next_id: int = 1
    past: dict[int, tuple[list[int], dict[int, int]]] = field(default_factory=dict)

    @property
    def scores(self) -> dict[int, int]:
        return {person: score for person, score in {**self.base, **self.overlay}.items() if score is not None}

    def snapshot(self) -> tuple[list[int], dict[int, int]]:
        return sorted(self.events), self.scores

    def drop(self, chosen: set[int]) -> None:
        self.events = {number: person for number, person in self.events.items() if number not in chosen}


def act(warehouse: Warehouse, model: Model, kind: str, what: Any) -> None:
    if kind == "append":
        rows = [event(model.next_id + i, person) for i, person in enumerate(what)]
        published(warehouse, rows)
        model.events |= {row["event_id"]: row["person_id"] for row in rows}
        model.next_id += len(rows)
    elif kind == "retract":
        chosen = [number for number in sorted(model.events) if number % 3 == what % 3]
        if chosen:
            publication = retracted(warehouse, [(number, model.events[number]) for number in chosen])
            model.retracted |= dict.fromkeys(chosen, publication.seq)
            model.drop(set(chosen))
    elif kind in {"replace", "overlay"}:
        with warehouse.writing(kind) as writing:
            stage_scores(writing, what, layer="base" if kind == "replace" else kind)
            writing.publish(kind)
        if kind == "replace":
            model.base, model.overlay = dict(what), {}
        else:
            model.overlay = dict(what)
    elif kind == "compact":
        compact(warehouse, keep_after_batch=what)
        model.base, model.overlay = model.scores, {}
        limit = 10**9 if what is None else what
        model.retracted = {number: seq for number, seq in model.retracted.items() if seq > limit}
    elif kind == "die":
        die(warehouse, what)
    else:
        remove(warehouse, model, kind, what)


def die(warehouse: Warehouse, person: int) -> None:
    """Does what a writer does that is killed before it publishes."""
    with warehouse.writing("dies") as writing:
        append(writing, EVENTS, [event(99, person)])
        append(writing, ITEMS, [event(99, person)])
        for change in writing._changes[: person % 3]:
            assert isinstance(change, Change)
            warehouse.lake.commit(change, writing.before[change.table.name])


def remove(warehouse: Warehouse, model: Model, kind: str, what: int) -> None:
    if kind == "vacuum":
        vacuum(warehouse, keep_hours=0)
    elif kind == "erase":
        erase(warehouse, [what])
        gone = {number for number, person in model.events.items() if person == what}
        model.drop(gone)
        model.base.pop(what, None)
        model.overlay.pop(what, None)
        with warehouse.reading() as session:
            left = session.run(one("left", "SELECT event_id FROM retractions"))["event_id"].to_pylist()
        model.retracted = {number: seq for number, seq in model.retracted.items() if number in left}
    else:
        condition = dict.fromkeys(("events", "items"), "event_id % 4 = $rest")
        delete(warehouse, condition, {"rest": what % 4})
        model.drop({number for number in model.events if number % 4 == what % 4})


def check(warehouse: Warehouse, model: Model) -> None:
    latest = warehouse.state.latest()
    with warehouse.reading() as session:
        assert (ids(session), scores(session)) == model.snapshot()
        assert ids(session, "items") == sorted(model.events)
        kept = session.run(one("kept", "SELECT event_id, batch FROM retractions")).to_pylist()
        assert {row["event_id"]: row["batch"] for row in kept} == model.retracted
    if latest is not None:
        model.past[latest.seq] = model.snapshot()
    for seq in [seq for seq in model.past if seq >= oldest_readable(warehouse.state)][-3:-1]:
        with warehouse.reading(seq) as session:
            assert (ids(session), scores(session)) == model.past[seq]


def history(actions: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as warehouse:
        model = Model()
        for kind, what in actions:
            act(warehouse, model, kind, what)
            check(warehouse, model)


SLOWLY = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@settings(SLOWLY, max_examples=4, derandomize=True)
@given(st.lists(ACTIONS, min_size=5, max_size=8))
def test_readers_see_what_the_model_says(actions: list[tuple[str, object]]) -> None:
    history(actions)


@pytest.mark.slow
@settings(SLOWLY, max_examples=60)
@given(st.lists(ACTIONS, min_size=4, max_size=16))
def test_longer_histories(actions: list[tuple[str, object]]) -> None:
    history(actions)
