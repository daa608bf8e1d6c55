"""What was drawn, written down as Arrow tables with the columns that the store has for facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jingzhe.core.errors import SettingError
from jingzhe.simulate.arrays import Bytes, Ints, within_runs
from jingzhe.simulate.baskets import Lines, Refunds, order_sums
from jingzhe.simulate.business import SOURCES, Business
from jingzhe.simulate.catalogue import Catalogue
from jingzhe.simulate.people import People
from jingzhe.simulate.rhythm import Visits
from jingzhe.simulate.season import DAY_SECONDS, first_second
from jingzhe.simulate.sessions import ACTIVITIES, NAMES, Expanded, Kind, Sessions

EVENT_BITS = 20
"""``event_id`` is the person's id and, in this many bits, the number of the event."""

HISTORY_EVENTS = 1 << 17
"""A person's events in the window have numbers below this one; added days have those from here on."""

TS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class Block:
    """Everything that was drawn for some people.

    Args:
        people: who they are.
        orders: the visits on which they bought.
        order_number: shape (orders,), number of the order, 1 being the person's first.
        lines: what they bought.
        refunds: what they brought back.
        sessions: all visits, in order.
        expanded: single events of these.
    """

    people: People
    orders: Visits
    order_number: Ints
    lines: Lines
    refunds: Refunds
    sessions: Sessions
    expanded: Expanded


@dataclass(frozen=True)
class Labels:
    """What is written on every row of a table.

    Args:
        batch: number of the publication.
        first_event: number of a person's first event.
        most_events: how many numbers there are for a person's events.
        order_middle: stands in order numbers before the person's number of the order.
    """

    batch: int = 1
    first_event: int = 0
    most_events: int = HISTORY_EVENTS
    order_middle: str = "-"


def customer_keys(person_ids: Ints) -> pa.StringArray:
    """Returns the keys by which the business knows ``person_ids`` (n,): ``C00000001`` for person 1."""
    return _prefixed("C", person_ids, 8)


def order_ids(person_ids: Ints, numbers: Ints, middle: str = "-") -> pa.StringArray:
    """Returns numbers of orders, such as ``S000000123-4`` for the fourth of person 123; all of shape (n,)."""
    number = pa.array(numbers).cast(pa.string())
    return pc.binary_join_element_wise(_prefixed("S", person_ids, 9), number, middle)


def facts(block: Block, business: Business, catalogue: Catalogue, labels: Labels) -> tuple[pa.Table, pa.Table]:
    """Returns the events and the items of ``block``, both ordered by person and time.

    Raises:
        SettingError: somebody has more events than there are numbers for.
    """
    expanded, sessions = block.expanded, block.sessions
    person = sessions.person[expanded.session]
    numbers = within_runs(np.bincount(person, minlength=len(block.people)))
    if len(numbers) and numbers.max() >= labels.most_events:
        raise SettingError(
            "a person has more events than there are numbers for",
            hint="ask for fewer events or more people",
            most=labels.most_events,
        )
    event_id = (block.people.ids[person] << EVENT_BITS) + (numbers + labels.first_event)
    bought = (sessions.kind == Kind.ORDER) | (sessions.kind == Kind.TILL)
    order_event, refund_event = (
        _by_deal(expanded.last[chosen], sessions.deal[chosen]) for chosen in (bought, sessions.kind == Kind.REFUND)
    )
    base = first_second(business)
    second = expanded.second + base
    source = sessions.source[expanded.session]
    ts, day = _moments(second)
    events = {
        "event_id": pa.array(event_id),
        "ts": ts,
        "day": day,
        "received_at": ts,
        "source": _named(SOURCES, source),
        "name": _named(NAMES, expanded.step),
        "activity": _named(ACTIVITIES, expanded.step),
        "person_id": pa.array(block.people.ids[person]),
        **_deals(block, business, labels, order_event, refund_event),
        "batch": pa.array(np.full(len(event_id), labels.batch)),
    }
    items = _items(block, catalogue, event_id[order_event], event_id[refund_event], base=base, batch=labels.batch)
    return pa.table(events), items


