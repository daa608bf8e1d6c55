"""Unmodified SDKs that send until the end, with the retries they have."""

from __future__ import annotations

import http.client
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.worker.sales import revenue
from tests.worker.sending import Clients

with warnings.catch_warnings():
    # What the packages are warned of while they are loaded is their makers' business.
    warnings.simplefilter("ignore")
    import sensorsanalytics
    from segment.analytics.client import Client as Segment

_EVERY_SECONDS = 0.1
_PATIENCE_SECONDS = 300
_SENSORS_FAILURES = (sensorsanalytics.SensorsAnalyticsNetworkException, OSError, http.client.HTTPException)


@contextmanager
def segment(clients: Clients, write_key: str, *, gzip: bool = False) -> Iterator[None]:
    """Segment's SDK, which retries by itself; what it does not report as failed counts as acknowledged at the end.

    The server has to answer when this ends.
    """
    failed: set[int] = set()
    tracked: set[int] = set()

    def hear(_error: Any, batch: Any) -> None:
        failed.update(one["properties"]["n"] for one in batch)

    url = f"http://127.0.0.1:{clients.port}"
    sdk = Segment(write_key, host=url, on_error=hear, upload_interval=0.2, gzip=gzip)

    def track(number: int) -> None:
        assert sdk.track(f"sdk{number % 9}", "Order Completed", {"n": number, "revenue": revenue(number)})[0]
        tracked.add(number)

    with _tracking(clients, track):
        yield
    sdk.flush()
    sdk.shutdown()
    assert tracked, "the SDK sent nothing"
    clients.hear(tracked - failed)


@contextmanager
def sensors(clients: Clients, write_key: str) -> Iterator[None]:
    """The SDK of Sensors Data, whose consumer keeps what it could not send, and sends it with what comes next.

    The server has to answer when this ends.
    """
    consumer = sensorsanalytics.BatchConsumer(
        f"http://127.0.0.1:{clients.port}/sa?project={write_key}", max_size=5, request_timeout=10
    )
    sdk, waiting, failures = sensorsanalytics.SensorsAnalytics(consumer), set[int](), [0]

    def sent(call: Any) -> bool:
        try:
            call()
        except _SENSORS_FAILURES:
            failures[0] += 1
            return False
        return True

    def track(number: int) -> None:
        properties = {"n": number, "order_amount": revenue(number)}
        waiting.add(number)
        sent(lambda: sdk.track(f"sdk{number % 9}", "PayOrder", properties, is_login_id=True))
        if number % 3 == 0 and sent(sdk.flush):
            clients.hear(waiting)
            waiting.clear()

    with _tracking(clients, track):
        yield
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not sent(sdk.flush):
        assert time.monotonic() < give_up, "the server does not answer"
        time.sleep(0.1)
    clients.hear(waiting)
    sdk.close()


@contextmanager
def _tracking(clients: Clients, track: Any) -> Iterator[None]:
    """Tracks events in a thread of its own."""
    stop, wrong = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not stop.wait(_EVERY_SECONDS):
                track(clients.take())
        except BaseException as error:  # noqa: BLE001 - raised below
            wrong.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if wrong:
        raise wrong[0]
