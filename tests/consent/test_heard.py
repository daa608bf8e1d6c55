"""Words out of live events: each once, whatever dies in between; a field that repeats itself opens nothing again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Connection

from jingzhe.collect.calls import Normalised
from jingzhe.collect.minding import Kept
from jingzhe.consent.addresses import hash_of
from jingzhe.consent.asking import may, may_personalise
from jingzhe.consent.minding import Mind
from jingzhe.consent.suppressions import listed
from jingzhe.consent.traits import Field, fields_of, set_field, truth
from jingzhe.consent.words import Word, words_of, write
from jingzhe.core.errors import SettingError, StateError
from tests.collect.live import Live, live, track

EMAIL = "li.lei@example.com"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as found:
        found.drain.minding = Mind(found.warehouse.state)
        yield found


def identify(traits: dict[str, Any], mark: str = "i1", **more: Any) -> dict[str, Any]:
    known = {"timestamp": "2026-03-05T11:00:00Z", "messageId": mark} | more
    return {"type": "identify", "userId": "u1", "traits": traits, **known}


def reason(shop: Live, channel: str = "email", purpose: str = "marketing", **more: Any) -> str:
    return may(shop.warehouse.state, 1, channel, purpose, at=shop.clock.now(), **more).reason


def test_a_field_says_yes_with_its_source_and_page(shop: Live) -> None:
    shop.segment(identify({"Email_Opt_In": True, "sms_opt_in": "no", "age": 40, "push_opt_in": "perhaps"}))
    shop.drain.run()
    assert [reason(shop, one) for one in ("email", "sms", "push")] == ["granted", "withdrawn", "no-consent"]
    said = {word.channel: word for word in words_of(shop.warehouse.state, 1)}
    assert (said["email"].source, said["email"].evidence.agent) == ("shop", "test agent")
    assert said["email"].said_at == datetime.fromisoformat("2026-03-05T11:00:00+00:00")
    assert said["email"].event_id is not None


def test_a_stale_yes_does_not_open_again_what_was_closed(shop: Live) -> None:
    shop.segment(identify({"email_opt_in": True}))
    shop.drain.run()
    state, hour = shop.warehouse.state, timedelta(hours=1)
    shop.clock.moment += hour
    with state.writing() as connection:
        write(
            connection, [Word(1, "email", "marketing", "withdrawn", shop.clock.now(), source="link")], shop.clock.now()
        )
    shop.clock.moment += hour
    shop.segment(identify({"email_opt_in": True}, "i2", timestamp="2026-03-05T13:30:00Z"))
    shop.drain.run()
    assert reason(shop) == "withdrawn"
    # A no and then a yes of the same field is a new yes; repeated, neither adds anything.
    shop.segment(
        identify({"email_opt_in": False}, "i3", timestamp="2026-03-05T13:40:00Z"),
        identify({"email_opt_in": False}, "i4", timestamp="2026-03-05T13:45:00Z"),
        identify({"email_opt_in": True}, "i5", timestamp="2026-03-05T13:50:00Z"),
        identify({"email_opt_in": True}, "i6", timestamp="2026-03-05T13:55:00Z"),
    )
    shop.drain.run()
    assert reason(shop) == "granted"
    assert [word.status for word in words_of(state, 1)] == ["granted", "withdrawn", "withdrawn", "granted"]


def test_a_no_that_is_repeated_after_somebody_opened_again_is_a_no(shop: Live) -> None:
    shop.segment(identify({"email_opt_in": False}))
    shop.drain.run()
    state, now = shop.warehouse.state, shop.clock.now()
    with state.writing() as connection:
        write(connection, [Word(1, "email", "marketing", "granted", now, source="form")], now)
    assert reason(shop) == "granted"
    shop.clock.moment += timedelta(hours=2)
    shop.segment(identify({"email_opt_in": False}, "i2", timestamp="2026-03-05T13:30:00Z"))
    shop.drain.run()
    assert reason(shop) == "withdrawn"


def test_an_opt_in_without_a_channel_grants_little_and_refuses_all(shop: Live) -> None:
    shop.segment(identify({"marketing_opt_in": True, "sms_opt_in": True}))
    shop.drain.run()
    assert [reason(shop, one) for one in ("email", "sms", "push")] == ["granted", "granted", "no-consent"]
    shop.segment(identify({"marketing_opt_in": False}, "i2", timestamp="2026-03-05T11:30:00Z"))
    shop.drain.run()
    assert [reason(shop, one) for one in ("email", "sms")] == ["withdrawn", "withdrawn"]


def test_a_structured_consent(shop: Live) -> None:
    said = {"email": True, "newsletter": {"sms": True, "*": False}, "personalisation": False, "*": True}
    shop.segment(identify({"consent": said}))
    shop.drain.run()
    assert reason(shop) == "granted"
    assert reason(shop, "sms", "newsletter") == "withdrawn"  # of one moment, the no counts
    assert reason(shop, "push") == "no-consent"  # a yes to everything is no yes
    assert not may_personalise(shop.warehouse.state, 1, at=shop.clock.now())


def test_fields_of_sensors_and_a_mapping_of_ones_own(shop: Live) -> None:
    state = shop.warehouse.state
    set_field(state, "AcceptsSms", Field(("sms",), ("sms",)))
    set_field(state, "push_opt_in", None)
    assert "push_opt_in" not in fields_of(state)
    base: dict[str, Any] = {"distinct_id": "u1", "login_id": "u1", "time": 1_772_708_400_000}
    shop.sensors(
        {**base, "type": "profile_set", "_track_id": 1, "properties": {"acceptssms": "同意", "push_opt_in": True}},
        {**base, "type": "profile_set", "_track_id": 2, "properties": {"email_opt_in": True}},
        {
            **base,
            "type": "profile_unset",
            "_track_id": 3,
            "time": base["time"] + 5,
            "properties": {"email_opt_in": True},
        },
        {**base, "type": "profile_append", "_track_id": 4, "properties": {"marketing_opt_in": [True]}},
    )
    shop.drain.run()
    assert [reason(shop, one) for one in ("sms", "push", "email")] == ["granted", "no-consent", "withdrawn"]
    with pytest.raises(SettingError, match="no name of a channel"):
        set_field(state, "x", Field(("*",), ("*",)))


@pytest.mark.parametrize(
    ("value", "found"),
    [(True, True), (0, False), ("YES ", True), ("退订", None), ("否", False), ("", None), (None, None), ([True], None)],
)
def test_values_that_say_neither_conclude_nothing(value: object, found: bool | None) -> None:
    assert truth(value) is found


@pytest.mark.parametrize(
    ("event", "after", "transactional"),
    [
        (track("Unsubscribed", properties={"email": EMAIL}), "suppressed-unsubscribed", "transactional"),
        (track("Email Marked as Spam", properties={"email": EMAIL}), "suppressed-complaint", "suppressed-complaint"),
        (track("Email Bounced", properties={"email": EMAIL}), "suppressed-hard-bounce", "suppressed-hard-bounce"),
        (
            track("message_bounced", properties={"channel": "email", "recipient": EMAIL, "bounce_type": "Transient"}),
            "suppressed-soft-bounce",
            "suppressed-soft-bounce",
        ),
        (track("message_unsubscribed", properties={}), "suppressed-unsubscribed", "transactional"),
        (track("message_unsubscribed", properties={"channel": "email", "topic": "news"}), "granted", "transactional"),
    ],
    ids=["unsubscribed", "complaint", "hard bounce", "soft bounce", "unsubscribed from all", "from one topic"],
)
def test_messages_that_were_not_wanted_or_not_delivered(
    shop: Live, event: dict[str, Any], after: str, transactional: str
) -> None:
    state = shop.warehouse.state
    with state.writing() as connection:
        write(connection, [Word(1, "email", "marketing", "granted", shop.clock.now() - timedelta(days=1), source="f")],
              shop.clock.now() - timedelta(days=1))  # fmt: skip
    shop.segment(event)
    shop.drain.run()
    address = hash_of(state, "email", EMAIL)
    assert reason(shop, address=address) == after
    assert reason(shop, purpose="transactional", address=address) == transactional
    assert EMAIL not in repr(listed(state))


def test_a_soft_bounce_is_over_after_a_while_and_a_stranger_is_suppressed_too(shop: Live) -> None:
    shop.segment(track("Email Bounced", properties={"email": EMAIL, "type": "soft"}, userId=None, anonymousId="x"))
    shop.drain.run()
    (one,) = listed(shop.warehouse.state)
    assert (one.reason, one.channel) == ("soft_bounce", "email")
    assert one.holds(shop.clock.now())
    assert not one.holds(shop.clock.now() + timedelta(days=4))


@dataclass
class Dying(Mind):
    """Dies in the transaction that publishes, the first time."""

    lives: int = 1

    def heard(self, calls: Normalised, homes: NDArray[np.int64]) -> Kept | None:
        kept = super().heard(calls, homes)

        def dies(connection: Connection, now: datetime) -> None:
            if kept is not None:
                kept(connection, now)
            self.lives -= 1
            if self.lives >= 0:
                raise StateError("killed")

        return dies


def test_a_drain_that_dies_and_is_done_again_says_everything_once(shop: Live) -> None:
    state = shop.warehouse.state
    shop.drain.minding = Dying(state)
    shop.segment(identify({"email_opt_in": True}), track("Unsubscribed", properties={"email": EMAIL}))
    with pytest.raises(StateError, match="killed"):
        shop.drain.run()
    assert (words_of(state, 1), listed(state)) == ([], [])
    assert shop.drain.run().calls == 2
    assert (len(words_of(state, 1)), len(listed(state))) == (2, 1)
    # Long after, when it is no longer known as a message, the same comes again.
    shop.clock.moment += timedelta(days=30)
    shop.segment(identify({"email_opt_in": True}), track("Unsubscribed", properties={"email": EMAIL}))
    assert shop.drain.run().calls == 2
    assert (len(words_of(state, 1)), len(listed(state))) == (2, 1)
