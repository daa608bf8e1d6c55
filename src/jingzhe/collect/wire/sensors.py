"""Sensors Data (神策): requests to events, events to calls.

Source: https://manual.sensorsdata.cn/sa/docs/tech_super_format/v0300 (data format); forms of request and the checksum
were captured from the SDKs.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Any

import msgspec
from msgspec import Raw, Struct

from jingzhe.collect.wire import bodies
from jingzhe.collect.wire.call import NO_MONEY, UNREADABLE, BadCallError, Call, Key, as_text, bad_json, mark
from jingzhe.collect.wire.channels import channel_of
from jingzhe.collect.wire.commerce import Order, money_of
from jingzhe.collect.wire.flags import is_set
from jingzhe.collect.wire.segment import Checked
from jingzhe.collect.wire.values import moment_us, sent_us, text
from jingzhe.core.errors import RefusedBodyError

PROFILE_TYPES = frozenset({
    "profile_set", "profile_set_once", "profile_increment", "profile_append", "profile_unset", "profile_delete",
})  # fmt: skip
SIGN_UP = "track_signup"
"""An event that also says which id somebody had before."""
_KINDS = {
    "track": "track", "track_signup": "track", "track_id_bind": "identify", "track_id_unbind": "unbind",
    "item_set": "item", "item_delete": "item",
    **dict.fromkeys(PROFILE_TYPES, "profile"),
}  # fmt: skip
_IDENTITIES = {
    "$identity_login_id": "login", "$identity_cookie_id": "cookie", "$identity_mp_id": "cookie",
    "$identity_mp_unionid": "unionid", "$identity_mobile": "phone", "$identity_email": "email",
    "$identity_idfv": "device", "$identity_android_id": "device", "$identity_android_uuid": "device",
    "$identity_ios_uuid": "device", "$identity_harmonyos_uuid": "device",
}  # fmt: skip
_OPENID = re.compile(r"\$identity_mp_([A-Za-z0-9_.:-]+)_openid\Z")
_ENCRYPTED = frozenset({"9", "13"})
_APPS = frozenset({"ios", "android", "harmonyos"})
_PRIVATE = ("$ip",)
"""Properties that are not kept: addresses of people's machines."""
_STRENGTH = {"login": 0, "unionid": 1, "phone": 2, "email": 3, "device": 8, "cookie": 9}


class _Lib(Struct, gc=False):
    lib: Any = msgspec.field(default=None, name="$lib")
    app_version: Any = msgspec.field(default=None, name="$app_version")


class _Event(Struct, gc=False):
    type: Any = None
    event: Any = None
    distinct_id: Any = None
    original_id: Any = None
    login_id: Any = None
    anonymous_id: Any = None
    identities: dict[str, Any] | None = None
    time: Any = None
    flush_time: Any = msgspec.field(default=None, name="_flush_time")
    track_id: Any = msgspec.field(default=None, name="_track_id")
    time_free: Any = None
    lib: _Lib | None = None
    properties: Raw = Raw(b"")


class _Addressed(Struct, gc=False):
    token: Any = None
    project: Any = None


class _Properties(Order, gc=False):
    is_login_id: Any = msgspec.field(default=None, name="$is_login_id")
    session_id: Any = msgspec.field(default=None, name="$event_session_id")
    url: Any = msgspec.field(default=None, name="$url")
    url_path: Any = msgspec.field(default=None, name="$url_path")
    referrer: Any = msgspec.field(default=None, name="$referrer")
    title: Any = msgspec.field(default=None, name="$title")
    screen: Any = msgspec.field(default=None, name="$screen_name")
    source: Any = msgspec.field(default=None, name="$utm_source")
    medium: Any = msgspec.field(default=None, name="$utm_medium")
    campaign: Any = msgspec.field(default=None, name="$utm_campaign")
    term: Any = msgspec.field(default=None, name="$utm_term")
    content: Any = msgspec.field(default=None, name="$utm_content")
    model: Any = msgspec.field(default=None, name="$model")
    brand: Any = msgspec.field(default=None, name="$brand")
    os: Any = msgspec.field(default=None, name="$os")
    os_version: Any = msgspec.field(default=None, name="$os_version")
    app_name: Any = msgspec.field(default=None, name="$app_name")
    app_version: Any = msgspec.field(default=None, name="$app_version")
    lib: Any = msgspec.field(default=None, name="$lib")
    country: Any = msgspec.field(default=None, name="$country")
    province: Any = msgspec.field(default=None, name="$province")
    city: Any = msgspec.field(default=None, name="$city")
    agent: Any = msgspec.field(default=None, name="$user_agent")


