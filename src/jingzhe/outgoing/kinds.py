"""What others can be told, and the form in which they are: one envelope, one version, one example a kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

EVENTS = "event.received"
STATES = "person.state_changed"
MERGED = "person.merged"
IMPORTED = "import.completed"
QUARANTINED = "quarantine.added"
PING = "webhook.ping"

KINDS: Mapping[str, str] = {
    EVENTS: "live events, some in one message, after they are in the lake",
    STATES: "people whose state changed at a refresh: active, declining, dormant, lost, returned …",
    MERGED: "two people turned out to be one",
    IMPORTED: "an import is published",
    QUARANTINED: "events or rows were refused and wait to be mended",
}
"""Kinds by name, each with what it tells."""
VERSION = 1
"""Of the messages' form; a field may be added within a version, none changes or goes."""


@dataclass(frozen=True)
class Message:
    """Something to tell one receiver.

    Args:
        kind: one of :data:`KINDS`.
        key: what makes it this message and no other; the same again is the same message.
        at: when it became true.
        data: what there is to say.
    """

    kind: str
    key: str
    at: datetime
    data: Mapping[str, Any] = field(hash=False)

    def delivery_id(self, webhook_id: str) -> str:
        """Returns the id under which a receiver can tell that it had the message before."""
        text = f"{webhook_id}\n{self.kind}\n{self.key}"
        return f"msg_{hashlib.blake2b(text.encode(), digest_size=15).hexdigest()}"

    def payload(self) -> bytes:
        """Returns the body that is sent and signed."""
        body = {"type": self.kind, "timestamp": self.at.isoformat(), "version": VERSION, "data": self.data}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> str:
    if isinstance(value, date):  # moments too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
