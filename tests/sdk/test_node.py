"""The SDKs for Node.js and for mini-programs, unmodified."""

from __future__ import annotations

import pytest

from tests.sdk.conftest import Collector, Node, properties, signed_up

pytestmark = pytest.mark.slow


def test_segment(server: Collector, node: Node) -> None:
    node.run("segment.cjs", "segment-node")
    rows = server.arrived("segment-node", 3)
    assert sorted(row["call"] for row in rows) == ["identify", "page", "track"]
    assert [row["revenue"] for row in rows if row["call"] == "track"] == [25.5]


def test_rudderstack(server: Collector, node: Node) -> None:
    node.run("rudder.cjs", "rudder-node")
    rows = server.arrived("rudder-node", 6)
    assert sorted(row["call"] for row in rows) == ["alias", "group", "identify", "page", "screen", "track"]
    assert sorted(row["name"] for row in rows if row["name"]) == ["cart_added", "page_viewed", "screen_viewed"]
    assert [properties(row) for row in rows if row["call"] == "group"] == [{"plan": "large"}]


def test_sensors(server: Collector, node: Node) -> None:
    with node.running("sensors.cjs", "sensors-node") as said:
        rows = server.arrived("sensors-node", 4)
    assert sorted(row["call"] for row in rows) == ["profile", "track", "track", "track"], said
    signed_up(rows, "sensors-node")
    assert [row["revenue"] for row in rows if row["sent_name"] == "PayOrder"] == [42.0]


@pytest.mark.parametrize("batch", ["0", "1"])
def test_mini_program(server: Collector, node: Node, monkeypatch: pytest.MonkeyPatch, batch: str) -> None:
    monkeypatch.setenv("BATCH", batch)
    user = f"mini-program-{batch}"
    with node.running("mini_program.cjs", user) as said:
        rows = server.arrived(user, 2)
    assert {row["sent_name"] for row in rows} == {"PayOrder", "$SignUp"}, said
    assert {row["channel"] for row in rows} == {"mini_program"}
    signed_up(rows, user)
    assert [row["revenue"] for row in rows if row["sent_name"] == "PayOrder"] == [42.0]
