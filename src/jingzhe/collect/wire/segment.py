"""Segment and RudderStack: requests to events, events to calls.

Sources: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ and
https://segment.com/docs/connections/spec/common/; what the SDKs really send was captured from them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from jingzhe.collect.wire import bodies
from jingzhe.collect.wire.call import NO_MONEY, NO_PAGE, UNREADABLE, BadCallError, Call, Key, as_text, bad_json, mark
from jingzhe.collect.wire.channels import channel_of
from jingzhe.collect.wire.commerce import Order, money_of
from jingzhe.collect.wire.flags import is_set
from jingzhe.collect.wire.trait_keys import merged_keys, trait_keys
from jingzhe.collect.wire.values import moment_us, sent_us, text
from jingzhe.core.errors import RefusedBodyError

CALLS = {
    "t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": "batch",
    "track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias",
    "merge": "merge", "batch": "batch", "import": "batch",
}  # fmt: skip
"""The call that the last part of a route says."""

TYPES = frozenset({"track", "identify", "page", "screen", "group", "alias", "merge"})

_CACHED_BYTES = 2048
_CACHED_KEYS = 16_384
_NO_JSON = Raw(b"")
_NOTHING = frozenset({b"", b"null", b"{}"})


class Checked(NamedTuple):
    """A request that can be acknowledged.

    Args:
        body: the events as JSON.
        events: how many.
        write_key: from the body; empty where it names none.
    """

    body: bytes
    events: int
    write_key: str


class _Single(Struct, gc=False):
    """A request with one event. What is wrong with a field of the envelope is wrong with that alone."""

    writeKey: Raw = _NO_JSON  # noqa: N815 - the protocol's name


class _Batch(Struct, gc=False):
    """A request with many; whoever takes it and whoever reads it later read it alike."""

    batch: list[Raw]
    writeKey: Raw = _NO_JSON  # noqa: N815
    sentAt: Raw = _NO_JSON  # noqa: N815
    historical: Raw = _NO_JSON


class _Library(Struct, gc=False):
    name: Any = None


class _Page(Struct, gc=False):
    url: Any = None
    path: Any = None
    referrer: Any = None
    title: Any = None


class _Campaign(Struct, gc=False):
    source: Any = None
    medium: Any = None
    name: Any = None
    term: Any = None
    content: Any = None


class _Device(Struct, gc=False):
    id: Any = None
    type: Any = None
    model: Any = None


class _Named(Struct, gc=False):
    name: Any = None
    version: Any = None


class _Place(Struct, gc=False):
    country: Any = None
    region: Any = None
    city: Any = None


class _Context(Struct, gc=False):
    library: _Library | None = None
    page: _Page | None = None
    campaign: _Campaign | None = None
    device: _Device | None = None
    os: _Named | None = None
    app: _Named | None = None
    location: _Place | None = None
    userAgent: Any = None  # noqa: N815
    locale: Any = None
    timezone: Any = None
    sessionId: Any = None  # noqa: N815
    traits: Raw = _NO_JSON
    historical: Any = None


class _Event(Struct, gc=False):
    type: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    userId: Any = None  # noqa: N815
    anonymousId: Any = None  # noqa: N815
    previousId: Any = None  # noqa: N815
    mergeProperties: Raw = _NO_JSON  # noqa: N815
    messageId: Any = None  # noqa: N815
    timestamp: Any = None
    originalTimestamp: Any = None  # noqa: N815
    sentAt: Any = None  # noqa: N815
    sessionId: Any = None  # noqa: N815
    session_id: Any = None
    channel: Any = None
    historical: Any = None
    properties: Raw = _NO_JSON
    traits: Raw = _NO_JSON
    context: Raw = _NO_JSON


class _Properties(Order, gc=False):
    """What is read of an event's properties; the whole is kept as it was written."""

    url: Any = None
    path: Any = None
    referrer: Any = None
    title: Any = None


_batch = msgspec.json.Decoder(_Batch).decode
_single = msgspec.json.Decoder(_Single).decode
_anything = msgspec.json.Decoder().decode
_context = msgspec.json.Decoder(_Context).decode
_event = msgspec.json.Decoder(_Event).decode
_properties = msgspec.json.Decoder(_Properties).decode
_EMPTY_CAMPAIGN, _EMPTY_DEVICE = _Campaign(), _Device()
_EMPTY_NAMED, _EMPTY_PLACE, _EMPTY_CONTEXT = _Named(), _Place(), _Context()