_many = msgspec.json.Decoder(list[Raw]).decode
_one = msgspec.json.Decoder(dict[str, Raw]).decode
_event = msgspec.json.Decoder(_Event).decode
_addressed = msgspec.json.Decoder(_Addressed).decode
_properties = msgspec.json.Decoder(_Properties).decode
_anything = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def check(data: bytes, query: bytes, limit: int) -> Checked:
    """Says whether a request can be acknowledged.

    Args:
        data: the body as it came; empty for GET.
        query: of the URL.
        limit: how many bytes may come out of compressed data.

    Raises:
        RefusedBodyError: it holds no events that could be read, now or later.
    """
    body = bodies.plain(data, limit) if data else b""
    if not bodies.is_json(body):
        body = _in_form(bodies.form(body or query), limit)
    try:
        if body.startswith(b"["):
            return Checked(body, bodies.counted(len(_many(body))), "")
        _one(body)
    except UNREADABLE as error:
        mended = bodies.with_whole_signs(body)
        if mended != body:
            return check(mended, b"", limit)
        raise RefusedBodyError(f"The data are no JSON of events: {error}") from error
    return Checked(body, 1, "")


def _in_form(fields: dict[str, str], limit: int) -> bytes:
    if fields.get("gzip") in _ENCRYPTED:
        raise RefusedBodyError(
            "The events are encrypted; the collector cannot read them",
            status=403,  # the clients keep what they have, and send it when encryption is off
            hint="Switch encryption off in the SDK; TLS protects the way.",
        )
    armoured = fields.get("data_list") or fields.get("data")
    if not armoured:
        raise RefusedBodyError("The request has neither data nor data_list")
    raw = bodies.unarmoured(armoured)
    if fields.get("gzip") == "1" or raw.startswith(bodies.GZIP):
        raw = bodies.inflated(raw, limit)
    body = bodies.plain(raw, limit)
    if not bodies.is_json(body):
        raise RefusedBodyError("The data are no JSON of events")
    return body


def events(body: bytes) -> list[bytes]:
    """Returns the events of a request that was checked, each as it was written."""
    return [bytes(one) for one in _many(body)] if body.startswith(b"[") else [body]


def write_key(body: bytes) -> str:
    """Returns the write key that the first event of a request names, as token or project; empty where it names none."""
    first = next(iter(events(body)), b"")
    try:
        said = _addressed(first)
    except UNREADABLE:
        return ""
    return text(said.token) or text(said.project) or ""


def decode(raw: bytes, user_agent: str, zone: tzinfo = UTC) -> Call:
    """Returns one event as a call.

    Args:
        raw: the event as it was written.
        user_agent: from a header.
        zone: of the project, for moments written without one.

    Raises:
        BadCallError: it cannot be a fact; says why.
    """
    try:
        event = _event(raw)
    except UNREADABLE as error:
        raise bad_json(error) from error
    kind = _KINDS.get(event.type) if isinstance(event.type, str) else None
    if kind is None:
        raise BadCallError("unknown-call", "type", f"{event.type!r} is no type"[:200])
    own = bytes(event.properties)
    try:
        properties = _properties(own) if own and own != b"null" else _Properties()
        kept = _without_private(own)
    except UNREADABLE as error:
        raise bad_json(error, "properties") from error
    library = text(properties.lib) or (text(event.lib.lib) if event.lib else None) or ""
    keys = _keys(event, kind, properties, app=library.lower() in _APPS)
    if not keys and kind != "item":
        raise BadCallError("missing-customer", "distinct_id", "no id at all")
    login = next((key.value for key in keys if key.kind == "login"), None)
    anonymous = next((key.value for key in keys if key.kind in {"cookie", "device"}), None)
    return Call(
        _message_id(event, raw),
        kind,
        _name(event, kind),
        moment_us(event.time, "time", zone),
        sent_us(event.flush_time),
        is_set(event.time_free),
        keys,
        login,
        anonymous,
        text(properties.session_id),
        money_of(properties) if kind == "track" else NO_MONEY,
        _page(properties),
        _where(properties, library, user_agent),
        as_text(kept),
    )


