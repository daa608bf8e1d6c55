"""Codes: made, found, disabled; slugs that are free, short and readable."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jingzhe.access import audit
from jingzhe.access.actor import MACHINE
from jingzhe.access.errors import NotThereError
from jingzhe.collect.write_keys import add_source, list_sources
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SettingError, StateError
from jingzhe.links.codes import LETTERS, SLUG_LENGTH, Codes, NewCode, new_slug
from jingzhe.store.state import State

POSTER = NewCode("Poster at the till", "https://shop.example.com/spring", placement="store poster", campaign="spring")


def test_a_code_is_what_was_asked_for(state: State, clock: FixedClock) -> None:
    codes = Codes(state, clock)
    made = codes.add(MACHINE, replace(POSTER, utm={"source": "poster"}, expires_at=clock.now() + timedelta(days=1)))
    assert codes.get(made.slug) == made
    assert codes.known(made.slug) == made
    assert made.url("https://go.shop.example/") == f"https://go.shop.example/l/{made.slug}"
    assert (made.name, made.channel, made.utm, made.made_by) == (
        "Poster at the till", "qr_code", {"source": "poster"}, "machine:cli",
    )  # fmt: skip
    assert [row.action for row in audit.rows(state)] == ["code.made"]


def test_codes_of_one_channel_share_a_source_that_no_key_leads_to(state: State, clock: FixedClock) -> None:
    add_source(state, "shop", clock=clock)
    codes = Codes(state, clock)
    first, second = codes.add(MACHINE, POSTER), codes.add(MACHINE, POSTER)
    friend = codes.add(MACHINE, replace(POSTER, channel="member_referral", member="M17"))
    assert first.source_id == second.source_id != friend.source_id
    found = {one.source_id: (one.name, one.kind, one.keys) for one in list_sources(state)}
    assert found[first.source_id] == ("codes: qr_code", "qr_code", ())
    assert found[friend.source_id] == ("codes: member_referral", "member_referral", ())


def test_slugs_are_short_random_and_can_be_read_aloud() -> None:
    slugs = [new_slug() for _ in range(2000)]
    assert len(set(slugs)) == 2000
    assert {len(one) for one in slugs} == {SLUG_LENGTH}
    assert set("".join(slugs)) == set(LETTERS)
    assert not set(LETTERS) & set("0o1il")


def test_a_slug_that_is_taken_is_drawn_anew(state: State, clock: FixedClock) -> None:
    drawn = iter(["aaaaaaaaaa", "aaaaaaaaaa", "bbbbbbbbbb"])
    codes = Codes(state, clock, slugs=lambda: next(drawn))
    assert [codes.add(MACHINE, POSTER).slug for _ in range(2)] == ["aaaaaaaaaa", "bbbbbbbbbb"]
    stuck = Codes(state, clock, slugs=lambda: "aaaaaaaaaa")
    with pytest.raises(StateError, match="free slug"):
        stuck.add(MACHINE, POSTER)
    assert len(codes.all()) == 2


def test_a_code_works_until_it_expires_or_is_disabled(state: State, clock: FixedClock) -> None:
    codes = Codes(state, clock)
    made = codes.add(MACHINE, replace(POSTER, expires_at=clock.now() + timedelta(days=1)))
    assert made.works(clock.now() + timedelta(hours=23))
    assert not made.works(clock.now() + timedelta(days=1))
    assert not codes.disable(MACHINE, made.slug).works(clock.now())
    codes.disable(MACHINE, made.slug)
    assert [row.action for row in audit.rows(state)] == ["code.disabled", "code.made"]
    with pytest.raises(NotThereError):
        codes.disable(MACHINE, "nonsense22")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": "a\x00b"}, {"name": "x" * 101}, {"channel": "pigeon"}, {"campaign": "x" * 101},
        {"channel": "member_referral"}, {"target": "javascript:alert(1)"}, {"utm": {"colour": "red"}},
    ],
)  # fmt: skip
def test_what_no_code_can_be(state: State, clock: FixedClock, wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Codes(state, clock).add(MACHINE, replace(POSTER, **wrong))  # type: ignore[arg-type]
    assert Codes(state, clock).all() == []


def test_pages_go_on_behind_the_last_one(state: State, clock: FixedClock) -> None:
    codes = Codes(state, clock)
    for number in range(5):
        codes.add(MACHINE, POSTER)
        clock.moment += timedelta(seconds=number % 2)
    whole, first = codes.all(), codes.all(limit=2)
    assert first[-1].created_at is not None
    assert [*first, *codes.all(before=(first[-1].created_at, first[-1].slug))] == whole