def check(data: bytes, call: str, limit: int) -> Checked:
    """Says whether a request can be acknowledged.

    Args:
        data: the body as it came.
        call: what the route says; ``batch`` for many events.
        limit: how many bytes may come out of a compressed body.

    Raises:
        RefusedBodyError: it holds no events that could be read, now or later.
    """
    body = bodies.plain(data, limit)
    if not bodies.is_json(body):
        body = _in_form(body, limit)
    try:
        return _checked(body, call)
    except UNREADABLE as error:
        mended = bodies.with_whole_signs(body)
        if mended != body:
            return check(mended, call, limit)
        raise RefusedBodyError(f"The body is not what {call} sends: {error}", hint="It has to be JSON.") from error


def _checked(body: bytes, call: str) -> Checked:
    if call == "batch":
        many = _batch(body)
        return Checked(body, bodies.counted(len(many.batch)), _write_key(many.writeKey))
    return Checked(body, 1, _write_key(_single(body).writeKey))


def _write_key(raw: Raw) -> str:
    found = _of_envelope(raw)
    return found if isinstance(found, str) else ""


def _of_envelope(raw: Raw) -> Any:
    """Returns a value that the request gives for all its events, None where it cannot be read: it fails no event."""
    try:
        return _anything(raw) if raw != _NO_JSON else None
    except UNREADABLE:
        return None


def _in_form(body: bytes, limit: int) -> bytes:
    armoured = bodies.form(body).get("data", "") if body else ""
    found = bodies.plain(bodies.unarmoured(armoured), limit) if armoured else b""
    if not bodies.is_json(found):
        raise RefusedBodyError("The body is neither JSON nor a form with data", hint="It has to be JSON.")
    return found


class Envelope(NamedTuple):
    """What the request says of all its events.

    Args:
        call: what the route said.
        sent_at: from the body or a header.
        user_agent: from a header.
        historical: whether times are to be left alone.
        sent_us: ``sent_at`` as UTC microseconds; None where it does not say or cannot be read.
    """

    call: str
    sent_at: Any
    user_agent: str
    historical: bool
    sent_us: int | None = None


def events(body: bytes, call: str, sent_at: str, user_agent: str) -> tuple[Envelope, list[bytes]]:
    """Returns the events of a request that was checked, each as it was written."""
    if call != "batch":
        return Envelope(call, sent_at, user_agent, False, sent_us(sent_at)), [body]
    said = _batch(body)
    sent = _of_envelope(said.sentAt) or sent_at
    envelope = Envelope("", sent, user_agent, is_set(_of_envelope(said.historical)), sent_us(sent))
    return envelope, [bytes(one) for one in said.batch]


def decode(raw: bytes, envelope: Envelope) -> Call:
    """Returns one event as a call.

    Raises:
        BadCallError: it cannot be a fact; says why.
    """
    try:
        event = _event(raw)
    except UNREADABLE as error:
        raise bad_json(error) from error
    kind = envelope.call or event.type
    if not isinstance(kind, str) or kind not in TYPES:
        raise BadCallError("unknown-call", "type", f"{kind!r} is no call"[:200])
    around = _around(bytes(event.context), envelope.user_agent)
    user_id = None if event.userId is None else text(event.userId)
    anonymous_id = None if event.anonymousId is None else text(event.anonymousId)
    page, money, own = around.page, NO_MONEY, bytes(event.properties)
    if kind in {"identify", "group"}:
        own = _traits_of(event, around)
    elif own not in _NOTHING:
        try:
            properties = _properties(own)
        except UNREADABLE as error:
            raise bad_json(error, "properties") from error
        page = _with_own(page, properties)
        if kind == "track":
            money = money_of(properties)
    keys = _keys(kind, event, around, user_id, anonymous_id)
    if not keys:
        raise BadCallError("missing-customer", "userId", "neither userId nor anonymousId")
    session_id = event.sessionId or event.session_id
    return Call(
        text(event.messageId) or mark(raw),
        kind,
        _name(kind, event),
        moment_us(event.originalTimestamp or event.timestamp, "timestamp"),
        sent_us(event.sentAt) if event.sentAt else envelope.sent_us,
        envelope.historical or is_set(event.historical) or around.historical,
        keys,
        user_id,
        anonymous_id,
        (None if session_id is None else text(session_id)) or around.session_id,
        money,
        page,
        around.where,
        as_text(own),
    )


