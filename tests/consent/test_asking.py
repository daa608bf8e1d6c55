"""May this be sent? The newest word counts, merged people speak for one another, and without a yes it is no."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from jingzhe.consent.addresses import hash_of
from jingzhe.consent.asking import REASONS, Question, answers, may, may_all, may_personalise
from jingzhe.consent.suppressions import COVERS, Suppression, add, lift, listed, suppressions_of
from jingzhe.consent.words import Evidence, Word, checked, words_of, write
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import NoDataError, SettingError
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import By, merge, undo
from jingzhe.identity.people import explain, find_key
from jingzhe.store.state import State
from tests.consent.conftest import NOON, met

HOUR = timedelta(hours=1)


def say(state: State, person: int, status: Any, at: datetime = NOON, **more: Any) -> None:
    known = {"channel": "email", "purpose": "marketing", "source": "form", "actor": "account:a"} | more
    with state.writing() as connection:
        write(connection, [Word(person, status=status, said_at=at, **known)], at)


def stop(state: State, at: datetime = NOON, **more: Any) -> Suppression:
    covers = COVERS[more["reason"]]
    with state.writing() as connection:
        return add(connection, Suppression(begun_at=at, source="test", actor="a", covers=covers, **more), at)


def reason(state: State, person: int, at: datetime = NOON + HOUR, channel: str = "email", **more: Any) -> str:
    return may(state, person, channel, more.pop("purpose", "marketing"), at=at, **more).reason


def test_without_a_word_the_answer_is_no(state: State) -> None:
    assert may(state, 7, "email", "marketing", at=NOON) == may(state, 7, "sms", "newsletter", at=NOON)
    assert reason(state, 7) == "no-consent"
    assert may(state, 7, "email", "transactional", at=NOON).allowed
    assert answers(state, [], at=NOON) == []


def test_the_newest_word_counts_for_its_channel_and_purpose_and_as_of_a_moment(state: State) -> None:
    say(state, 1, "granted", NOON, expires_at=NOON + 10 * HOUR)
    assert reason(state, 1) == "granted"
    assert [reason(state, 1, channel="sms"), reason(state, 1, purpose="newsletter")] == ["no-consent"] * 2
    assert reason(state, 1, NOON + 10 * HOUR) == "expired"
    say(state, 1, "withdrawn", NOON + 2 * HOUR)
    assert [reason(state, 1, NOON + h * HOUR) for h in (-1, 0, 1, 2, 3)] == [
        "no-consent", "granted", "granted", "withdrawn", "withdrawn",
    ]  # fmt: skip
    say(state, 1, "granted", NOON + 4 * HOUR)
    assert reason(state, 1, NOON + 5 * HOUR) == "granted"
    say(state, 1, "withdrawn", NOON + 6 * HOUR, channel="*", purpose="*")
    assert reason(state, 1, NOON + 7 * HOUR) == "withdrawn"


def test_of_two_words_of_one_moment_the_no_counts(state: State) -> None:
    for status in ("granted", "withdrawn", "granted"):
        say(state, 1, status)
    assert reason(state, 1) == "withdrawn"


def test_what_was_learned_later_is_not_known_before(state: State) -> None:
    with state.writing() as connection:
        write(connection, [Word(1, "email", "marketing", "granted", NOON - 48 * HOUR, source="paper")], NOON)
    assert reason(state, 1, NOON - HOUR) == "no-consent"
    assert reason(state, 1, NOON) == "granted"
    assert words_of(state, 1, at=NOON - HOUR) == []


def test_a_withdrawal_of_a_merged_person_wins_over_an_older_grant_and_an_undone_merge_takes_it_back(
    state: State, clock: FixedClock
) -> None:
    first, second = met(state, clock, ("login", "a")), met(state, clock, ("member", "m"))
    assert first != second
    say(state, first, "granted", NOON)
    say(state, second, "withdrawn", NOON + HOUR)
    assert [reason(state, one, NOON + 2 * HOUR) for one in (first, second)] == ["granted", "withdrawn"]
    merge(state, first, second, By("li", "same card"), clock=clock)
    assert [reason(state, one, NOON + 2 * HOUR) for one in (first, second)] == ["withdrawn", "withdrawn"]
    assert [word.status for word in words_of(state, second)] == ["granted", "withdrawn"]
    say(state, first, "granted", NOON + 3 * HOUR)
    assert reason(state, second, NOON + 4 * HOUR) == "granted"
    (join,) = [one for one in explain(state, first) if one.outcome == "merged"]
    undo(state, [join.numbers], By("li", "not the same"), clock=clock)
    assert [reason(state, one, NOON + 4 * HOUR) for one in (first, second)] == ["granted", "withdrawn"]


def test_an_address_that_is_suppressed_stops_its_person_and_whoever_has_it_next(
    state: State, clock: FixedClock
) -> None:
    person = met(state, clock, ("login", "a"), ("email", "Li@Example.com"))
    other = met(state, clock, ("login", "b"))
    for one in (person, other):
        say(state, one, "granted")
        say(state, one, "granted", channel="sms")
    address = hash_of(state, "email", " li@example.COM ")
    made = stop(state, address=address, reason="hard_bounce", channel="email")
    assert reason(state, person) == "suppressed-hard-bounce"
    assert reason(state, person, purpose="transactional") == "suppressed-hard-bounce"
    assert reason(state, person, channel="sms") == "granted"
    assert reason(state, person, address=hash_of(state, "email", "new@example.com")) == "granted"
    assert [reason(state, other), reason(state, other, address=address)] == ["granted", "suppressed-hard-bounce"]
    assert [one.suppression_id for one in suppressions_of(state, person)] == [made.suppression_id]
    with state.writing() as connection:
        with pytest.raises(SettingError, match="needs a reason"):
            lift(connection, made.suppression_id or 0, by="a", why=" ", now=NOON + 2 * HOUR)
        lift(connection, made.suppression_id or 0, by="a", why="mended", now=NOON + 2 * HOUR)
    assert [reason(state, person, NOON + h * HOUR) for h in (1, 3)] == ["suppressed-hard-bounce", "granted"]
    with pytest.raises(NoDataError), state.writing() as connection:
        lift(connection, made.suppression_id or 0, by="a", why="again", now=NOON)


def test_what_each_suppression_stops(state: State) -> None:
    say(state, 1, "granted")
    say(state, 1, "granted", purpose="newsletter")
    stop(state, person_id=1, reason="unsubscribed", topic="newsletter")
    assert [reason(state, 1, purpose=one) for one in ("marketing", "newsletter", "transactional")] == [
        "granted", "suppressed-unsubscribed", "transactional",
    ]  # fmt: skip
    stop(state, person_id=1, reason="soft_bounce", expires_at=NOON + 5 * HOUR)
    assert [reason(state, 1, NOON + h * HOUR) for h in (4, 5)] == ["suppressed-soft-bounce", "granted"]
    stop(state, person_id=1, reason="complaint", channel="email")
    assert reason(state, 1, purpose="transactional") == "suppressed-complaint"
    assert len(listed(state)) == 3
    assert [one.reason for one in listed(state, reason="complaint")] == ["complaint"]


def test_a_grant_for_one_address_is_none_for_another_and_a_no_for_one_is_a_no_for_all(state: State) -> None:
    mine, other = (hash_of(state, "email", f"{name}@example.com") for name in ("mine", "other"))
    say(state, 1, "granted", address=mine)
    assert [reason(state, 1, address=one) for one in (mine, other, None)] == ["granted", "no-consent", "granted"]
    say(state, 1, "withdrawn", NOON + HOUR, address=other)
    assert reason(state, 1, NOON + 2 * HOUR, address=mine) == "withdrawn"


def test_automated_decisions_until_somebody_refuses(state: State) -> None:
    assert may_personalise(state, 1, at=NOON)
    stop(state, person_id=1, reason="unsubscribed")
    assert may_personalise(state, 1, at=NOON)
    say(state, 1, "withdrawn", channel="*", purpose="personalisation")
    assert not may_personalise(state, 1, at=NOON)
    assert may_personalise(state, 1, at=NOON - HOUR)
    say(state, 1, "granted", NOON + HOUR, channel="*", purpose="personalisation")
    assert may_personalise(state, 1, at=NOON + HOUR)


def test_evidence_comes_back_as_it_was_given(state: State) -> None:
    said = Evidence("v3", "https://shop.example/join", "203.0.113.9", "agent 1")
    say(state, 1, "granted", evidence=said, frequency="weekly", policy_version="2026-01", legal_basis="consent")
    (word,) = words_of(state, 1)
    assert (word.evidence, word.frequency, word.policy_version, word.recorded_at) == (said, "weekly", "2026-01", NOON)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"channel": "E-Mail"}, "no name of a channel"),
        ({"channel": "*"}, "no name of a channel"),
        ({"purpose": "*"}, "no name of a purpose"),
        ({"purpose": "transactional"}, "need no consent"),
        ({"said_at": NOON + HOUR}, "in the future"),
        ({"expires_at": NOON - HOUR}, "cannot end before"),
        ({"source": " "}, "its source"),
    ],
)
def test_words_that_cannot_stand(changes: dict[str, Any], match: str) -> None:
    good = Word(1, "email", "marketing", "granted", NOON, source="form")
    assert checked(good, NOON) is good
    with pytest.raises(SettingError, match=match):
        checked(replace(good, **changes), NOON)


def test_an_address_that_is_none_is_refused_without_being_repeated(state: State) -> None:
    with pytest.raises(SettingError) as caught:
        hash_of(state, "email", "very private")
    assert "private" not in str(caught.value)
    assert hash_of(state, "sms", "138 0013 9000") == hash_of(state, "mms", "+8613800139000")
    assert hash_of(state, "email", "a@b.cn") != hash_of(state, "push", "a@b.cn")
    assert "a@b.cn" not in hash_of(state, "email", "a@b.cn")


def by_the_book(words: list[Word], stops: list[Suppression], question: Question, at: datetime) -> bool:
    """The rules said again in Python, for people without merges."""
    for one in stops:
        about = one.channel in {question.channel, "*"} and one.topic in {question.purpose, "*"}
        if one.person_id == question.person_id and about and one.holds(at):
            return False
    said = [
        one
        for one in words
        if one.person_id == question.person_id
        and one.channel in {question.channel, "*"}
        and one.purpose in {question.purpose, "*"}
        and one.said_at <= at
    ]
    if not said:
        return False
    last = max(said, key=lambda one: (one.said_at, one.status == "withdrawn"))
    return last.status == "granted" and (last.expires_at is None or last.expires_at > at)


def test_random_histories_against_the_rules_said_again(state: State) -> None:
    draw = random.Random(5)  # noqa: S311
    words: list[Word] = []
    for _ in range(400):
        at = NOON + draw.randrange(48) * HOUR
        status: Any = draw.choice(["granted", "withdrawn"])
        wild = status == "withdrawn" and draw.random() < 0.2
        expires = at + draw.randrange(1, 40) * HOUR if draw.random() < 0.3 else None
        channel = "*" if wild else draw.choice(["email", "sms"])
        words.append(Word(draw.randrange(1, 60), channel, draw.choice(["marketing", "news"]), status, at,
                          source="s", expires_at=expires))  # fmt: skip
    stops = [
        Suppression(
            "by_hand", NOON + draw.randrange(48) * HOUR, person_id=draw.randrange(1, 60),
            channel=draw.choice(["email", "*"]), topic=draw.choice(["news", "*"]),
        )
        for _ in range(25)
    ]  # fmt: skip
    with state.writing() as connection:
        write(connection, words, NOON)
        for one in stops:
            add(connection, one, NOON)
    allowed = 0
    for hour in (0, 7, 23, 60):
        at = NOON + hour * HOUR
        asked = [Question(p, c, u) for p in range(1, 61) for c in ("email", "sms") for u in ("marketing", "news")]
        found = answers(state, asked, at=at)
        assert {one.reason for one in found} <= set(REASONS)
        assert [one.allowed for one in found] == [by_the_book(words, stops, one, at) for one in asked]
        allowed += sum(one.allowed for one in found)
        many = may_all(state, pa.array([one.person_id for one in asked[::4]]), "email", "marketing", at=at)
        assert many["allowed"].to_pylist() == [one.allowed for one in found[::4]]
    assert 50 < allowed < 800


def test_many_people_are_asked_for_in_one_statement(state: State) -> None:
    """A hundred times the people must not cost much more than a hundred times as much."""
    people = 20_000
    with state.writing() as connection:
        write(connection, (Word(n, "email", "marketing", "granted", NOON, source="s", record_id=n)
                           for n in range(1, people + 1, 2)), NOON)  # fmt: skip
    begun = time.process_time()
    found = may_all(state, pa.array(range(1, people + 1)), "email", "marketing", at=NOON)
    assert time.process_time() - begun < 5
    assert found["allowed"].to_pylist() == [True, False] * (people // 2)


def test_a_key_of_identity_is_the_address(state: State, clock: FixedClock) -> None:
    met(state, clock, ("login", "a"), ("phone", "13800139000"))

    row = find_key(state, Key("phone", "138-0013-9000"))
    assert row is not None
    assert row.value == hash_of(state, "sms", "13800139000")
