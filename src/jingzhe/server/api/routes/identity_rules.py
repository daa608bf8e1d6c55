"""Which keys make people one: the project's rules, changed by hand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from jingzhe.access.permissions import IDENTITY_RULES_READ, IDENTITY_RULES_WRITE
from jingzhe.app.identities import Identities
from jingzhe.identity import ruling
from jingzhe.identity.keys import KINDS
from jingzhe.identity.ruling import Kept
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Shown
from jingzhe.server.api.routes.identity import Why
from jingzhe.server.api.services import Caller, Served

routes = Routes("identity")
Version = Annotated[int, Path(ge=0, lt=2**31, description="0: what ships", examples=[3])]
Values = list[Annotated[str, Field(min_length=1, max_length=500)]]


class KindShown(Shown):
    """One kind of key."""

    name: str
    normaliser: str = Field(description="its way of writing; fixed")
    strength: int = Field(description="the strongest key of an event says whose it is")
    merges: bool = Field(description="false: such keys follow whoever signed in last and never join two; fixed")
    single: int | None = Field(description="how many one person may have; null for any number")
    shared_after: int | None = Field(description="with more other joining keys than this it belongs to nobody")
    personal: bool = Field(description="true: kept as a keyed hash; fixed")
    doc: str
    same_as: str = Field(description="the kind whose other name this is; fixed")


class KindGiven(Given):
    """What is to differ from the kind that ships; a kind of one's own starts as plain text that joins."""

    normaliser: str | None = Field(default=None, max_length=50)
    strength: int | None = Field(default=None, ge=0, le=1000)
    merges: bool | None = None
    single: int | None = Field(default=None, ge=1, lt=2**31)
    shared_after: int | None = Field(default=None, ge=1, lt=2**31)
    personal: bool | None = None
    doc: str | None = Field(default=None, max_length=500)
    same_as: str | None = Field(default=None, max_length=100)


class RulesShown(Shown):
    """The rules; in the words of PUT."""

    version: int = Field(description="0 where what ships is in force")
    kept_at: datetime | None = None
    region: str = Field(description="ISO 3166 region of telephone numbers without a country code")
    kinds: list[KindShown]
    never: list[str] = Field(description="values that join nobody, whatever their kind")
    never_of: dict[str, list[str]] = Field(description="the same of one kind")
    never_hashed: dict[str, list[str]] = Field(description="the same of personal kinds, as keyed hashes")


class RulesGiven(Given):
    """Rules that are to hold; what is not mentioned is as it ships."""

    version: int = Field(
        ge=0, lt=2**31, description="version that was looked at; another one in force: 409", examples=[0]
    )
    why: Why
    region: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    kinds: dict[str, KindGiven] = Field(
        default_factory=dict, max_length=100, examples=[{"phone": {"single": 1}, "badge": {"strength": 45}}]
    )
    never: Values | None = Field(default=None, max_length=10_000, description="in place of those that ship")
    never_of: dict[str, Values] = Field(
        default_factory=dict, description="personal values are hashed before they are kept"
    )
    never_hashed: dict[str, Values] = Field(default_factory=dict)


class NeverGiven(Given):
    """A value that is to join nobody."""

    kind: str = Field(max_length=100, examples=["phone"])
    value: str = Field(min_length=1, max_length=500, examples=["020 7946 0018"])
    why: Why
    split: bool = Field(default=False, description="true: take back what it has joined too; that stays so")


class WhyGiven(Given):
    """Why."""

    why: Why


_KIND = {
    "name": "phone", "normaliser": "phone", "strength": 80, "merges": True, "single": 3, "shared_after": 50,
    "personal": True, "doc": "telephone number, E.164", "same_as": "",
}  # fmt: skip
_RULES: dict[str, Any] = {
    "version": 2, "kept_at": "2026-03-05T08:00:00Z", "region": "CN", "kinds": [_KIND], "never": ["null", "unknown"],
    "never_of": {"login": ["kiosk"]}, "never_hashed": {"phone": ["5f0c2d9b6a7e4f1d5f0c2d9b6a7e4f1d"]},
}  # fmt: skip


@routes.add("GET", "/identity/rules", needs=IDENTITY_RULES_READ, example=_RULES)
def get_rules(
    served: Served, version: Annotated[int | None, Query(ge=1, lt=2**31, description="an earlier one")] = None
) -> RulesShown:
    """Shows the rules in force, or an earlier version."""
    return _shown(ruling.rules_now(served.state, version))


@routes.add("GET", "/identity/rules/versions", needs=IDENTITY_RULES_READ, example=[_RULES])
def list_versions(served: Served) -> list[RulesShown]:
    """Lists every version, the newest first."""
    return [_shown(one) for one in ruling.versions(served.state)]


@routes.add("PUT", "/identity/rules", needs=IDENTITY_RULES_WRITE, example=_RULES)
def set_rules(given: RulesGiven, caller: Caller, served: Served) -> RulesShown:
    """Makes rules the project's, for what is seen from then on."""
    body: dict[str, Any] = {
        "kinds": {name: kind.model_dump(exclude_unset=True) for name, kind in given.kinds.items()},
        "never_of": given.never_of, "never_hashed": given.never_hashed,
    }  # fmt: skip
    body |= {name: value for name, value in (("region", given.region), ("never", given.never)) if value is not None}
    return _shown(Identities(served.workspace).change_rules(caller, body, given.why, based_on=given.version))


@routes.add("POST", "/identity/rules/never", needs=IDENTITY_RULES_WRITE, example=_RULES)
def never_join(given: NeverGiven, caller: Caller, served: Served) -> RulesShown:
    """Lets a value join nobody from then on, such as the shop's own telephone number."""
    return _shown(
        Identities(served.workspace).never_join(caller, given.kind, given.value, given.why, split=given.split)
    )


@routes.add("POST", "/identity/rules/versions/{version}/restore", needs=IDENTITY_RULES_WRITE, example=_RULES)
def restore_rules(version: Version, given: WhyGiven, caller: Caller, served: Served) -> RulesShown:
    """Makes an earlier version hold again, as a new one."""
    return _shown(Identities(served.workspace).restore_rules(caller, version, given.why))


def _shown(kept: Kept) -> RulesShown:
    document = kept.rules.document()
    kinds = [KindShown(**asdict(kind)) for kind in kept.rules.kinds.values()]
    ships = list(KINDS)
    kinds.sort(key=lambda kind: (ships.index(kind.name) if kind.name in KINDS else len(ships), kind.name))
    return RulesShown(
        version=kept.version, kept_at=kept.kept_at, region=document["region"], kinds=kinds, never=document["never"],
        never_of=document["never_of"], never_hashed=document["never_hashed"],
    )  # fmt: skip
