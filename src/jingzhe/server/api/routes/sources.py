"""Sources of live events and their write keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import Field

from jingzhe.access.permissions import SOURCES_READ, SOURCES_WRITE
from jingzhe.app.sources import Sources
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("sources")
_LIST = "sources"
Kind = Literal[
    "any", "pc_web", "mobile_web", "app", "official_account", "mini_program", "server", "till", "member_referral",
    "qr_code", "third_party",
]  # fmt: skip
SourceId = Annotated[int, Path(ge=1, lt=2**63, description="number of the source", examples=[1])]
_KIND_DOC = "the channel of its events; any: told from each request"


class NewSource(Given):
    """What a source is called, and its channel."""

    name: str = Field(min_length=1, max_length=200, examples=["web-shop"])
    kind: Kind = Field(default="any", description=_KIND_DOC, examples=["pc_web"])


class SourceChange(Given):
    """What is to be changed."""

    kind: Kind = Field(description=_KIND_DOC, examples=["mobile_web"])


class SourceShown(Shown):
    """One source."""

    source_id: int
    name: str
    kind: Kind
    keys: list[str] = Field(description="the first signs of the write keys that hold")
    created_at: datetime


class WriteKeyShown(Shown):
    """One write key, without its secret."""

    key_id: str
    hint: str = Field(description="its first signs")
    created_at: datetime
    revoked_at: datetime | None = None


class WriteKeyMade(WriteKeyShown):
    """A new write key."""

    write_key: str = Field(description="for the SDK; shown this once")


class SourceMade(SourceShown):
    """A new source with its first write key."""

    write_key: str = Field(description="for the SDK; shown this once")


_SOURCE = {
    "source_id": 1, "name": "web-shop", "kind": "pc_web", "keys": ["q3nS"], "created_at": "2026-03-05T08:00:00Z",
}  # fmt: skip
_KEY = {"key_id": "3c9fa1d07be2468d", "hint": "q3nS", "created_at": "2026-03-05T08:00:00Z", "revoked_at": None}
_SECRET = {"write_key": "q3nS1y0kJm5l8J8b0m2gVxT0c6n5w4Zr"}


@routes.add("GET", "/sources", needs=SOURCES_READ, example={"items": [_SOURCE], "next_cursor": None})
def list_sources(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[SourceShown]:
    """Lists sources in the order in which they were made."""
    after = key_of(_LIST, cursor, int)[0] if cursor else 0
    found = [one for one in _of(served).all() if one.source_id > after]
    shown, following = page(_LIST, found, limit, lambda one: (one.source_id,))
    return Page(items=[SourceShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add(
    "POST", "/sources", needs=SOURCES_WRITE, status=201, secret_answer=True, example={**_SOURCE, **_SECRET}
)  # fmt: skip
def make_source(given: NewSource, caller: Caller, served: Served) -> SourceMade:
    """Makes a source with its first write key."""
    made, _, secret = _of(served).make(caller, given.name, given.kind)
    return SourceMade(**SourceShown.model_validate(made).model_dump(), write_key=secret)


@routes.add("GET", "/sources/{source_id}", needs=SOURCES_READ, example=_SOURCE)
def get_source(source_id: SourceId, served: Served) -> SourceShown:
    """Shows one source."""
    return SourceShown.model_validate(_of(served).get(source_id))


@routes.add("PATCH", "/sources/{source_id}", needs=SOURCES_WRITE, example={**_SOURCE, "kind": "mobile_web"})
def change_source(source_id: SourceId, given: SourceChange, caller: Caller, served: Served) -> SourceShown:
    """Says of which channel a source is from now on; what it sent before keeps its channel."""
    return SourceShown.model_validate(_of(served).change(caller, source_id, kind=given.kind))


@routes.add("GET", "/sources/{source_id}/keys", needs=SOURCES_READ, example=[_KEY])
def list_write_keys(source_id: SourceId, served: Served) -> list[WriteKeyShown]:
    """Lists the write keys of a source, revoked ones too."""
    return [WriteKeyShown.model_validate(one) for one in _of(served).keys(source_id)]


@routes.add(
    "POST", "/sources/{source_id}/keys", needs=SOURCES_WRITE, status=201, secret_answer=True,
    example={**_KEY, **_SECRET},
)  # fmt: skip
def make_write_key(source_id: SourceId, caller: Caller, served: Served) -> WriteKeyMade:
    """Makes another write key for a source, such as before the old one is revoked."""
    key, secret = _of(served).make_key(caller, source_id)
    return WriteKeyMade(**WriteKeyShown.model_validate(key).model_dump(), write_key=secret)


@routes.add(
    "DELETE", "/sources/{source_id}/keys/{write_key_id}", needs=SOURCES_WRITE,
    example={**_KEY, "revoked_at": "2026-03-07T08:00:00Z"},
)  # fmt: skip
def revoke_write_key(
    source_id: SourceId,
    write_key_id: Annotated[str, Path(max_length=100, examples=["3c9fa1d07be2468d"])],
    caller: Caller,
    served: Served,
) -> WriteKeyShown:
    """Revokes a write key for ever; within some seconds no collector takes it any more."""
    return WriteKeyShown.model_validate(_of(served).revoke_key(caller, source_id, write_key_id))


def _of(served: Any) -> Sources:
    return Sources(served.state, served.workspace.warehouse.clock)
