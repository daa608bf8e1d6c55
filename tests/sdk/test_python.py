"""The Python SDKs of Segment, RudderStack and Sensors Data, unmodified."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from jingzhe.server.answers import problem
from tests.sdk.conftest import Busy, Collector, properties, signed_up

pytestmark = pytest.mark.slow

with warnings.catch_warnings():
    # What these packages are warned of while they are loaded is their makers' business.
    warnings.simplefilter("ignore")
    import sensorsanalytics
    from rudderstack.analytics.client import Client as Rudder
    from segment.analytics.client import Client as Segment


@pytest.mark.parametrize("gzip", [False, True])
def test_segment(server: Collector, gzip: bool) -> None:
    user, errors = f"segment-python-{gzip}", []
    client = Segment(server.key, host=server.url, gzip=gzip, on_error=lambda error, _: errors.append(error))
    client.identify(user, {"email": f"{user}@example.cn"})
    client.track(user, "Order Completed", {"order_id": "o1", "revenue": 25.5, "products": [{"product_id": "p"}]})
    client.page(user, "Docs", "Start", {"path": "/start"})
    client.screen(user, "Settings")
    client.alias(f"{user}-before", user)
    client.group(user, "company")
    client.shutdown()
    assert errors == []
    rows = server.arrived(user, 6)
    assert sorted(row["call"] for row in rows) == ["alias", "group", "identify", "page", "screen", "track"]
    order = next(row for row in rows if row["call"] == "track")
    assert (order["name"], order["activity"], order["revenue"]) == ("order_completed", "purchase", 25.5)
    assert (order["channel"], order["library"]) == ("server", "analytics-python")


@pytest.mark.parametrize("gzip", [False, True])
def test_rudderstack(server: Collector, gzip: bool) -> None:
    user, errors = f"rudder-python-{gzip}", []
    client = Rudder(server.key, host=server.url, gzip=gzip, on_error=lambda error, _: errors.append(error))
    client.identify(user, {"phone": "13900000001"})
    client.track(user, "Product Viewed", {"product_id": "p1"})
    client.page(user, "Docs", "Start", {"path": "/start"})
    client.screen(user, "Settings")
    client.group(user, "company", {"plan": "large"})
    client.alias(f"{user}-before", user)
    client.flush()
    client.join()
    assert errors == []
    rows = server.arrived(user, 6)
    assert sorted((row["call"], row["name"]) for row in rows if row["name"]) == [
        ("page", "page_viewed"), ("screen", "screen_viewed"), ("track", "product_viewed"),
    ]  # fmt: skip
    assert sorted(row["call"] for row in rows if not row["name"]) == ["alias", "group", "identify"]
    assert [properties(row) for row in rows if row["call"] == "group"] == [{"plan": "large"}]


@pytest.mark.parametrize("consumer", ["default", "batch"])
def test_sensors(server: Collector, consumer: str) -> None:
    user, url = f"sensors-python-{consumer}", f"{server.url}/sa?project={server.key}"
    kinds: dict[str, Any] = {"default": sensorsanalytics.DefaultConsumer, "batch": sensorsanalytics.BatchConsumer}
    client = sensorsanalytics.SensorsAnalytics(kinds[consumer](url))
    client.track(user, "PayOrder", {"order_amount": 99.0, "order_id": "o1"}, is_login_id=True)
    client.track(user, "$pageview", {"$url": "https://s.example/p"}, is_login_id=True)
    client.profile_set(user, {"level": 3}, is_login_id=True)
    client.track_signup(user, f"{user}-anonymous")
    client.close()
    rows = server.arrived(user, 4)
    assert sorted(row["call"] for row in rows) == ["profile", "track", "track", "track"]
    signed_up(rows, user)
    order = next(row for row in rows if row["sent_name"] == "PayOrder")
    assert (order["activity"], order["revenue"], order["user_id"]) == ("purchase", 99.0, user)
    assert properties(order)["order_id"] == "o1"


def test_sensors_with_the_write_key_in_its_events(server: Collector) -> None:
    consumer = sensorsanalytics.BatchConsumer(f"{server.url}/sa")
    client = sensorsanalytics.SensorsAnalytics(consumer, project_name=server.key)
    client.track("sensors-python-project", "PayOrder", {"order_amount": 1.0}, is_login_id=True)
    client.close()
    assert [row["name"] for row in server.arrived("sensors-python-project", 1)] == ["order_completed"]


@pytest.mark.parametrize("status", [429, 503])
def test_rudderstack_sends_again_what_a_busy_collector_did_not_take(busy: Busy, status: int) -> None:
    user, errors = f"rudder-python-{status}", []
    busy.answers += [problem(status, "rate", "Too many requests a second.", retry_after=1)] * 2
    client = Rudder(busy.server.key, host=busy.url, on_error=lambda error, _: errors.append(error))
    client.track(user, "Order Completed", {"order_id": "o1", "revenue": 3})
    client.flush()
    client.join()
    assert (errors, len(busy.refused)) == ([], 2)
    assert [row["revenue"] for row in busy.server.arrived(user, 1)] == [3.0]


def test_sensors_keeps_what_a_busy_collector_did_not_take(busy: Busy) -> None:
    """Its batches stay in the consumer until they are taken; the collector throttles with 503 only."""
    busy.answers.append(problem(503, "rate", "Too many requests a second.", retry_after=1))
    user, consumer = "sensors-python-busy", sensorsanalytics.BatchConsumer(f"{busy.url}/sa?project={busy.server.key}")
    client = sensorsanalytics.SensorsAnalytics(consumer)
    client.track(user, "PayOrder", {"order_amount": 3.0}, is_login_id=True)
    with pytest.raises(sensorsanalytics.SensorsAnalyticsNetworkException):
        client.flush()
    client.track(user, "PayOrder", {"order_amount": 4.0}, is_login_id=True)
    client.close()
    assert len(busy.refused) == 1
    assert sorted(row["revenue"] for row in busy.server.arrived(user, 2)) == [3.0, 4.0]


def test_a_wrong_write_key_is_told_to_the_sdk(server: Collector) -> None:
    errors: list[Any] = []
    client = Segment("wrong", host=server.url, on_error=lambda error, _: errors.append(error), max_retries=1)
    client.track("somebody", "x")
    client.shutdown()
    assert len(errors) == 1
    assert "write key" in str(errors[0])
