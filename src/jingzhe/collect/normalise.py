"""From requests of the inbox to columns of facts: decoded, checked, with corrected clocks and canonical names.

One pass over the events fills plain columns; everything after it (whose they are, which are known already, the
tables) is done with sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import structs
from numpy.typing import NDArray

from jingzhe.collect.naming import Meaning, Names
from jingzhe.collect.received import Received
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.wire.call import CONTEXT, BadCallError, Call, Key
from jingzhe.collect.wire.values import text
from jingzhe.collect.write_keys import GUESSED, Source

DAY_US = 86_400_000_000
EVENT_BYTES = 512 * 2**10
PROPERTIES_AT_MOST = 2000
_DEPTH = 64
_CHANNEL = CONTEXT.index("channel")

COLUMNS: Mapping[str, pa.DataType] = {
    "event_id": pa.int64(), "ts_us": pa.int64(), "received_us": pa.int64(), "source": pa.string(),
    "call": pa.string(), "sent_name": pa.string(), "name": pa.string(), "activity": pa.string(),
    "order_id": pa.string(), "revenue": pa.float64(), "discount": pa.float64(), "quantity": pa.float64(),
    "currency": pa.string(), "client": pa.string(), "user_id": pa.string(), "anonymous_id": pa.string(),
    "session_id": pa.string(), **dict.fromkeys(CONTEXT, pa.string()), "properties": pa.string(),
}  # fmt: skip
"""Columns of what comes out, one row a call."""
LINES: Mapping[str, pa.DataType] = {
    "event_id": pa.int64(), "product_id": pa.string(), "category": pa.string(), "quantity": pa.float64(),
    "price": pa.float64(), "discount": pa.float64(), "amount": pa.float64(),
}  # fmt: skip
"""Columns of products, one row a line."""


class Refused(NamedTuple):
    """One event that cannot be a fact, with all that is needed to try it again.

    Args:
        request: in which it came.
        body: the event as it was written.
        reason: stable code.
        field: which field.
        detail: what is wrong with it.
    """

    request: Received
    body: bytes
    reason: str
    field: str
    detail: str

    @property
    def number(self) -> int:
        """Returns its number in quarantine: the same event of the same source again has the same."""
        return _number(self.request.source_id, self.body)


@dataclass
class Normalised:
    """Calls in columns.

    Args:
        rows: values in the order of :data:`COLUMNS`.
        lines: products of each call, values in the order of :data:`LINES`.
        keys: of each call.
        origins: of each call, the request and the event as written, should it be refused after all.
        refused: events that cannot be facts.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[tuple[tuple[Any, ...], ...]] = field(default_factory=list)
    keys: list[tuple[Key, ...]] = field(default_factory=list)
    origins: list[tuple[Received, bytes]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def event_ids(self) -> NDArray[np.int64]:
        """Returns the numbers of the events."""
        return np.fromiter((row[0] for row in self.rows), np.int64, len(self.rows))

    def only(self, chosen: NDArray[np.bool_]) -> Normalised:
        """Returns the calls of ``chosen``, with their lines; what was refused stays refused."""
        if chosen.all():
            return self
        places = np.flatnonzero(chosen).tolist()
        return Normalised(
            [self.rows[place] for place in places],
            [self.lines[place] for place in places],
            [self.keys[place] for place in places],
            [self.origins[place] for place in places],
            self.refused,
        )

    def table(self, homes: NDArray[np.int64]) -> pa.Table:
        """Returns the calls with the column ``person_id``, null where it is 0."""
        columns = _columns(self.rows, COLUMNS)
        columns["person_id"] = pa.array(homes, mask=homes == 0)
        return pa.table(columns)

    def line_table(self) -> pa.Table:
        """Returns the products."""
        return pa.table(_columns([line for lines in self.lines for line in lines], LINES))


def _columns(rows: Sequence[tuple[Any, ...]], types: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    if not rows:
        return {name: pa.array([], kind) for name, kind in types.items()}
    return {
        name: pa.array(values, kind)
        for (name, kind), values in zip(types.items(), zip(*rows, strict=True), strict=True)
    }


@dataclass(frozen=True)
class Normaliser:
    """Turns requests into columns.

    Args:
        sources: by number.
        names: what names mean.
        zone: of the project, for moments that Sensors' clients write without one.
        currency: of amounts that carry none; None where unknown.
    """

    sources: Mapping[int, Source]
    names: Names
    zone: tzinfo = UTC
    currency: str | None = None

    def normalise(self, requests: Sequence[Received]) -> Normalised:
        """Returns everything that can be a fact, and what cannot."""
        done = Normalised()
        for request in requests:
            source = self.sources.get(request.source_id)
            head, calls = self._read(request)
            for raw, decoded in calls:
                try:
                    if source is None:
                        raise BadCallError("unknown-source")
                    if isinstance(decoded, BadCallError):
                        raise decoded
                    self._add(done, head, source, raw, decoded)
                except BadCallError as error:
                    done.refused.append(Refused(head, raw, error.reason, error.field, error.detail))
        return done

    def _read(self, request: Received) -> tuple[Received, Iterator[tuple[bytes, Call | BadCallError]]]:
        """Returns the request without its body, and each event as it was written and as a call, or why it is none."""
        if request.protocol == "sensors":
            read = partial(sensors.decode, user_agent=request.user_agent, zone=self.zone)
            return structs.replace(request, body=b""), _decoded(sensors.events(request.body), read)
        envelope, events = segment.events(request.body, request.call, request.sent_at, request.user_agent)
        head = structs.replace(request, body=b"", sent_at=text(envelope.sent_at) or "")
        return head, _decoded(events, partial(segment.decode, envelope=envelope))

    def _add(self, done: Normalised, request: Received, source: Source, raw: bytes, call: Call) -> None:
        ts_us = corrected_us(call, request.received_us)
        event_id = _number(source.source_id, call.message_id.encode("utf-8", "surrogatepass"))
        meaning = self.names.meaning(call.kind, call.name)
        name, activity = meaning or (None, None)
        where = call.context
        if source.kind != GUESSED:
            where = (*where[:_CHANNEL], source.kind, *where[_CHANNEL + 1 :])
        money = self._money(call, meaning)
        done.rows.append((
            event_id, ts_us, request.received_us, source.name, call.kind, call.name or None, name, activity, *money,
            request.client, call.user_id, call.anonymous_id, call.session_id, *where, call.properties,
        ))  # fmt: skip
        done.keys.append(call.keys)
        done.origins.append((request, raw))
        done.lines.append(_lines(event_id, call, meaning) if meaning is not None and call.money.lines else ())

    def _money(self, call: Call, meaning: Meaning | None) -> tuple[str | None, Any, Any, Any, str | None]:
        """Returns order number, revenue, discount, quantity and currency, as the table ``events`` has them."""
        said = call.money
        if meaning is None or meaning.activity not in {"purchase", "refund"}:
            return said.order_id, None, None, None, None
        sign = -1.0 if meaning.activity == "refund" else 1.0
        revenue = None if said.revenue is None else sign * said.revenue
        quantity = None if said.quantity is None else sign * said.quantity
        return said.order_id, revenue, said.discount, quantity, said.currency or self.currency


def _decoded(events: list[bytes], read: Callable[[bytes], Call]) -> Iterator[tuple[bytes, Call | BadCallError]]:
    for raw in events:
        try:
            _check_size(raw)
            yield raw, read(raw)
        except BadCallError as error:
            yield raw, error


def corrected_us(call: Call, received_us: int) -> int:
    """Returns when a call happened by our clock: received − (sent − happened); historical ones are left alone.

    Raises:
        BadCallError: that is before 1970 or more than a day in the future.
    """
    at = call.at_us
    if at is None:
        return received_us
    ts_us = at if call.historical or call.sent_us is None else received_us - (call.sent_us - at)
    if ts_us > received_us:
        if ts_us > received_us + DAY_US:
            raise BadCallError("time-in-future", "timestamp", "more than a day after it was received")
        return received_us
    if ts_us < 0:
        raise BadCallError("time-out-of-range", "timestamp", "before 1970")
    return ts_us


def _lines(event_id: int, call: Call, meaning: Meaning) -> tuple[tuple[Any, ...], ...]:
    """Returns the products of a call; only where money moved they have an amount."""
    lines = []
    moved = meaning.activity in {"purchase", "refund"}
    sign = -1.0 if meaning.activity == "refund" else 1.0
    for line in call.money.lines:
        if line.product_id is None and line.category is None:
            continue
        quantity = line.quantity
        amount = None
        if moved and line.price is not None:
            amount = sign * max(0.0, line.price * (1.0 if quantity is None else quantity) - (line.discount or 0.0))
        signed = None if quantity is None else sign * quantity
        lines.append((event_id, line.product_id, line.category, signed, line.price, line.discount, amount))
    return tuple(lines)


def _number(source_id: int, what: bytes) -> int:
    """Returns 63 bits that are the same whenever the same comes from the same source."""
    digest = hashlib.blake2b(what, digest_size=8, salt=source_id.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little") >> 1


def _check_size(raw: bytes) -> None:
    """Refuses what would be a burden to everybody who reads it."""
    if len(raw) > EVENT_BYTES:
        raise BadCallError("too-large", detail=f"{len(raw)} bytes, {EVENT_BYTES} are allowed")
    if raw.count(b":") > PROPERTIES_AT_MOST and _names(raw) > PROPERTIES_AT_MOST:
        raise BadCallError("too-many-properties", detail=f"more than {PROPERTIES_AT_MOST}")
    if raw.count(b"[") + raw.count(b"{") > _DEPTH and _depth(raw) > _DEPTH:
        raise BadCallError("too-deep", detail=f"more than {_DEPTH} levels")


def _names(raw: bytes) -> int:
    """Returns how many names the objects of a JSON text have."""
    count = 0
    for sign in _signs(raw):
        count += sign == 0x3A
    return count


def _depth(raw: bytes) -> int:
    """Returns how deeply a JSON text is nested."""
    depth = deepest = 0
    for sign in _signs(raw):
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest


def _signs(raw: bytes) -> Iterator[int]:
    """Gives what stands outside the strings of a JSON text."""
    inside = escaped = False
    for sign in raw:
        if inside:
            if escaped:
                escaped = False
            elif sign == 0x5C:
                escaped = True
            elif sign == 0x22:
                inside = False
        elif sign == 0x22:
            inside = True
        else:
            yield sign
