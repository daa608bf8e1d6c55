"""The events that the tests under load send: what an event is, and what has to become of it, follows from its number.

So nothing needs to be remembered of an event but its number, and the lake can be checked against what was sent.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

PEOPLE = 40
_BROWSERS = 3
_WRONG_EVERY = 23
_REASONS = ("missing-event", "missing-customer", "unknown-call")


def person(number: int) -> int:
    """Returns who did it."""
    return number % PEOPLE


def keys(number: int) -> tuple[str | None, str | None]:
    """Returns the user and the browser that an event names; some name one of them alone."""
    who = person(number)
    user, browser = f"u{who}", f"a{who}-{number // PEOPLE % _BROWSERS}"
    which = number // (PEOPLE * _BROWSERS) % 3
    return (user if which != 2 else None), (browser if which != 1 else None)


def revenue(number: int) -> float:
    """Returns what was paid; sums of it are exact."""
    return number % 97 + 0.25


def wrong(number: int) -> str:
    """Returns the reason for which an event will be refused; empty for most."""
    place, rest = divmod(number, _WRONG_EVERY)
    return _REASONS[place % len(_REASONS)] if rest == 7 else ""


def mendable(number: int) -> bool:
    """Tells whether an event that will be refused is to be corrected and replayed some time."""
    return bool(wrong(number)) and number // (_WRONG_EVERY * len(_REASONS)) % 2 == 0


def patch(number: int, protocol: str) -> dict[str, Any]:
    """Returns the correction of a wrong event, as a JSON merge patch."""
    user, browser = keys(number)
    if protocol == "segment":
        name, customer = "Order Completed", {"userId": user} if user else {"anonymousId": browser}
    else:
        name, customer = "PayOrder", {"distinct_id": user or browser}
    return {"missing-event": {"event": name}, "missing-customer": customer, "unknown-call": {"type": "track"}}[
        wrong(number)
    ]


def segment_batch(numbers: list[int]) -> dict[str, Any]:
    """Returns a batch as Segment's SDKs send it."""
    now = datetime.now(UTC).isoformat()
    return {"batch": [_segment(number, now) for number in numbers], "sentAt": now}


def sensors_batch(numbers: list[int]) -> list[dict[str, Any]]:
    """Returns events as the SDKs of Sensors Data send them."""
    now_ms = int(time.time() * 1000)
    return [_sensors(number, now_ms) for number in numbers]


def number_in(body: str) -> int:
    """Returns the number of an event in quarantine."""
    found: int = json.loads(body)["properties"]["n"]
    return found


def _segment(number: int, now: str) -> dict[str, Any]:
    user, browser = keys(number)
    event: dict[str, Any] = {
        "type": "track", "event": "Order Completed", "userId": user, "anonymousId": browser,
        "messageId": f"m{number}", "timestamp": now, "properties": {"n": number, "revenue": revenue(number)},
    }  # fmt: skip
    return _spoilt(event, number, ("userId", "anonymousId"))


def _sensors(number: int, now_ms: int) -> dict[str, Any]:
    user, browser = keys(number)
    event: dict[str, Any] = {
        "type": "track", "event": "PayOrder", "distinct_id": user or browser, "anonymous_id": browser,
        "_track_id": number, "time": now_ms, "_flush_time": now_ms,
        "properties": {"n": number, "order_amount": revenue(number), "$is_login_id": user is not None},
    }  # fmt: skip
    return _spoilt(event, number, ("distinct_id", "anonymous_id"))


def _spoilt(event: dict[str, Any], number: int, ids: tuple[str, ...]) -> dict[str, Any]:
    reason = wrong(number)
    if reason == "unknown-call":
        event["type"] = "bought"
    for name in {"missing-event": ("event",), "missing-customer": ids}.get(reason, ()):
        del event[name]
    return event
