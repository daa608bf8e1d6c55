"""Calls that can be facts, in columns: what most of them share (context, name, request) is held once.

The lists are as long as there are calls; tables are made of them at the end, all values of a column at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, compress
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.collect.received import Received
from jingzhe.collect.sealed_properties import OF_PEOPLE, PropertySeal
from jingzhe.collect.wire.call import AROUND, CONTEXT, PAGE, Call, Key

COLUMNS: Mapping[str, pa.DataType] = {
    "event_id": pa.int64(), "ts_us": pa.int64(), "received_us": pa.int64(), "source": pa.string(),
    "call": pa.string(), "sent_name": pa.string(), "name": pa.string(), "activity": pa.string(),
    "order_id": pa.string(), "revenue": pa.float64(), "discount": pa.float64(), "quantity": pa.float64(),
    "currency": pa.string(), "client": pa.string(), "user_id": pa.string(), "anonymous_id": pa.string(),
    "session_id": pa.string(), **dict.fromkeys(CONTEXT, pa.string()), "properties": pa.string(),
}  # fmt: skip
"""Columns of what comes out, one row a call."""
MONEY = ("order_id", "revenue", "discount", "quantity", "currency")
LINES: Mapping[str, pa.DataType] = {
    "event_id": pa.int64(), "product_id": pa.string(), "category": pa.string(), "quantity": pa.float64(),
    "price": pa.float64(), "discount": pa.float64(), "amount": pa.float64(),
}  # fmt: skip
"""Columns of products, one row a line."""
V = TypeVar("V")
_REQUEST = ("source", "client", "received_us")
_NAMED = ("call", "sent_name", "name", "activity")


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
        return number_of(self.request.source_id, self.body)


class Heading(NamedTuple):
    """What the calls of one request share.

    Args:
        source: name of the source.
        client: class of its address.
        received_us: when it was received, UTC microseconds.
        request: without its body.
    """

    source: str
    client: str
    received_us: int
    request: Received


class Named(NamedTuple):
    """What a call is.

    Args:
        call: its kind.
        sent_name: as the client wrote it.
        name: the canonical one; None of what is no behaviour.
        activity: None of what is no behaviour.
        place: among the names of a drain.
    """

    call: str
    sent_name: str | None
    name: str | None
    activity: str | None
    place: int


@dataclass
class Normalised:
    """Calls that can be facts, and events that cannot.

    Args:
        calls: as they were decoded.
        ids: numbers of their events.
        ts_us: when they happened by our clock, UTC microseconds.
        headings: what the calls of a request share.
        heading: place in ``headings`` of each call.
        names: what calls are, by kind and name.
        name: place in ``names`` of each call.
        contexts: where calls happened, the page aside, in the order of ``AROUND``, and the place of each.
        context: place in ``contexts`` of each call.
        money: of each call, in the order of :data:`MONEY`.
        lines: products of each call, values in the order of :data:`LINES`.
        raw: of each call, the event as it was written, should it be refused after all.
        refused: events that cannot be facts.
    """

    calls: list[Call] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    ts_us: list[int] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    heading: list[int] = field(default_factory=list)
    names: dict[tuple[str, str], Named] = field(default_factory=dict)
    name: list[int] = field(default_factory=list)
    contexts: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    context: list[int] = field(default_factory=list)
    money: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[tuple[tuple[Any, ...], ...]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.calls)

    @property
    def event_ids(self) -> NDArray[np.int64]:
        """Returns the numbers of the events."""
        return np.array(self.ids, np.int64)

    @property
    def keys(self) -> list[tuple[Key, ...]]:
        """Returns the keys of each call."""
        return [call.keys for call in self.calls]

    def refuse(self, place: int, reason: str, where: str, detail: str) -> Refused:
        """Returns the call at a place as one that is refused after all."""
        return Refused(self.headings[self.heading[place]].request, self.raw[place], reason, where, detail)

    def only(self, chosen: NDArray[np.bool_]) -> Normalised:
        """Returns the calls of ``chosen``, with their lines; what was refused stays refused."""
        if chosen.all():
            return self
        mask = chosen.tolist()
        return Normalised(
            _only(self.calls, mask), _only(self.ids, mask), _only(self.ts_us, mask), self.headings,
            _only(self.heading, mask), self.names, _only(self.name, mask), self.contexts, _only(self.context, mask),
            _only(self.money, mask), _only(self.lines, mask), _only(self.raw, mask), self.refused,
        )  # fmt: skip

    def table(self, homes: NDArray[np.int64], seal: PropertySeal | None = None) -> pa.Table:
        """Returns the calls with the column ``person_id``, null where it is 0.

        Args:
            homes: whose each call is.
            seal: seals personal values in their properties; None to leave them as they are.
        """
        calls = self.calls
        columns: dict[str, list[Any]] = {
            "event_id": self.ids, "ts_us": self.ts_us, "user_id": [call.user_id for call in calls],
            "anonymous_id": [call.anonymous_id for call in calls], "session_id": [call.session_id for call in calls],
            "properties": [call.properties for call in calls],
            **_columns(MONEY, self.money), **_columns(PAGE, [call.page for call in calls]),
        }  # fmt: skip
        made = {name: pa.array(values, COLUMNS[name]) for name, values in columns.items()}
        if seal is not None:
            of_person = np.array([named.call in OF_PEOPLE for named in self.names.values()], bool)[self.name]
            made["properties"] = seal.column(made["properties"], self.ids, of_person)
        made |= _shared(_REQUEST, [heading[:3] for heading in self.headings], self.heading)
        made |= _shared(_NAMED, list(self.names.values()), self.name)
        made |= _shared(AROUND, list(self.contexts), self.context)
        return pa.table({**{name: made[name] for name in COLUMNS}, "person_id": pa.array(homes, mask=homes == 0)})

    def line_table(self) -> pa.Table:
        """Returns the products."""
        columns = _columns(tuple(LINES), list(chain.from_iterable(self.lines)))
        return pa.table({name: pa.array(values, LINES[name]) for name, values in columns.items()})


def _only(values: Iterable[V], mask: list[bool]) -> list[V]:
    return list(compress(values, mask))


def _columns(names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Returns rows as columns."""
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _shared(names: tuple[str, ...], rows: Sequence[tuple[Any, ...]], places: list[int]) -> dict[str, pa.Array]:
    """Returns columns of rows that stand at ``places``: each distinct row is made once."""
    at = pa.array(places, pa.int32())
    return {name: pa.array(values, COLUMNS[name]).take(at) for name, values in _columns(names, rows).items()}


def number_of(source_id: int, what: bytes) -> int:
    """Returns 63 bits that are the same whenever the same comes from the same source."""
    digest = _salted(source_id).copy()
    digest.update(what)
    return int.from_bytes(digest.digest(), "little") >> 1


@lru_cache(maxsize=1024)
def _salted(source_id: int) -> hashlib.blake2b:
    # To begin with a copy costs half of what it costs to begin anew.
    return hashlib.blake2b(digest_size=8, salt=source_id.to_bytes(16, "little"))
