"""Incremental equals full: random histories, late data and corrections, day by day and back again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jingzhe.core.errors import NoDataError
from jingzhe.profile import refresh as refreshing
from jingzhe.profile.columns import PERSON_DAYS, PROFILES
from jingzhe.profile.packs import StatePack
from jingzhe.profile.queries import all_person_days
from jingzhe.profile.refresh import Recipe, refresh
from tests.profile.draws import BEGIN, ZONES, happenings
from tests.profile.shop import (
    Happening,
    Shop,
    assert_same,
    everything_computed,
    purchase,
    recipe_of,
    warehouse_in,
)

FAST = settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
SLOW = settings(FAST, max_examples=80)
BRISK = StatePack("brisk", 20, 45, new_days=10, returned_days=15, dormant_min_days=5, dormant_max_days=30)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with warehouse_in(tmp_path) as warehouse:
        yield Shop(warehouse)


def holds(shop: Shop, recipe: Recipe, as_of: date) -> None:
    """Asserts that what is stored is what is computed at once from everything that is live."""
    with shop.warehouse.engine.session() as session:
        days, profiles = everything_computed(session, list(shop.live.values()), recipe, as_of)
    assert_same(shop.stored(PERSON_DAYS), days)
    assert_same(shop.stored(PROFILES), profiles)


def live_on_for_some_days(data: st.DataObject, shop: Shop, recipe: Recipe) -> None:
    """Publishes, corrects and refreshes at random, and looks at the result each time."""
    as_of = BEGIN + timedelta(days=data.draw(st.integers(20, 120), label="first as_of"))
    next_id = 1
    for _ in range(data.draw(st.integers(2, 5), label="refreshes")):
        for _ in range(data.draw(st.integers(0, 2), label="batches")):
            count = data.draw(st.integers(0, 8), label="new events")
            new = [data.draw(happenings(next_id + number)) for number in range(count)]
            next_id += count
            known = sorted(shop.live)
            wrong = data.draw(st.sets(st.sampled_from(known), max_size=4), label="wrong") if known else set()
            leaver = data.draw(st.sampled_from([0, 0, 0, 1, 2]), label="who loses all")
            gone = [one for one in shop.live.values() if one.event_id in wrong or one.person_id == leaver]
            shop.publish(new, gone)
        if not shop.live and not shop.stored(PROFILES):
            continue
        refresh(shop.warehouse, recipe, as_of=as_of)
        holds(shop, recipe, as_of)
        as_of += timedelta(days=data.draw(st.sampled_from([0, 0, 1, 1, 7, 30, 90, -1, -25]), label="step"))
    if shop.live:
        refresh(shop.warehouse, recipe, as_of=as_of, full=True)
        holds(shop, recipe, as_of)


drawn = given(
    data=st.data(),
    zone=st.sampled_from(ZONES),
    fold_share=st.sampled_from([0.0, 0.2, 0.6, 1e9]),
    pack=st.sampled_from([StatePack(), BRISK]),
)


def run(data: st.DataObject, zone: str, fold_share: float, pack: StatePack) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(refreshing, "FOLD_SHARE", fold_share)
        with warehouse_in(Path(folder)) as warehouse:
            shop = Shop(warehouse, zone)
            live_on_for_some_days(data, shop, recipe_of(zone, pack, window_days=30))


@FAST
@drawn
def test_incremental_equals_full(data: st.DataObject, zone: str, fold_share: float, pack: StatePack) -> None:
    run(data, zone, fold_share, pack)


@pytest.mark.slow
@SLOW
@drawn
def test_incremental_equals_full_in_many_histories(
    data: st.DataObject, zone: str, fold_share: float, pack: StatePack
) -> None:
    run(data, zone, fold_share, pack)


def regulars(people: int, orders: int = 4, apart: int = 20) -> list[Happening]:
    """People who buy every so often, each beginning a day later than the one before."""
    return [
        purchase(100 * person + order, person, BEGIN + timedelta(days=person + apart * order))
        for person in range(1, people + 1)
        for order in range(orders)
    ]


def test_only_who_is_touched_or_expired_is_computed_again(shop: Shop) -> None:
    recipe = recipe_of("UTC")
    as_of = BEGIN + timedelta(days=80)
    shop.publish(regulars(people=10))
    assert (first := refresh(shop.warehouse, recipe, as_of=as_of)).full
    assert (first.people, first.person_days) == (10, 40)

    nothing = refresh(shop.warehouse, recipe, as_of=as_of)
    assert (nothing.full, nothing.people, nothing.person_days) == (False, 0, 0)

    shop.publish([purchase(9001, 3, as_of), purchase(9002, 3, as_of), purchase(9003, 7, as_of - timedelta(days=40))])
    touched = refresh(shop.warehouse, recipe, as_of=as_of)
    assert (touched.full, touched.people, touched.person_days) == (False, 2, 2)
    holds(shop, recipe, as_of)

    tomorrow = as_of + timedelta(days=11)
    expired = {row["person_id"] for row in shop.stored(PROFILES) if (row["valid_until"] or tomorrow) < tomorrow}
    assert 0 < len(expired) < 10
    later = refresh(shop.warehouse, recipe, as_of=tomorrow)
    assert (later.full, later.people, later.person_days) == (False, len(expired), 0)
    holds(shop, recipe, tomorrow)


def test_days_that_were_still_to_come_count_when_they_have_come(shop: Shop) -> None:
    """All events are imported at once; the profiles are first those of an earlier day, then those of the last."""
    recipe = recipe_of("UTC")
    early, late = BEGIN + timedelta(days=15), BEGIN + timedelta(days=70)
    shop.publish([*regulars(people=3), purchase(900, 9, BEGIN + timedelta(days=60))])
    assert refresh(shop.warehouse, recipe, as_of=early).people == 3
    moved = refresh(shop.warehouse, recipe, as_of=late)
    assert (moved.full, moved.people) == (False, 4)
    holds(shop, recipe, late)


def test_backwards_is_full_and_forwards_again_is_right(shop: Shop) -> None:
    recipe = recipe_of("UTC")
    shop.publish(regulars(people=5))
    for days, full in ((70, True), (30, True), (31, False), (69, False), (30, True)):
        as_of = BEGIN + timedelta(days=days)
        assert refresh(shop.warehouse, recipe, as_of=as_of).full is full
        holds(shop, recipe, as_of)


def test_another_pack_recomputes_profiles_but_not_days(shop: Shop) -> None:
    as_of = BEGIN + timedelta(days=80)
    shop.publish(regulars(people=5))
    refresh(shop.warehouse, recipe_of("UTC"), as_of=as_of)
    changed = refresh(shop.warehouse, recipe_of("UTC", BRISK), as_of=as_of)
    assert (changed.full, changed.people, changed.person_days) == (True, 5, 0)
    holds(shop, recipe_of("UTC", BRISK), as_of)


def test_sql_of_another_version_is_not_continued(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, as_of = recipe_of("UTC"), BEGIN + timedelta(days=80)
    shop.publish(regulars(people=5))
    refresh(shop.warehouse, recipe, as_of=as_of)
    monkeypatch.setattr(refreshing, "_digest", lambda _: "another version")
    again = refresh(shop.warehouse, recipe, as_of=as_of)
    assert (again.full, again.people, again.person_days) == (True, 5, 20)


def test_days_beyond_the_packed_limit_are_summed_plainly(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "PACKED_LIMIT", 1)
    recipe, as_of = recipe_of("UTC"), BEGIN + timedelta(days=80)
    shop.publish([*regulars(people=3), purchase(900, 1, BEGIN + timedelta(days=1))])
    asked: list[bool] = []

    def noted(*, utc: bool, packed: bool = True) -> object:
        asked.append(packed)
        return all_person_days(utc=utc, packed=packed)

    monkeypatch.setattr(refreshing, "all_person_days", noted)
    refresh(shop.warehouse, recipe, as_of=as_of)
    assert False in asked
    holds(shop, recipe, as_of)


@pytest.mark.parametrize("fold_share", [0.0, 1e9])
def test_everybody_may_lose_everything(shop: Shop, monkeypatch: pytest.MonkeyPatch, fold_share: float) -> None:
    monkeypatch.setattr(refreshing, "FOLD_SHARE", fold_share)
    recipe, as_of = recipe_of("UTC"), BEGIN + timedelta(days=80)
    shop.publish(regulars(people=2))
    refresh(shop.warehouse, recipe, as_of=as_of)
    shop.publish(gone=list(shop.live.values()))
    refresh(shop.warehouse, recipe, as_of=as_of)
    assert (shop.stored(PERSON_DAYS), shop.stored(PROFILES)) == ([], [])
    shop.publish([purchase(5000, 2, BEGIN)])
    refresh(shop.warehouse, recipe, as_of=as_of)
    holds(shop, recipe, as_of)


def test_the_overlay_is_folded_in_when_it_has_grown(shop: Shop) -> None:
    recipe, as_of = recipe_of("UTC"), BEGIN + timedelta(days=80)
    shop.publish(regulars(people=10))
    refresh(shop.warehouse, recipe, as_of=as_of)
    shop.publish([purchase(9000, 1, as_of)])
    assert refresh(shop.warehouse, recipe, as_of=as_of).folded == ()
    shop.publish([purchase(9000 + person, person, as_of) for person in range(2, 6)])
    assert refresh(shop.warehouse, recipe, as_of=as_of).folded == ("profiles",)
    holds(shop, recipe, as_of)


def test_without_events_there_is_nothing_to_refresh(shop: Shop) -> None:
    with pytest.raises(NoDataError, match="no events"):
        refresh(shop.warehouse, recipe_of("UTC"))
    with pytest.raises(NoDataError, match="no events"):
        refresh(shop.warehouse, recipe_of("UTC"), as_of=BEGIN)


def test_the_day_is_the_last_of_the_data_but_never_after_today(shop: Shop) -> None:
    recipe = recipe_of("UTC")
    shop.publish([purchase(1, 1, date(2026, 1, 31))])
    assert refresh(shop.warehouse, recipe).as_of == date(2026, 1, 31)
    shop.publish([purchase(2, 1, date(2099, 1, 1))])
    assert refresh(shop.warehouse, recipe).as_of == date(2026, 3, 5)
    holds(shop, recipe, date(2026, 3, 5))
