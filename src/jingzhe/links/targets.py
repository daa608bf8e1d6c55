"""Where a code may lead, and the address a scan is sent to.

A target is a web address, or the page of a WeChat mini-program. Nothing else: ``javascript:`` and ``data:`` would
run in the browser of whoever scans, and an address of the own network would be a map of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from jingzhe.core.errors import SettingError
from jingzhe.core.webaddresses import is_public_name

UTM = ("source", "medium", "campaign", "term", "content")
"""UTM parameters that a code may add, without their prefix."""
VISITOR_PARAMETER = "ajs_aid"
"""How Segment's and RudderStack's browser SDKs take over an anonymous id from an address (Querystring API)."""
CODE_PARAMETER = "jz_code"
_LONGEST = 2000
_APP_ID = re.compile(r"wx[0-9a-f]{16}\Z")
_PAGE = re.compile(r"/?[A-Za-z0-9_\-./]+(\?[^#\s]*)?\Z")


def checked_target(target: str, app_id: str, *, private: bool) -> str:
    """Returns a target that a code may have.

    Args:
        target: ``https://…``, ``http://…``, or the page of a mini-program such as ``pages/shop/index?shelf=3``.
        app_id: of the mini-program; empty for a web address.
        private: True where addresses of the own network are allowed.

    Raises:
        SettingError: it cannot be a target; says why.
    """
    plain = target.strip()
    if not plain or len(plain) > _LONGEST:
        raise SettingError(f"A target has 1 to {_LONGEST} signs", field="target")
    if any(ord(sign) <= 0x20 or ord(sign) == 0x7F or sign == "\\" for sign in plain):
        raise SettingError("A target holds no blanks, backslashes or control signs", field="target")
    return _checked_page(plain, app_id) if app_id else _checked_url(plain, private=private)


def _checked_page(page: str, app_id: str) -> str:
    if not _APP_ID.match(app_id):
        raise SettingError(
            "This is no app id of a mini-program", hint="It looks like wx0123456789abcdef.", field="app_id"
        )
    if not _PAGE.match(page) or ".." in page or page.startswith("//"):
        raise SettingError(
            "This is no page of a mini-program", hint="Write it as pages/shop/index?shelf=3.", field="target"
        )
    return page.lstrip("/")


def _checked_url(url: str, *, private: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingError(f"The target cannot be read: {error}", field="target") from error
    if parts.scheme not in {"http", "https"}:
        raise SettingError(
            f"A code cannot lead to {parts.scheme or 'an address without a scheme'!r}",
            hint="Use https://…, http://…, or the page of a mini-program with its app id.", field="target",
        )  # fmt: skip
    if not host or parts.username is not None or parts.password is not None:
        raise SettingError("A target needs a host, and holds no user or password", field="target")
    if not private and not is_public_name(host):
        raise SettingError(
            "The target's host is of a private network", field="target",
            hint="Set links_private = true where everybody who scans is in that network.",
        )  # fmt: skip
    return url


def checked_utm(utm: Mapping[str, str]) -> dict[str, str]:
    """Returns UTM parameters without empty ones.

    Raises:
        SettingError: there is no such parameter, or a value is too long.
    """
    for name, value in utm.items():
        if name not in UTM:
            raise SettingError(f"There is no UTM parameter {name!r}", hint=f"One of: {', '.join(UTM)}.", field="utm")
        if len(value) > 200:
            raise SettingError("A UTM parameter has up to 200 signs", field="utm")
    return {name: utm[name] for name in UTM if utm.get(name)}


def destination(target: str, app_id: str, *, slug: str, utm: Mapping[str, str] | None = None, visitor: str = "") -> str:
    """Returns the address that a scan is sent to.

    >>> destination("https://shop.example/sale?a=1#top", "", slug="k7m2", utm={"source": "poster"})
    'https://shop.example/sale?a=1&utm_source=poster#top'

    Args:
        target: as :func:`checked_target` gave it.
        app_id: of the mini-program; empty for a web address.
        slug: of the code; a mini-program is told, so that its own SDK can say where somebody came from.
        utm: parameters to add; those that the target has itself stay as they are.
        visitor: anonymous id to hand over; empty for none.
    """
    added = [(f"utm_{name}", value) for name, value in (utm or {}).items()]
    if visitor:
        added.append((VISITOR_PARAMETER, visitor))
    if app_id:
        page, _, own = target.partition("?")
        query = _joined(own, [*added, (CODE_PARAMETER, slug)])
        # WeChat's plain URL scheme: developers.weixin.qq.com, "URL Scheme", plain text form.
        return f"weixin://dl/business/?appid={app_id}&path={quote(page, safe='/')}&query={quote(query, safe='')}"
    parts = urlsplit(target)
    return _ascii(urlunsplit(parts._replace(query=_joined(parts.query, added))))


def _joined(own: str, added: list[tuple[str, str]]) -> str:
    known = {name for name, _ in parse_qsl(own, keep_blank_values=True)}
    more = urlencode([(name, value) for name, value in added if name not in known])
    return "&".join(part for part in (own, more) if part)


def _ascii(url: str) -> str:
    """Returns a URL as a header can carry it: other signs escaped, a host in another script in its ASCII form."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    place = parts.netloc
    if not place.isascii():
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
        place = host.encode("idna").decode() + port
    safe = "!#$%&'()*+,/:;=?@[]~"
    rest = (quote(part, safe=safe) for part in (parts.path, parts.query, parts.fragment))
    path, query, fragment = rest
    return urlunsplit((parts.scheme, place, path, query, fragment))
