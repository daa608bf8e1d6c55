"""The browser SDKs, unmodified, in Chromium: a page of another origin than the collector's."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.sdk.conftest import Collector, signed_up

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
_PATIENCE_MS = 120_000
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists() and not os.environ.get("CI"), reason=f"no browser at {CHROMIUM}; apt-get install chromium"
    ),
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@dataclass
class Shop:
    """A web shop's page with one of the SDKs."""

    browser: Browser
    address: str
    said: list[str] = field(default_factory=list)

    @contextmanager
    def visited(self, script: str, code: str) -> Iterator[None]:
        """Opens an empty page, loads a script of the packages, runs ``code`` and leaves the page at the end.

        SDKs send when they like: the page has to stay until everything has arrived.
        """
        context = self.browser.new_context()
        context.set_default_timeout(_PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("requestfailed", lambda request: self.said.append(f"{request.url} {request.failure}"))
        page.goto(f"{self.address}/package.json")
        page.add_script_tag(url=f"{self.address}/node_modules/{script}")
        page.evaluate(code)
        yield
        context.close()


@pytest.fixture
def shop(packages: Path) -> Iterator[Shop]:
    handler = functools.partial(_Quiet, directory=str(packages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages, sync_playwright() as playwright:
        thread = threading.Thread(target=pages.serve_forever, daemon=True)
        thread.start()
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS), timeout=_PATIENCE_MS)
        yield Shop(browser, f"http://127.0.0.1:{pages.server_address[1]}")
        browser.close()
        pages.shutdown()
        thread.join()


def test_segment(server: Collector, shop: Shop) -> None:
    page = shop.visited(
        "@segment/analytics-next/dist/umd/index.js",
        f"""async () => {{
  const analytics = AnalyticsNext.AnalyticsBrowser.load(
    {{writeKey: '{server.key}', cdnURL: '{server.url}'}}, {{}});
  await analytics.page('Start');
  await analytics.identify('segment-browser', {{email: 'segment-browser@example.cn'}});
  await analytics.track('Product Added', {{product_id: 'p1', price: 5, quantity: 2}});
}}""",
    )
    with page:
        server.arrived("segment-browser", 2)
    rows = server.arrived("segment-browser", 2)
    assert sorted(row["call"] for row in rows) == ["identify", "track"], shop.said
    assert {row["channel"] for row in rows} == {"pc_web"}
    (anonymous,) = {row["anonymous_id"] for row in rows}
    assert "page" in {row["call"] for row in server.arrived(anonymous, 3)}


def test_rudderstack(server: Collector, shop: Shop) -> None:
    page = shop.visited(
        "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
        f"""async () => {{
  const client = new rudderanalytics.RudderAnalytics();
  client.load('{server.key}', '{server.url}', {{configUrl: '{server.url}', useBeacon: false}});
  client.identify('rudder-browser', {{email: 'rudder-browser@example.cn'}});
  client.track('Order Completed', {{revenue: 12, order_id: 'o1'}});
  client.page('Start');
}}""",
    )
    with page:
        server.arrived("rudder-browser", 3)
    rows = server.arrived("rudder-browser", 3)
    assert sorted(row["call"] for row in rows) == ["identify", "page", "track"], shop.said
    assert [row["revenue"] for row in rows if row["call"] == "track"] == [12.0]


def test_rudderstack_by_beacon(server: Collector, shop: Shop) -> None:
    page = shop.visited(
        "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
        f"""async () => {{
  const client = new rudderanalytics.RudderAnalytics();
  client.load('{server.key}', '{server.url}',
    {{configUrl: '{server.url}', useBeacon: true, beaconQueueOptions: {{flushQueueInterval: 500}}}});
  client.identify('rudder-beacon');
  client.track('Product Viewed', {{product_id: 'p1'}});
}}""",
    )
    with page:
        server.arrived("rudder-beacon", 2)
    rows = server.arrived("rudder-beacon", 2)
    assert sorted(row["call"] for row in rows) == ["identify", "track"], shop.said


@pytest.mark.parametrize(
    ("how", "batch"), [("image", "false"), ("ajax", "false"), ("beacon", "false"), ("ajax", "true")]
)
def test_sensors(server: Collector, shop: Shop, how: str, batch: str) -> None:
    user = f"sensors-browser-{how}-{batch}"
    page = shop.visited(
        "sa-sdk-javascript/sensorsdata.min.js",
        f"""() => {{
  const sensors = window['sensorsDataAnalytic201505'];
  sensors.init({{server_url: '{server.url}/sa.gif?project={server.key}', send_type: '{how}', batch_send: {batch},
    heatmap: {{clickmap: 'not_collect', scroll_notice_map: 'not_collect'}}}});
  sensors.login('{user}');
  sensors.track('PayOrder', {{order_amount: 42}});
  sensors.quick('autoTrack');
}}""",
    )
    with page:
        server.arrived(user, 3)
    rows = server.arrived(user, 3)
    assert {row["sent_name"] for row in rows} >= {"PayOrder", "$pageview"}, shop.said
    assert [row["revenue"] for row in rows if row["sent_name"] == "PayOrder"] == [42.0]
    assert {row["name"] for row in rows if row["sent_name"] == "$pageview"} == {"page_viewed"}
    signed_up(rows, user)
