"""API keys of programs."""

from __future__ import annotations

from datetime import date

from pydantic import AwareDatetime, Field

from jingzhe.access.permissions import KEYS_READ, KEYS_WRITE
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, key_of, page
from jingzhe.server.api.services import Caller, Served

routes = Routes("keys")
_LIST = "keys"


class NewKey(Given):
    """What a key is for and what it may do."""

    name: str = Field(max_length=100, examples=["nightly export"])
    scopes: list[str] = Field(min_length=1, max_length=50, examples=[["lists.read"]])
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-03-05T00:00:00Z"])


class KeyShown(Shown):
    """One key, without its secret."""

    key_id: str
    name: str
    scopes: list[str]
    made_by: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    last_used_day: date | None = Field(default=None, description="in UTC")


class KeyMade(KeyShown):
    """A new key with its secret, shown this once."""

    secret: str = Field(description="goes behind Authorization: Bearer")


_KEY = {
    "key_id": "7hq2mkw4x9ab", "name": "nightly export", "scopes": ["lists.read"], "made_by": "account:acc_7hq2mkw4x9ab",
    "created_at": "2026-03-05T08:00:00Z", "expires_at": None, "revoked_at": None, "last_used_day": "2026-03-06",
}  # fmt: skip


@routes.add("GET", "/keys", needs=KEYS_READ, example={"items": [_KEY], "next_cursor": None})
def list_keys(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[KeyShown]:
    """Lists keys, revoked ones too."""
    after = key_of(_LIST, cursor, str)[0] if cursor else ""
    shown, following = page(_LIST, served.keys.all(after=after, limit=limit + 1), limit, lambda one: (one.key_id,))
    return Page(items=[KeyShown.model_validate(one) for one in shown], next_cursor=following)


@routes.add(
    "POST", "/keys", needs=KEYS_WRITE, status=201, secret_answer=True,
    example={**_KEY, "last_used_day": None, "secret": "jz_7hq2mkw4x9ab_q3nS1y0kJm5l8J8b0m2gVxT0c6n5w4Zr0b9s7d1fE2A"},
)  # fmt: skip
def make_key(given: NewKey, caller: Caller, served: Served) -> KeyMade:
    """Makes a key that may do no more than whoever makes it."""
    made, secret = served.keys.make(caller, given.name, given.scopes, expires_at=given.expires_at)
    return KeyMade(**KeyShown.model_validate(made).model_dump(), secret=secret)


@routes.add("GET", "/keys/{key_id}", needs=KEYS_READ, example=_KEY)
def get_key(key_id: str, served: Served) -> KeyShown:
    """Shows one key."""
    return KeyShown.model_validate(served.keys.get(key_id))


@routes.add("DELETE", "/keys/{key_id}", needs=KEYS_WRITE, example={**_KEY, "revoked_at": "2026-03-07T08:00:00Z"})
def revoke_key(key_id: str, caller: Caller, served: Served) -> KeyShown:
    """Revokes a key, at once and for ever."""
    return KeyShown.model_validate(served.keys.revoke(caller, key_id))
