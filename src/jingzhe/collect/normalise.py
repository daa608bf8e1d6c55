"""From requests of the inbox to columns of facts: decoded, checked, with corrected clocks and canonical names.

One pass over the events fills plain columns; everything after it (whose they are, which are known already, the
tables) is done with sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from msgspec import structs

from jingzhe.collect.calls import Heading, Named, Normalised, Refused, number_of
from jingzhe.collect.isolating import UNFORESEEN
from jingzhe.collect.naming import Names
from jingzhe.collect.received import HISTORICAL, WHOLE, Received
from jingzhe.collect.wire import segment, sensors
from jingzhe.collect.wire.call import AROUND, NO_MONEY, BadCallError, Call, Line, Money
from jingzhe.collect.wire.sizes import check_size
from jingzhe.collect.wire.values import text
from jingzhe.collect.write_keys import GUESSED, Source
from jingzhe.core.failures import told

DAY_US = 86_400_000_000
_CHANNEL = AROUND.index("channel")
_MOVED = frozenset({"purchase", "refund"})
_NONE_MOVED = (None, None, None, None, None)


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
            try:
                head, events, read = self._opened(request)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - said by the refusal; the other requests go on
                whole = structs.replace(request, body=b"", call=WHOLE if request.call == "batch" else request.call)
                done.refused.append(Refused(whole, request.body, UNFORESEEN, "", told(error)))
                continue
            if source is None:
                done.refused.extend(Refused(head, raw, "unknown-source", "", "") for raw in events)
                continue
            place = len(done.headings)
            done.headings.append(Heading(source.name, head.client, head.received_us, head))
            for raw in events:
                try:
                    check_size(raw)
                    self._add(done, place, source, raw, read(raw))
                except BadCallError as error:
                    done.refused.append(Refused(head, raw, error.reason, error.field, error.detail))
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - said by the refusal; the other events go on
                    done.refused.append(Refused(head, raw, UNFORESEEN, "", told(error)))
        return done

    def _opened(self, request: Received) -> tuple[Received, list[bytes], Callable[[bytes], Call]]:
        """Returns the request without its body, each event as it was written, and what makes a call of it."""
        if request.protocol == "sensors":
            read = partial(sensors.decode, user_agent=request.user_agent, zone=self.zone)
            return structs.replace(request, body=b""), sensors.events(request.body), read
        envelope, events = segment.events(request.body, request.call, request.sent_at, request.user_agent)
        call = HISTORICAL if envelope.historical else request.call
        head = structs.replace(request, body=b"", call=call, sent_at=text(envelope.sent_at) or "")
        return head, events, partial(segment.decode, envelope=envelope)

    def _add(self, done: Normalised, heading: int, source: Source, raw: bytes, call: Call) -> None:
        # Everything that may refuse the call comes before it is added, so that the lists stay equally long.
        ts_us = corrected_us(call, done.headings[heading].received_us)
        number = number_of(source.source_id, call.message_id.encode("utf-8", "surrogatepass"))
        named = done.names.get((call.kind, call.name)) or self._named(done, call)
        around, money, activity = call.around, call.money, named.activity
        if source.kind != GUESSED:
            around = (source.kind, *around[_CHANNEL + 1 :])
        silent = money is NO_MONEY and activity not in _MOVED
        moved = _NONE_MOVED if silent else self._money(money, activity)
        lines = _lines(number, money.lines, activity) if money.lines and activity is not None else ()
        context = done.contexts.setdefault(around, len(done.contexts))
        done.calls.append(call)
        done.ids.append(number)
        done.ts_us.append(ts_us)
        done.heading.append(heading)
        done.name.append(named.place)
        done.context.append(context)
        done.money.append(moved)
        done.lines.append(lines)
        done.raw.append(raw)

    def _named(self, done: Normalised, call: Call) -> Named:
        name, activity = self.names.meaning(call.kind, call.name) or (None, None)
        named = Named(call.kind, call.name or None, name, activity, len(done.names))
        done.names[call.kind, call.name] = named
        return named

    def _money(self, said: Money, activity: str | None) -> tuple[str | None, Any, Any, Any, str | None]:
        """Returns order number, revenue, discount, quantity and currency, as the table ``events`` has them."""
        if activity not in _MOVED:
            return said.order_id, None, None, None, None
        sign = -1.0 if activity == "refund" else 1.0
        revenue = None if said.revenue is None else sign * said.revenue
        quantity = None if said.quantity is None else sign * said.quantity
        return said.order_id, revenue, said.discount, quantity, said.currency or self.currency


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


def _lines(event_id: int, said: tuple[Line, ...], activity: str) -> tuple[tuple[Any, ...], ...]:
    """Returns the products of a call; only where money moved they have an amount."""
    lines = []
    moved = activity in _MOVED
    sign = -1.0 if activity == "refund" else 1.0
    for line in said:
        if line.product_id is None and line.category is None:
            continue
        quantity = line.quantity
        amount = None
        if moved and line.price is not None:
            amount = sign * max(0.0, line.price * (1.0 if quantity is None else quantity) - (line.discount or 0.0))
        signed = None if quantity is None else sign * quantity
        lines.append((event_id, line.product_id, line.category, signed, line.price, line.discount, amount))
    return tuple(lines)