class _Around(NamedTuple):
    """What a context says, the same for most events of one client."""

    where: tuple[str | None, ...]
    page: tuple[str | None, ...]
    device_id: str | None
    session_id: str | None
    traits: bytes
    historical: bool


def _around(raw: bytes, agent: str) -> _Around:
    return _around_known(raw, agent) if len(raw) < _CACHED_BYTES else _read_around(raw, agent)


def _read_around(raw: bytes, agent: str) -> _Around:
    try:
        context = _EMPTY_CONTEXT if raw in _NOTHING else _context(raw)
    except UNREADABLE as error:
        raise bad_json(error, "context") from error
    device = text(context.device.id) if context.device else None
    return _Around(
        _where(context, agent), _page(context), device, text(context.sessionId), bytes(context.traits),
        is_set(context.historical),
    )  # fmt: skip


_around_known = lru_cache(maxsize=8192)(_read_around)


def _with_own(page: tuple[str | None, ...], own: _Properties) -> tuple[str | None, ...]:
    """Returns the page of a context with what the properties name where it names nothing itself."""
    if own.url is None and own.path is None and own.referrer is None and own.title is None:
        return page
    if page == NO_PAGE and own.path is None and own.referrer is None and own.title is None:
        return text(own.url), None, None, None
    url, path, referrer, title = page
    return url or text(own.url), path or text(own.path), referrer or text(own.referrer), title or text(own.title)


def _traits_of(event: _Event, around: _Around) -> bytes:
    own = bytes(event.traits)
    return around.traits if own in _NOTHING else own


def _name(kind: str, event: _Event) -> str:
    if kind == "track":
        name = text(event.event)
        if not name:
            raise BadCallError("missing-event", "event", "a track call needs a name")
        return name
    return text(event.name) or ""


def _keys(kind: str, event: _Event, around: _Around, user_id: str | None, anonymous_id: str | None) -> tuple[Key, ...]:
    is_app = kind == "screen" or around.where[0] == "app"
    if kind not in {"identify", "alias", "merge"}:
        known = _keys_known(user_id, anonymous_id, around.device_id, is_app)
        if user_id is not None or around.traits in _NOTHING:
            return known
        # A till's order names nobody who signed in, but the card or the member that it was sold to.
        return (*trait_keys(around.traits), *known)
    keys = [Key("login", user_id)] if user_id else []
    if kind == "identify":
        keys += trait_keys(_traits_of(event, around))
    elif kind == "merge":
        keys += merged_keys(event.mergeProperties)
    else:
        previous = text(event.previousId)
        if previous and previous != user_id:
            keys.append(Key("cookie", previous))
    return (*keys, *_keys_known(None, anonymous_id, around.device_id, is_app))


@lru_cache(maxsize=_CACHED_KEYS)
def _keys_known(user_id: str | None, anonymous_id: str | None, device_id: str | None, is_app: bool) -> tuple[Key, ...]:
    """Returns the keys of most calls; a client sends the same with every call of a visit."""
    keys = [Key("login", user_id)] if user_id else []
    if anonymous_id:
        keys.append(Key("device" if is_app else "cookie", anonymous_id))
    if device_id and device_id != anonymous_id:
        keys.append(Key("device", device_id))
    return tuple(keys)


def _page(context: _Context) -> tuple[str | None, ...]:
    page = context.page
    return NO_PAGE if page is None else (text(page.url), text(page.path), text(page.referrer), text(page.title))


def _where(context: _Context, agent: str) -> tuple[str | None, ...]:
    """Returns what a context says, in the order of :data:`jingzhe.collect.wire.call.AROUND`."""
    campaign = context.campaign or _EMPTY_CAMPAIGN
    device = context.device or _EMPTY_DEVICE
    system, app = context.os or _EMPTY_NAMED, context.app or _EMPTY_NAMED
    place = context.location or _EMPTY_PLACE
    library = (text(context.library.name) if context.library else None) or ""
    channel = channel_of(library, text(system.name) or "", text(context.userAgent) or agent)
    said = (
        campaign.source, campaign.medium, campaign.name, campaign.term, campaign.content, device.type, device.model,
        system.name, system.version, app.name, app.version, library, context.locale, context.timezone, place.country,
        place.region, place.city,
    )  # fmt: skip
    return (channel, *(None if value is None else text(value) for value in said))
