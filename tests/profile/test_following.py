"""Merges of people and merges undone: days and profiles stand under who stands for whom, whatever else happens."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import IdentityError
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.observations import Observation, Observations
from jingzhe.identity.overrides import overrides, touched
from jingzhe.identity.people import explain, find
from jingzhe.identity.resolving import resolve
from jingzhe.profile import refresh as refreshing
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.profile.refresh import DOCUMENT, Recipe, refresh
from jingzhe.store.facts import EVENTS, OVERRIDES
from jingzhe.store.lake.compact import compact
from jingzhe.store.query import one
from jingzhe.store.state import State
from tests.profile.draws import BEGIN, ZONES, happenings
from tests.profile.shop import (
    NOON,
    Happening,
    Shop,
    assert_same,
    everything_computed,
    purchase,
    recipe_of,
    warehouse_in,
)

ANN = By("ann", "a test")
PEOPLE = 5


@dataclass
class Town:
    """A shop whose customers turn out to be one, or not to be.

    Args:
        shop: what happened to whom, as it stands in the files.
        published: who stands for whom, as the last refresh published it.
        hour: grows with every change to the graph.
    """

    shop: Shop
    published: dict[int, int] = field(default_factory=dict)
    hour: int = 0

    def __post_init__(self) -> None:
        keys = [Observation((Key("login", str(person)),), NOON, f"e{person}") for person in range(1, PEOPLE + 1)]
        homes = resolve(self.state, Observations.of(keys), batch_id="town", clock=self.clock).homes
        assert homes.tolist() == list(range(1, PEOPLE + 1))

    @property
    def state(self) -> State:
        return self.shop.warehouse.state

    @property
    def clock(self) -> FixedClock:
        return FixedClock(NOON + timedelta(hours=self.hour))

    def now(self, person: int) -> int:
        found = find(self.state, Key("login", str(person)))
        assert found is not None
        return found

    def merge(self, one: int, other: int) -> None:
        self.hour += 1
        merge(self.state, one, other, ANN, clock=self.clock)

    def undo_one(self, person: int) -> None:
        """Takes a merge into a person back, where there is one that no other evidence holds."""
        self.hour += 1
        merged = [join for join in explain(self.state, person) if join.outcome == "merged"]
        joined = [join.numbers for join in merged if find(self.state, join.a) == find(self.state, join.b)]
        with suppress(IdentityError):
            undo(self.state, [max(joined)], ANN, clock=self.clock)

    def refresh(self, recipe: Recipe, as_of: date, *, full: bool = False) -> refreshing.Refreshed:
        done = refresh(self.shop.warehouse, recipe, as_of=as_of, full=full)
        table = overrides(self.state)
        self.published = dict(zip(*(table[name].to_pylist() for name in OVERRIDES.column_names[:2]), strict=True))
        return done

    def compact(self, older_than_hours: int | None) -> None:
        document = self.state.document(*DOCUMENT)
        before = None if older_than_hours is None else NOON + timedelta(hours=self.hour - older_than_hours)
        # Whom the lake has not heard of yet, compaction leaves alone: a merge of theirs may have been undone.
        unsettled = set(touched(self.state, 0).people["person_id"].to_pylist())
        old = [
            row
            for row in self.overrides_in_lake()
            if before and row["moved_at"] < before and row["old_person"] not in unsettled
        ]
        folded = {row["old_person"]: row["new_person"] for row in old}
        through = int(document.body["through_batch"]) if document else 0
        compact(self.shop.warehouse, keep_after_batch=through, moved_before=before)
        self.shop.live = {
            number: replace(one, person_id=folded.get(one.person_id, one.person_id))
            for number, one in self.shop.live.items()
        }

    def overrides_in_lake(self) -> list[dict[str, Any]]:
        return self.shop.stored(OVERRIDES)

    def holds(self, recipe: Recipe, as_of: date) -> None:
        """Asserts that everything is as if all had always been called what they are called now."""
        now = [
            replace(one, person_id=self.published.get(one.person_id, one.person_id)) for one in self.shop.live.values()
        ]
        with self.shop.warehouse.engine.session() as session:
            days, profiles = everything_computed(session, now, recipe, as_of)
        assert_same(self.shop.stored(PERSON_DAYS), days)
        assert_same(self.shop.stored(PROFILES), profiles)
        stored = {row["event_id"]: row["person_id"] for row in self.shop.stored(EVENTS)}
        assert stored == {one.event_id: one.person_id for one in now}
        assert {row["old_person"]: row["new_person"] for row in self.overrides_in_lake()} == self.published


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with warehouse_in(tmp_path) as warehouse:
        yield Town(Shop(warehouse))


def bought(event_id: int, person: int, day: int) -> Happening:
    return purchase(event_id, person, BEGIN + timedelta(days=day))


RECIPE, AS_OF = recipe_of("UTC"), BEGIN + timedelta(days=60)


def test_a_merge_and_its_undoing_move_days_and_profiles(town: Town) -> None:
    town.shop.publish([bought(1, 1, 1), bought(2, 2, 1), bought(3, 2, 20), bought(4, 3, 3)])
    town.refresh(RECIPE, AS_OF)
    town.holds(RECIPE, AS_OF)
    town.merge(1, 2)
    done = town.refresh(RECIPE, AS_OF)
    assert (done.full, done.moved, done.people) == (False, 2, 2)
    town.holds(RECIPE, AS_OF)
    assert [row["person_id"] for row in town.shop.stored(PROFILES)] == [1, 3]
    assert touched(town.state, 0).people.num_rows == 0, "what every reader knows is forgotten"
    again = town.refresh(RECIPE, AS_OF)
    assert (again.moved, again.people, again.person_days) == (0, 0, 0)
    town.shop.publish([bought(5, 2, 30)], gone=[town.shop.live[2]])
    town.refresh(RECIPE, AS_OF)
    town.holds(RECIPE, AS_OF)
    town.undo_one(1)
    town.refresh(RECIPE, AS_OF)
    town.holds(RECIPE, AS_OF)
    assert [row["person_id"] for row in town.shop.stored(PROFILES)] == [1, 2, 3]
    assert town.overrides_in_lake() == []


def test_somebody_without_facts_of_their_own_stands_for_those_who_have_some(town: Town) -> None:
    town.shop.publish([bought(1, 3, 1)])
    town.refresh(RECIPE, AS_OF)
    town.merge(1, 2)
    assert town.refresh(RECIPE, AS_OF).moved == 2, "who stands for whom is published though nobody's days changed"
    town.merge(2, 3)
    town.refresh(RECIPE, AS_OF)
    town.holds(RECIPE, AS_OF)
    assert [row["person_id"] for row in town.shop.stored(PROFILES)] == [1]


def test_what_was_folded_in_stays_with_who_took_over_when_it_is_undone(town: Town) -> None:
    town.shop.publish([bought(1, 1, 1), bought(2, 2, 20)])
    town.merge(1, 2)
    town.refresh(RECIPE, AS_OF)
    town.compact(older_than_hours=5)
    assert town.shop.live[2].person_id == 2, "too young to be folded in"
    town.compact(older_than_hours=-1)
    assert town.shop.live[2].person_id == 1
    with town.shop.warehouse.reading() as session:
        filed = session.run(one("filed", "SELECT DISTINCT person_id FROM events_filed")).to_pylist()
    assert filed == [{"person_id": 1}]
    town.holds(RECIPE, AS_OF)
    merged = next(join for join in explain(town.state, 1) if join.outcome == "merged")
    told = undo(town.state, [merged.numbers], ANN, clock=town.clock)
    assert (told.people, told.folded) == ((1, 2), (2,))
    town.shop.publish([bought(3, 2, 30)])
    town.refresh(RECIPE, AS_OF)
    town.holds(RECIPE, AS_OF)
    assert [row["events"] for row in town.shop.stored(PROFILES)] == [2, 1]


def live_in_town(data: st.DataObject, town: Town, recipe: Recipe) -> None:
    """Publishes, corrects, merges, splits, compacts and refreshes at random."""
    as_of = BEGIN + timedelta(days=data.draw(st.integers(20, 120), label="first as_of"))
    next_id = 1
    steps = data.draw(st.lists(st.sampled_from("ppmmsucr"), min_size=4, max_size=14), label="steps")
    for step in [*steps, "r"]:
        shop = town.shop
        if step == "p":
            count = data.draw(st.integers(0, 6), label="new events")
            new = [data.draw(happenings(next_id + number, people=PEOPLE)) for number in range(count)]
            next_id += count
            wrong = data.draw(st.sets(st.sampled_from(sorted(shop.live)), max_size=3)) if shop.live else set()
            shop.publish(new, [shop.live[number] for number in wrong])
        elif step == "m":
            a, b = data.draw(st.tuples(st.integers(1, PEOPLE), st.integers(1, PEOPLE)), label="merge")
            if town.now(a) != town.now(b):
                town.merge(a, b)
        elif step in "su":
            taken = [person for person in range(1, PEOPLE + 1) if town.now(person) != person]
            if taken:
                town.undo_one(town.now(data.draw(st.sampled_from(taken), label="undo")))
        elif step == "c":
            town.compact(data.draw(st.sampled_from([None, -1, 0, 2]), label="fold older than"))
        elif shop.live or shop.stored(PROFILES):
            town.refresh(recipe, as_of, full=data.draw(st.sampled_from([False, False, False, True]), label="full"))
            town.holds(recipe, as_of)
            as_of += timedelta(days=data.draw(st.sampled_from([0, 0, 1, 30, -25]), label="step"))


def run(data: st.DataObject, zone: str, fold_share: float) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(refreshing, "FOLD_SHARE", fold_share)
        with warehouse_in(Path(folder)) as warehouse:
            live_in_town(data, Town(Shop(warehouse, zone)), recipe_of(zone, window_days=30))


FAST = settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
drawn = given(data=st.data(), zone=st.sampled_from(ZONES), fold_share=st.sampled_from([0.0, 0.2, 1e9]))


@FAST
@drawn
def test_following_equals_full(data: st.DataObject, zone: str, fold_share: float) -> None:
    run(data, zone, fold_share)


@pytest.mark.slow
@settings(FAST, max_examples=80)
@drawn
def test_following_equals_full_in_many_histories(data: st.DataObject, zone: str, fold_share: float) -> None:
    run(data, zone, fold_share)
