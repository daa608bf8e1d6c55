"""What each protocol is answered: which codes make an SDK keep its events, and which make it drop them.

Segment's SDKs send again after 408, 410, 429 and 5xx and drop after any other 4xx. Sensors' Android keeps its events
on 5xx, 403 and 404 only. So what may be sent again later is never answered with a code that drops.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_ALLOWED = b"authorization, content-type, x-retry-count, anonymousid, sentat, dry-run"
_DAY = b"86400"


class Answer(NamedTuple):
    """An answer.

    Args:
        status: of HTTP.
        headers: without those of CORS.
        body: what it says.
    """

    status: int
    headers: Headers
    body: bytes


def json_answer(body: object, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    """Returns an answer that holds JSON."""
    said = json.dumps(body, ensure_ascii=False).encode()
    return Answer(status, [_JSON, (b"content-length", str(len(said)).encode()), *headers], said)


def problem(status: int, code: str, detail: str, *, retry_after: int | None = None, bearer: bool = False) -> Answer:
    """Returns a problem document (RFC 9457) that also carries ``code`` and ``message``, which SDKs read.

    Args:
        status: of HTTP.
        code: stable.
        detail: what is wrong and what to do, for people.
        retry_after: seconds after which it may be tried again.
        bearer: True to say that a key is to be sent (RFC 6750).
    """
    document = {
        "type": f"urn:jingzhe:{code}", "title": code.replace("-", " "), "status": status, "detail": detail,
        "code": code, "message": detail,
    }  # fmt: skip
    said = json.dumps(document, ensure_ascii=False).encode()
    headers = [_PROBLEM, (b"content-length", str(len(said)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    if bearer:
        headers.append((b"www-authenticate", b'Bearer realm="jingzhe"'))
    return Answer(status, headers, said)


ACCEPTED = json_answer({"success": True})
ALIVE = json_answer({"status": "alive"})
GIF = Answer(
    200,
    [(b"content-type", b"image/gif"), (b"content-length", str(len(_GIF)).encode()), (b"cache-control", b"no-store")],
    _GIF,
)
NOT_FOUND = problem(404, "not-found", "There is no such route.")


def cors(origin: bytes) -> Headers:
    """Returns the headers by which a browser lets a page of ``origin`` read the answer."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"origin"),
    ]


def preflight(origin: bytes, wanted: bytes) -> Answer:
    """Answers a browser that asks whether it may send.

    Args:
        origin: of the page.
        wanted: headers that it wants to send; they are allowed, with those that the SDKs are known to send.
    """
    allowed = b", ".join(part for part in (_ALLOWED, wanted) if part)
    headers = [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", _DAY),
        (b"content-length", b"0"),
    ]
    return Answer(204, [*headers, *(cors(origin) if origin else [])], b"")


def segment_settings(write_key: str, host: str, scheme: str) -> Answer:
    """Answers Segment's browser SDK, which sends no key unless it finds its own here."""
    everything = {"__default": {"enabled": True, "integrations": {}}}
    destination = {
        "apiKey": write_key, "apiHost": f"{host}/v1", "protocol": scheme, "unbundledIntegrations": [],
        "addBundledMetadata": True, "maybeBundledConfigIds": {}, "versionSettings": {"version": "4.4.7"},
    }  # fmt: skip
    return json_answer({
        "integrations": {"Segment.io": destination},
        "plan": {"track": everything, "identify": everything, "group": everything},
        "edgeFunction": {}, "analyticsNextEnabled": True, "middlewareSettings": {}, "enabledMiddleware": {},
        "metrics": {"sampleRate": 0}, "legacyVideoPluginsEnabled": False, "remotePlugins": [],
    })  # fmt: skip


def rudder_source(write_key: str, name: str, updated_at: str) -> Answer:
    """Answers RudderStack's SDKs: a source without destinations of its own."""
    off = {"enabled": False}
    source = {
        "id": name, "name": name, "writeKey": write_key, "enabled": True, "workspaceId": "jingzhe",
        "config": {"statsCollection": {"errors": off, "metrics": off}}, "destinations": [], "connections": [],
        "sourceDefinitionId": "javascript", "dataplanes": {}, "updatedAt": updated_at,
    }  # fmt: skip
    return json_answer({"source": source, "updatedAt": updated_at, "consentManagementMetadata": {"providers": []}})
