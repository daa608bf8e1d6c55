"""A scan as an event: a ``track`` call of Segment's protocol, through the same inbox as everything that is collected.

Who scanned is an anonymous id of the browser where the project allows one. Where it does not, and for bots, scans
are filed under one stand-in a code: a person a scan would be a crowd of people who never were.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from jingzhe.collect.received import Received
from jingzhe.links.codes import PATH, Code

EVENT = "code_scanned"
BOT_PREFIX = "bot-"
ANYONE_PREFIX = "anyone-"
COOKIE = "jz_aid"
SDK_COOKIE = "ajs_anonymous_id"
"""Cookie of Segment's browser SDK: where the site and the links share a domain, the browser is known already."""
_BOTS = re.compile(
    r"bot\b|crawl|spider|slurp|preview|facebookexternalhit|whatsapp/|embedly|skypeuri|vkshare|curl/|wget/|python-"
    r"|go-http|okhttp|java/|headless|monitor|pingdom|lighthouse",
    re.IGNORECASE,
)
_VISITOR = re.compile(r"[A-Za-z0-9_\-]{8,80}\Z")
_LONGEST = 512


class Seen(NamedTuple):
    """What is read of a request for a short link.

    Args:
        user_agent: of the browser.
        referrer: host of the page before it; empty where there is none.
        bot: True for bots and link previews.
        visitor: anonymous id; empty where none is known or allowed.
        client: class of the address.
        address: of the client; empty where it is not kept.
    """

    user_agent: str
    referrer: str
    bot: bool
    visitor: str
    client: str
    address: str = ""


def is_bot(user_agent: str, purpose: str = "") -> bool:
    """Tells whether a request comes from a bot or the preview of a link.

    Told by what they say of themselves; one that says it is a browser is taken for one.

    Args:
        user_agent: as it stands in the request; none at all is a bot.
        purpose: of the headers ``Sec-Purpose``, ``Purpose`` or ``X-Moz``.
    """
    fetched_ahead = "prefetch" in purpose.lower() or "preview" in purpose.lower()
    return fetched_ahead or not user_agent.strip() or _BOTS.search(user_agent) is not None


def host_of(url: str) -> str:
    """Returns the host of a referrer, empty where there is none: the rest may hold what is nobody's business."""
    try:
        return (urlsplit(url).hostname or "")[:253]
    except ValueError:
        return ""


def visitor_in(cookies: str) -> str:
    """Returns the anonymous id in a ``Cookie`` header, empty where there is none that could be one."""
    known = dict(part.strip().partition("=")[::2] for part in cookies.split(";"))
    for name in (SDK_COOKIE, COOKIE):
        # Older versions of the SDK wrote the id as JSON, in quotes.
        value = unquote(known.get(name, "")).strip('"')
        if _VISITOR.match(value):
            return value
    return ""


def new_visitor() -> str:
    """Returns a random anonymous id."""
    return str(uuid.uuid4())


def scanned(code: Code, seen: Seen, at: datetime) -> Received:
    """Returns a scan as the inbox takes it.

    Args:
        code: which was scanned.
        seen: by whom.
        at: when.
    """
    nobody = f"{BOT_PREFIX if seen.bot else ANYONE_PREFIX}{code.slug}"
    campaign = {"name" if name == "campaign" else name: value for name, value in code.utm.items()}
    if code.campaign:
        campaign.setdefault("name", code.campaign)
    said = {
        "code": code.slug, "code_name": code.name, "placement": code.placement, "campaign": code.campaign,
        "referrer_member": code.member, "bot": seen.bot, "user_agent": seen.user_agent[:_LONGEST], "ip": seen.address,
    }  # fmt: skip
    event = {
        "type": "track", "event": EVENT, "messageId": uuid.uuid4().hex,
        "anonymousId": seen.visitor if seen.visitor and not seen.bot else nobody,
        "properties": {name: value for name, value in said.items() if value != ""},
        "context": {
            "library": {"name": "jingzhe-links"}, "campaign": campaign,
            "page": {"path": f"{PATH}{code.slug}", "referrer": seen.referrer or None},
        },
    }  # fmt: skip
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    received_us = int(at.timestamp() * 1_000_000)
    agent = seen.user_agent[:_LONGEST]
    return Received(code.source_id, "segment", "track", received_us, "", agent, seen.client, 1, body)