def _deals(
    block: Block, business: Business, labels: Labels, order_event: Ints, refund_event: Ints
) -> dict[str, pa.Array]:
    """Returns the columns that only orders and refunds have, given the positions of their events."""
    n, lines, refunds = len(block.expanded.step), block.lines, block.refunds
    empty = np.ones(n, dtype=np.bool_)
    position = np.concatenate([order_event, refund_event])
    empty[position] = False

    def column(bought: Ints, returned: Ints, cents: float) -> pa.Array:
        values = np.zeros(n)
        values[position] = np.concatenate([bought, -_per_refund(returned, refunds)]) / cents
        return pa.array(values, mask=empty)

    discount = np.zeros(n)
    discount[order_event] = order_sums(lines.discount_cents, lines.starts) / 100
    undiscounted = np.ones(n, dtype=np.bool_)
    undiscounted[order_event] = False
    order = np.zeros(n, dtype=np.int64)
    order[position] = np.concatenate([np.arange(len(order_event)), refunds.order])
    ids = order_ids(block.people.ids[block.orders.person], block.order_number, labels.order_middle)
    amount, quantity = lines.amount_cents, lines.quantity
    return {
        "order_id": ids.take(pa.array(order, mask=empty)),
        "revenue": column(order_sums(amount, lines.starts), amount[refunds.lines], 100),
        "discount": pa.array(discount, mask=undiscounted),
        "quantity": column(order_sums(quantity, lines.starts), quantity[refunds.lines], 1),
        "currency": pa.array([business.currency]).take(pa.array(np.zeros(n, dtype=np.int8), mask=empty)),
    }


def _items(block: Block, catalogue: Catalogue, order_id: Ints, refund_id: Ints, *, base: int, batch: int) -> pa.Table:
    """Returns the lines of orders and refunds, given the ids of their events.

    A refunded line has the list price and what was paid back, but no discount: nobody gave one then.
    """
    lines, refunds = block.lines, block.refunds
    sold = len(lines.order)
    event_id = np.concatenate([order_id[lines.order], refund_id[refunds.refund]])
    second = np.concatenate([block.orders.second[lines.order], refunds.second[refunds.refund]]) + base
    line = np.concatenate([np.arange(sold), refunds.lines])
    # Numbers of events ascend with time, so this is the order by person and time.
    order = np.argsort(event_id, kind="stable")
    event_id, second, line, returned = event_id[order], second[order], line[order], order >= sold
    sign = np.where(returned, -1, 1)
    product = lines.product[line]
    ts, day = _moments(second)
    return pa.table(
        {
            "event_id": pa.array(event_id),
            "ts": ts,
            "day": day,
            "person_id": pa.array(event_id >> EVENT_BITS),
            "product_id": catalogue.ids.take(pa.array(product)),
            "category": catalogue.names.take(pa.array(catalogue.category[product])),
            "quantity": pa.array((sign * lines.quantity[line]).astype(np.float64)),
            "price": pa.array(lines.price_cents[line] / 100),
            "discount": pa.array(lines.discount_cents[line] / 100, mask=returned),
            "amount": pa.array(sign * lines.amount_cents[line] / 100),
            "batch": pa.array(np.full(len(event_id), batch)),
        }
    )


def _by_deal(events: Ints, deals: Ints) -> Ints:
    """Returns the positions of events in the order of their deals."""
    placed = np.empty(len(deals), dtype=np.int64)
    placed[deals] = events
    return placed


def _per_refund(values: Ints, refunds: Refunds) -> Ints:
    """Returns the sums of ``values`` (refunded lines,) for each refund."""
    first = np.flatnonzero(np.diff(refunds.refund, prepend=-1))
    return order_sums(values, first)


def _moments(second: Ints) -> tuple[pa.Array, pa.Array]:
    """Returns timestamps and their UTC days, given seconds since 1970."""
    ts = pa.array(second * 1_000_000).view(TS)
    return ts, pa.array((second // DAY_SECONDS).astype(np.int32)).view(pa.date32())


def _named(names: tuple[str, ...], codes: Ints | Bytes) -> pa.StringArray:
    """Returns ``names`` by their positions ``codes``."""
    return pa.array(names).take(pa.array(codes.astype(np.int8)))


def _prefixed(letter: str, numbers: Ints, width: int) -> pa.StringArray:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(letter, digits, "")
