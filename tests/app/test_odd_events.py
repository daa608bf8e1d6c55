"""Whatever the collector acknowledges, the whole drain takes, or refuses with a reason: graph, consents, lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import open_workspace
from jingzhe.collect.calls import Normalised
from jingzhe.collect.draining import Drain
from jingzhe.collect.isolating import UNFORESEEN
from jingzhe.collect.received import Received, packed
from jingzhe.collect.refused_events import replay
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.write_keys import add_source
from jingzhe.consent.minding import Mind
from jingzhe.core.clock import FixedClock
from jingzhe.store.state.inbox import Group
from tests.collect.wire.odd import SEGMENT_FIELDS, SENSORS_FIELDS, events, values

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1e6)
NAMES = st.sampled_from(
    ["Order Completed", "Order Refunded", "Product Viewed", "Email Bounced", "Email Unsubscribed", "$SignUp", "x"]
)
KEYS = st.sampled_from(
    ["u1", "u2", "0", "13800138000", "+86 138 0013 8000", "Li@Example.com", "李", "\u202e", "a" * 2000]
)
TRAITS = st.dictionaries(
    st.sampled_from(
        ["email", "phone", "mobile", "unionid", "member_id", "till_card", "email_opt_in", "sms_opt_in", "name"]
    ),
    KEYS | values,
    max_size=5,
)
IDENTITIES = st.dictionaries(
    st.sampled_from(
        ["$identity_login_id", "$identity_mobile", "$identity_email", "$identity_mp_wx1_openid", "$identity_mp_unionid"]
    ),
    KEYS | values,
    max_size=4,
)


@pytest.fixture(scope="module")
def drain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drain]:
    home = tmp_path_factory.mktemp("odd") / "home"
    with open_workspace(home, clock=FixedClock(NOW), threads=1, currency="CNY") as workspace:
        add_source(workspace.warehouse.state, "shop", clock=workspace.warehouse.clock)
        with open_inbox(workspace.settings) as inbox:
            yield drain_of(workspace, inbox)


def told(drain: Drain, protocol: Any, call: str, body: bytes, count: int) -> None:
    request = Received(1, protocol, call, NOW_US, "", "agent", "loopback", count, body)
    drain.inbox.append(Group(1, count, NOW_US, packed([request])))
    done = drain.run()
    assert done.unforeseen == ()
    assert done.calls + done.duplicates + done.quarantined == done.events == count


def named(fields: tuple[str, ...], **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Returns events of which most say whose they are and what happened."""
    said = st.fixed_dictionaries({}, optional={name: one | values for name, one in given_.items()})
    return st.tuples(events(fields), said).map(lambda both: {**both[0], **both[1]})


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        named(
            SEGMENT_FIELDS, event=NAMES, userId=KEYS, anonymousId=KEYS, previousId=KEYS, traits=TRAITS,
            context=st.fixed_dictionaries({"traits": TRAITS}),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_segment(drain: Drain, batch: list[dict[str, Any]]) -> None:
    found = segment.check(json.dumps({"batch": batch}).encode(), "batch", 10**6)
    told(drain, "segment", "batch", found.body, found.events)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        named(SENSORS_FIELDS, event=NAMES, distinct_id=KEYS, login_id=KEYS, anonymous_id=KEYS, identities=IDENTITIES),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_sensors(drain: Drain, batch: list[dict[str, Any]]) -> None:
    found = sensors.check(json.dumps(batch).encode(), b"", 10**6)
    told(drain, "sensors", "", found.body, found.events)


def test_an_event_at_which_consent_fails_is_found_through_the_graph_of_people(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People and their keys are written while the drain looks for it: the same events are resolved again and again."""
    heard = Mind.heard

    def choking(mind: Mind, calls: Normalised, homes: Any) -> Any:
        if any(call.user_id in {"c3", "c6"} for call in calls.calls):
            raise LookupError
        return heard(mind, calls, homes)

    batch = [
        {"type": "identify", "userId": f"c{one}", "traits": {"email": f"c{one}@example.com", "email_opt_in": False}}
        for one in range(8)
    ]
    request = Received(1, "segment", "batch", NOW_US, "", "", "loopback", 8, json.dumps({"batch": batch}).encode())
    drain.inbox.append(Group(1, 8, NOW_US, packed([request])))
    with monkeypatch.context() as patched:
        patched.setattr(Mind, "heard", choking)
        done = drain.run()
    assert (done.calls, done.quarantined, len(done.unforeseen)) == (6, 2, 1)
    state = drain.warehouse.state
    assert replay(state, drain.inbox, clock=drain.warehouse.clock, reason=UNFORESEEN) == 2
    assert drain.run().calls == 2
