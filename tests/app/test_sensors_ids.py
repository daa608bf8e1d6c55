"""Identities of Sensors' protocol 3.0 as its Python SDK, unmodified, writes them: who it is, what is left in files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jingzhe.app.collecting import drain_of, open_inbox
from jingzhe.app.workspace import Workspace, open_workspace
from jingzhe.collect.draining import Drain
from jingzhe.collect.received import Received, packed
from jingzhe.collect.wire import sensors
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import LakeError
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import decisions
from jingzhe.identity.people import find
from jingzhe.store.lake.tables import Lake
from jingzhe.store.state.inbox import Group
from tests.app.test_privacy import found_in
from tests.postgres import postgres_server, postgres_url

with warnings.catch_warnings():
    # What the package is warned of while it is loaded is its maker's business.
    warnings.simplefilter("ignore")
    from sensorsanalytics import SensorsAnalytics, SensorsAnalyticsIdentity

__all__ = ["postgres_server", "postgres_url"]

NOW = datetime.now(UTC)
EMAIL, PHONE, LOGIN = "li.geheim@example.com", "13712345678", "u-li-4711"


@dataclass
class Shop:
    """A project, and the SDK's consumer that sends to it."""

    workspace: Workspace
    drain: Drain
    home: Path
    sent: list[str] = field(default_factory=list)

    def send(self, message: str) -> None:
        """Takes a message of the SDK."""
        self.sent.append(message)

    def flush(self) -> None:
        """Is asked for by the SDK."""

    close = flush

    @property
    def sdk(self) -> Any:
        return SensorsAnalytics(self)

    def arrive(self) -> Any:
        """Puts into the inbox what the SDK has sent, as the collector does, and drains it."""
        found = sensors.check(f"[{','.join(self.sent)}]".encode(), b"", 10**6)
        self.sent.clear()
        now = int(NOW.timestamp() * 1e6)
        request = Received(1, "sensors", "", now, "", "", "loopback", found.events, found.body)
        self.drain.inbox.append(Group(1, found.events, now, packed([request])))
        return self.drain.run()

    def details(self, columns: str) -> list[tuple[Any, ...]]:
        found = self.workspace.sql(f"SELECT {columns} FROM event_details ORDER BY sent_name")
        return [tuple(row.values()) for row in found.to_pylist()]

    def now(self, kind: str, value: str) -> int | None:
        return find(self.workspace.warehouse.state, Key(kind, value))


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else ""
    settings: dict[str, Any] = {"state_url": url, "memory_limit_mb": 300, "threads": 1}
    with open_workspace(tmp_path / "home", clock=FixedClock(NOW), **settings) as workspace:
        add_source(workspace.warehouse.state, "shop", clock=workspace.warehouse.clock)
        with open_inbox(workspace.settings) as inbox:
            yield Shop(workspace, drain_of(workspace, inbox), tmp_path / "home")


def email(value: str = EMAIL) -> Any:
    return SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.EMAIL, value)


def phone(value: str = PHONE) -> Any:
    return SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.MOBILE, value)


def login(value: str = LOGIN) -> Any:
    return SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.LOGIN_ID, value)


def test_an_address_in_place_of_an_id_stands_nowhere_in_the_clear(shop: Shop) -> None:
    shop.sdk.track_by_id("Browsed", {"page": "p"}, email())
    shop.sdk.bind(email(), phone())
    shop.sdk.profile_set_by_id({"level": 3}, phone())
    assert f"$identity_email+{EMAIL}" in {json.loads(one)["distinct_id"] for one in shop.sent}
    assert shop.arrive().calls == 3
    assert shop.now("email", EMAIL) == shop.now("phone", PHONE) is not None
    assert shop.details("sent_name, call, user_id, anonymous_id") == [
        ("$BindID", "identify", None, None), ("Browsed", "track", None, None), ("profile_set", "profile", None, None),
    ]  # fmt: skip
    assert found_in(shop.home, EMAIL, PHONE) == set()


def test_an_id_that_is_unbound_is_not_theirs_any_more(shop: Shop) -> None:
    shop.sdk.bind(login(), email())
    shop.sdk.track_by_id("PayOrder", {"order_amount": 5.0}, login(), email())
    shop.arrive()
    shop.sdk.unbind(email())
    shop.sdk.track_by_id("Browsed", {}, login(), email())
    shop.sdk.track_by_id("Opened", {}, email())
    assert shop.arrive().calls == 3
    person, other = shop.now("login", LOGIN), shop.now("email", EMAIL)
    assert None is not person != other is not None
    assert shop.details("sent_name, call, person_id, user_id") == [
        ("$BindID", "identify", person, LOGIN), ("$UnbindID", "unbind", other, None),
        ("Browsed", "track", person, LOGIN), ("Opened", "track", other, None), ("PayOrder", "track", person, LOGIN),
    ]  # fmt: skip
    assert found_in(shop.home, EMAIL) == set()


def test_what_comes_before_and_after_in_one_batch_counts_in_its_order(shop: Shop) -> None:
    shop.sdk.bind(login(), phone())
    shop.sdk.unbind(phone())
    shop.sdk.bind(login("u-wang"), phone())
    shop.sdk.track_by_id("Opened", {}, phone())
    shop.arrive()
    assert shop.now("phone", PHONE) == shop.now("login", "u-wang") != shop.now("login", LOGIN)


def test_an_unbinding_that_is_drained_again_undoes_nothing_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake's disk was full for a moment, after the graph had been told everything."""
    shop.sdk.bind(login(), phone())
    shop.sdk.unbind(phone())
    shop.sdk.bind(login("u-wang"), phone())
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit", _disk_full)
        with pytest.raises(LakeError, match="full"):
            shop.arrive()
    wang = shop.now("login", "u-wang")
    assert shop.drain.run().calls == 3
    assert shop.now("phone", PHONE) == shop.now("login", "u-wang") == wang != shop.now("login", LOGIN)
    assert len(decisions(shop.workspace.warehouse.state)) == 1


def test_an_unbinding_of_an_id_that_nobody_knew_undoes_nothing_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sdk.unbind(phone())
    shop.sdk.bind(login("u-wang"), phone())
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "commit", _disk_full)
        with pytest.raises(LakeError, match="full"):
            shop.arrive()
    assert shop.drain.run().calls == 2
    assert shop.now("phone", PHONE) == shop.now("login", "u-wang")


def _disk_full(*_: object) -> int:
    raise LakeError("The disk is full")