def _name(event: _Event, kind: str) -> str:
    name = text(event.event)
    if event.type == SIGN_UP:
        return name or "$SignUp"
    if kind == "track" and not name:
        raise BadCallError("missing-event", "event", "a track event needs a name")
    return name or str(event.type)


def _message_id(event: _Event, raw: bytes) -> str:
    """Returns what marks the event: ``_track_id`` is random, so it counts only together with whose and when."""
    track_id = text(event.track_id)
    if track_id is None:
        return mark(raw)
    what = text(event.event) or text(event.type)
    return "\x1f".join((track_id, text(event.distinct_id) or "", text(event.time) or "", what or ""))


def _keys(event: _Event, kind: str, properties: _Properties, *, app: bool) -> tuple[Key, ...]:
    weak = "device" if app else "cookie"
    found: dict[Key, None] = {}
    for name, value in (event.identities or {}).items():
        key = _identity(name, text(value), weak)
        if key:
            found[key] = None
    if kind == "unbind":
        # The other ids say who is using the device.
        return tuple(found)
    login = text(event.login_id)
    if login:
        found[_named(login, "login", weak)] = None
    signed_up = event.type == SIGN_UP
    signed_in = properties.is_login_id is True or signed_up
    said = [(event.distinct_id, "login" if signed_in else weak), (event.anonymous_id, weak)]
    for given, usual in [*said, (event.original_id, weak)] if signed_up else said:
        key = _named(plain, usual, weak) if (plain := text(given)) else None
        if key and key.value not in {one.value for one in found}:
            found[key] = None
    return tuple(sorted(found, key=lambda key: _STRENGTH.get(key.kind, 5)))


def _named(value: str, kind: str, weak: str) -> Key:
    """Returns an id as a key; where nobody has signed in, SDKs write ``$identity_email+li@example.com`` in its place.

    Args:
        value: of ``distinct_id`` and the like.
        kind: of ids that are written as they are.
        weak: kind of ids of the client.
    """
    name, plus, rest = value.partition("+")
    return (_identity(name, text(rest), weak) if plus else None) or Key(kind, value)


def _identity(name: str, value: str | None, weak: str) -> Key | None:
    if value is None:
        return None
    if name == "$identity_anonymous_id":
        return Key(weak, value)
    if name == "$identity_distinct_id":
        return None
    kind = _IDENTITIES.get(name)
    if kind is None:
        match = _OPENID.match(name)
        return Key(f"openid/{match.group(1)}", value) if match else None
    return Key(kind, value)


def _page(own: _Properties) -> tuple[str | None, ...]:
    return text(own.url), text(own.url_path or own.screen), text(own.referrer), text(own.title)


def _where(own: _Properties, library: str, agent: str) -> tuple[str | None, ...]:
    channel = channel_of(library, text(own.os) or "", text(own.agent) or agent)
    said = (
        own.source, own.medium, own.campaign, own.term, own.content, own.brand, own.model, own.os, own.os_version,
        own.app_name, own.app_version, library, None, None, own.country, own.province, own.city,
    )  # fmt: skip
    return (channel, *(None if value is None else text(value) for value in said))


def _without_private(own: bytes) -> bytes:
    if not any(name.encode() in own for name in _PRIVATE):
        return own
    kept = {name: value for name, value in _anything(own).items() if name not in _PRIVATE}
    return _encode(kept)


def checksum(armoured: str) -> int:
    """Returns what the SDKs send as ``crc``: Java's ``String.hashCode`` of the base64 text, signed 32 bit."""
    total = 0
    for sign in armoured:
        total = (31 * total + ord(sign)) & 0xFFFFFFFF
    return total - 0x1_0000_0000 if total >= 0x8000_0000 else total
