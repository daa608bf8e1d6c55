"""What every protocol is decoded into: one call of an SDK, in the terms of the tables."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

_NO_JSON = frozenset({b"", b"null", b"{}"})
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What a decoder of JSON raises: text is looked at for UTF-8 only where it is made, which is no ``DecodeError``."""


class Key(NamedTuple):
    """A key that a call carries: its kind in the terms of identity (``login``, ``cookie`` …) and its value."""

    kind: str
    value: str


class Line(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One product of an order, a cart or a view; None where the client says nothing."""

    product_id: str | None
    category: str | None
    quantity: float | None
    price: float | None
    discount: float | None


class Money(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a call says of money and goods, as the client writes it; None where it says nothing.

    Args:
        order_id: number of the order.
        revenue: net of discount, tax and shipping; no sign.
        discount: given on the order.
        quantity: units.
        currency: ISO 4217, upper case.
        lines: products.
    """

    order_id: str | None
    revenue: float | None
    discount: float | None
    quantity: float | None
    currency: str | None
    lines: tuple[Line, ...]


NO_MONEY = Money(None, None, None, None, None, ())


PAGE = ("url", "path", "referrer", "title")
"""Names of :attr:`Call.page`."""
_BEFORE = ("channel", "campaign_source", "campaign_medium", "campaign_name", "campaign_term", "campaign_content")
_AFTER = (
    "device", "device_model", "os", "os_version", "app", "app_version", "library", "locale", "time_zone", "country",
    "region", "city",
)  # fmt: skip
AROUND = (*_BEFORE, *_AFTER)
"""Names of :attr:`Call.around`; the first is the channel."""
CONTEXT = (*_BEFORE, *PAGE, *_AFTER)
"""Names of :attr:`Call.context`, which are columns of the table ``event_details``."""
NO_PAGE: tuple[str | None, ...] = (None, None, None, None)


class Call(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One call.

    Args:
        message_id: what marks it among those of its source; the same again is the same call.
        kind: ``track``, ``page``, ``screen``, ``identify``, ``group``, ``alias``, ``merge``, ``profile``, ``unbind``,
            ``item``.
        name: of the event as the client wrote it; empty where the kind says everything.
        at_us: when it happened by the client's clock, UTC microseconds; None where it does not say.
        sent_us: when it was sent by the client's clock; None where it does not say.
        historical: True where ``at_us`` is to be left alone.
        keys: of the person, the strongest first.
        user_id: as the client writes it.
        anonymous_id: as the client writes it.
        session_id: as the client writes it.
        money: what it says of money.
        page: where it happened, in the order of :data:`PAGE`; it changes from call to call.
        around: where else it happened, in the order of :data:`AROUND`; the same for most calls of a client.
        properties: its own properties (of ``identify`` and ``profile``: the traits) as JSON.
    """

    message_id: str
    kind: str
    name: str
    at_us: int | None
    sent_us: int | None
    historical: bool
    keys: tuple[Key, ...]
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    money: Money
    page: tuple[str | None, ...]
    around: tuple[str | None, ...]
    properties: str

    @property
    def context(self) -> tuple[str | None, ...]:
        """Returns where it happened, in the order of :data:`CONTEXT`."""
        before = len(_BEFORE)
        return (*self.around[:before], *self.page, *self.around[before:])


class BadCallError(Exception):
    """A call that cannot be a fact; it goes to quarantine.

    Args:
        reason: stable code, one of :data:`jingzhe.collect.reasons.REASONS`.
        field: which field of the call.
        detail: what is wrong with it, for people.
    """

    def __init__(self, reason: str, field: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.detail = detail


def bad_json(error: Exception, field: str = "") -> BadCallError:
    """Returns what to say of JSON that could not be read, or that holds something else than it should.

    Args:
        error: of the decoder.
        field: where it was, as far as the caller knows.
    """
    said = str(error)
    if isinstance(error, RecursionError):
        return BadCallError("too-deep", field, "nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        place = said.rpartition("at `$")[2].strip("`.") if "at `$" in said else ""
        return BadCallError("bad-field", ".".join(part for part in (field, place) if part), said)
    if isinstance(error, UnicodeDecodeError):
        return BadCallError("bad-encoding", field, said)
    return BadCallError("bad-json", field, said)


def mark(raw: bytes) -> str:
    """Returns an id for a call without one: the same bytes again have the same."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def as_text(raw: bytes) -> str:
    """Returns JSON as text, ``{}`` where there is none.

    Raises:
        BadCallError: it is not UTF-8.
    """
    if raw in _NO_JSON:
        return "{}"
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadCallError("bad-encoding", "properties", str(error)) from error
