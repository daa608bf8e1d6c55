"""Who is one person: merges and why, undoing them, merging by hand, what is kept apart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from jingzhe.access.actor import Actor
from jingzhe.access.errors import RefusedValueError
from jingzhe.access.permissions import PEOPLE_FIND, PEOPLE_MERGE, PEOPLE_READ
from jingzhe.app.identities import Identities
from jingzhe.identity import apart as keeping
from jingzhe.identity import listing, shared
from jingzhe.identity.keys import Key
from jingzhe.identity.people import Join
from jingzhe.server.api.declaring import Routes
from jingzhe.server.api.models import Given, Moment, Page, Shown
from jingzhe.server.api.paging import Cursor, Limit, cursor_of, key_of
from jingzhe.server.api.services import Caller, Served

routes = Routes("identity")
_MERGES, _APART, _SHARED_KEYS = "merges", "apart", "shared"
KeyNumber = Annotated[int, Path(ge=0, lt=2**63, description="number of the key", examples=[7301883420190227345])]
MergeId = Annotated[int, Path(ge=1, lt=2**63, description="number of the person who was taken over", examples=[42])]
Why = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S", examples=["two sisters, one telephone"])]
Person = Annotated[int, Field(ge=1, lt=2**63)]
_NUMBER = r"^[0-9]{1,19}$"


class KeyShown(Shown):
    """A key, as it is stored."""

    number: str = Field(description="names it where keys are kept apart")
    kind: str
    value: str = Field(description="of personal kinds a keyed hash")
    hashed: bool


class MergeShown(Shown):
    """One person became part of another."""

    merge_id: int = Field(description="number of the person who was taken over")
    person_id: int = Field(description="who stands for both now")
    moved_at: datetime = Field(description="since when that person stands for them")
    keys: list[KeyShown] = Field(description="the two that met; none where that evidence is gone")
    outcome: str = Field(description="merged, or claimed: an anonymous history came to somebody")
    rule: str = Field(description="what let them join: seen together, same row of a file, by hand, accepted match …")
    event: str = Field(description="id of the event, or file and line")
    seen_at: datetime | None = Field(default=None, description="when that happened")


class JoinShown(Shown):
    """Two keys that speak for a merge."""

    a: KeyShown
    b: KeyShown
    outcome: str
    rule: str
    event: str
    at: datetime


class DecisionShown(Shown):
    """Who decided it, and why."""

    at: datetime
    who: str
    why: str


class ExplainedShown(MergeShown):
    """A merge with everything that speaks for it."""

    theirs: list[KeyShown] = Field(description="keys of the person who was taken over")
    others: list[KeyShown] = Field(description="the other keys of the person who stands for both")
    between: list[JoinShown] = Field(description="every pair of keys that connects the two")
    decision: DecisionShown | None = Field(default=None, description="where it was done by hand")


class UndoGiven(Given):
    """Why a merge is taken back."""

    why: Why
    everything: bool = Field(
        default=False, description="true: every pair of keys that connects the two is taken back, not only the first"
    )


class UndoneShown(Shown):
    """What undoing did."""

    change: int
    people: list[int] = Field(description="who there is now in place of the one, the oldest first")
    folded: list[int] = Field(description="people whose earlier facts stay with the other, for compaction folded them")


class MergeGiven(Given):
    """Two people who are one."""

    people: list[Person] = Field(min_length=2, max_length=2, examples=[[17, 42]])
    why: Why


class MergedShown(Shown):
    """Who stands for both."""

    person_id: int


class KeyGiven(Given):
    """A key: by its number, or by kind and value as sources write it (needs people.find)."""

    number: str | None = Field(default=None, pattern=_NUMBER)
    kind: str | None = Field(default=None, max_length=100)
    value: str | None = Field(default=None, max_length=500)


class ApartGiven(Given):
    """Two people, or two keys."""

    people: list[Person] | None = Field(default=None, min_length=2, max_length=2, examples=[[17, 42]])
    keys: list[KeyGiven] | None = Field(default=None, min_length=2, max_length=2, examples=[None])
    why: Why


class ApartShown(Shown):
    """Two people, or two keys, that are not to become one."""

    sort: str = Field(description="people or keys")
    people: list[int] = Field(description="who the two are now, or to whom the keys lead")
    keys: list[KeyShown]


class SharedShown(Shown):
    """A joining key that belongs to nobody, because it was seen with too many."""

    key: KeyShown
    since: datetime
    partners: int = Field(description="with how many other joining keys it was seen then")
    person_id: int = Field(description="under whom it stands")
    hang: int = Field(description="how many people there would be in place of that one; 1: nobody hangs on it")


class SplitGiven(Given):
    """Why."""

    why: Why


class SplitShown(Shown):
    """Who there is now."""

    people: list[int]


class ChangeShown(Shown):
    """The change to the graph."""

    change: int


_KEYS = [
    {"number": "7301883420190227345", "kind": "login", "value": "ann", "hashed": False},
    {"number": "1201883420190227345", "kind": "phone", "value": "5f0c2d9b6a7e4f1d5f0c2d9b6a7e4f1d", "hashed": True},
]
_MERGE: dict[str, Any] = {
    "merge_id": 42, "person_id": 17, "moved_at": "2026-03-05T08:00:00Z", "keys": _KEYS, "outcome": "merged",
    "rule": "same row of a file", "event": "till.csv, line 17", "seen_at": "2026-03-05T08:00:00Z",
}  # fmt: skip
_EXPLAINED: dict[str, Any] = {
    **_MERGE, "theirs": _KEYS[1:], "others": _KEYS[:1], "decision": None,
    "between": [{"a": _KEYS[0], "b": _KEYS[1], "outcome": "merged", "rule": "same row of a file",
                 "event": "till.csv, line 17", "at": "2026-03-05T08:00:00Z"}],
}  # fmt: skip
_UNDONE = {"change": 9, "people": [17, 42], "folded": []}
_SHARED: dict[str, Any] = {
    "key": _KEYS[1], "since": "2026-03-05T08:00:00Z", "partners": 51, "person_id": 17, "hang": 1,
}  # fmt: skip
_KEPT_APART = {"sort": "keys", "people": [17, 42], "keys": _KEYS}


@routes.add("GET", "/identity/merges", needs=PEOPLE_READ, example={"items": [_MERGE], "next_cursor": None})
def list_merges(
    served: Served,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    person_id: Annotated[int | None, Query(ge=1, lt=2**63, description="of this person only")] = None,
    since: Annotated[Moment | None, Query(description="not older than this")] = None,
    until: Annotated[Moment | None, Query(description="older than this")] = None,
    rule: Annotated[str, Query(max_length=200, description="by this rule only", examples=["by hand"])] = "",
    kind: Annotated[str, Query(max_length=100, description="by a key of this kind only", examples=["phone"])] = "",
) -> Page[MergeShown]:
    """Lists the merges that hold, the latest first; a page may be short where few fit: go on with its cursor."""
    after = key_of(_MERGES, cursor, int, int) if cursor else None
    wanted = listing.Wanted(person_id, since, until, rule, kind)
    found, end = listing.list_merges(served.state, wanted, after=(after[0], after[1]) if after else None, limit=limit)
    following = None if end is None else cursor_of(_MERGES, *end)
    return Page(items=[MergeShown(**_merge(one)) for one in found], next_cursor=following)


@routes.add("GET", "/identity/merges/{merge_id}", needs=PEOPLE_READ, example=_EXPLAINED)
def get_merge(merge_id: MergeId, served: Served) -> ExplainedShown:
    """Explains a merge: which keys met in which event, what else holds the two together, who decided it."""
    found = listing.get_merge(served.state, merge_id)
    hashed = {one.number: one.hashed for one in (*found.theirs, *found.others)}
    return ExplainedShown(
        **_merge(found.merge), theirs=[_key(one) for one in found.theirs], others=[_key(one) for one in found.others],
        between=[_join(one, hashed) for one in found.between],
        decision=None if found.decision is None else DecisionShown.model_validate(found.decision),
    )  # fmt: skip


@routes.add("POST", "/identity/merges/{merge_id}/undo", needs=PEOPLE_MERGE, example=_UNDONE)
def undo_merge(merge_id: MergeId, given: UndoGiven, caller: Caller, served: Served) -> UndoneShown:
    """Takes a merge back: both have their facts again, later ones go to each, the same evidence joins them no more."""
    done = Identities(served.workspace).undo(caller, merge_id, given.why, everything=given.everything)
    return UndoneShown(change=done.change, people=list(done.people), folded=list(done.folded))


@routes.add("POST", "/identity/merges", needs=PEOPLE_MERGE, example={"person_id": 17})
def merge_people(given: MergeGiven, caller: Caller, served: Served) -> MergedShown:
    """Makes two people one by hand, whatever the limits say; can be undone."""
    person = Identities(served.workspace).merge(caller, (given.people[0], given.people[1]), given.why)
    return MergedShown(person_id=person)


@routes.add("GET", "/identity/apart", needs=PEOPLE_READ, example={"items": [_KEPT_APART], "next_cursor": None})
def list_apart(
    served: Served,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Annotated[Literal["people", "keys"] | None, Query(description="only this sort")] = None,
) -> Page[ApartShown]:
    """Lists what is kept apart: people by hand, keys by hand or since a merge was undone."""
    after = key_of(_APART, cursor, str, int, int) if cursor else None
    found, end = keeping.list_apart(
        served.state, sort=sort, after=(after[0], after[1], after[2]) if after else None, limit=limit
    )
    shown = [ApartShown(sort=one.sort, people=list(one.people), keys=[_key(key) for key in one.keys]) for one in found]
    return Page(items=shown, next_cursor=None if end is None else cursor_of(_APART, *end))


@routes.add("POST", "/identity/apart", needs=PEOPLE_MERGE, example={"change": 9})
def keep_apart(given: ApartGiven, caller: Caller, served: Served) -> ChangeShown:
    """Keeps two people apart for good, also through others; or two keys, which other evidence may still join."""
    identities = Identities(served.workspace)
    if given.people is not None and given.keys is None:
        change = identities.keep_apart(caller, _two(given.people), given.why)
    else:
        change = identities.keep_keys_apart(caller, _pair(given, caller), given.why)
    return ChangeShown(change=change)


@routes.add("POST", "/identity/apart/lift", needs=PEOPLE_MERGE, example={"change": 10})
def lift_apart(given: ApartGiven, caller: Caller, served: Served) -> ChangeShown:
    """Lifts that; what was seen before is not tried again, what is seen next may join them."""
    identities = Identities(served.workspace)
    if given.people is not None and given.keys is None:
        change = identities.allow_again(caller, _two(given.people), given.why)
    else:
        change = identities.allow_keys_again(caller, _pair(given, caller), given.why)
    return ChangeShown(change=change)


@routes.add("GET", "/identity/shared", needs=PEOPLE_READ, example={"items": [_SHARED], "next_cursor": None})
def list_shared(served: Served, limit: Limit = 50, cursor: Cursor = None) -> Page[SharedShown]:
    """Lists joining keys that were seen with too many, so that they join nobody, and whether anybody hangs on one."""
    after = int(key_of(_SHARED_KEYS, cursor, str)[0]) if cursor else 0
    found, end = shared.list_shared(served.state, after=after, limit=limit)
    shown = [
        SharedShown(key=_key(one.key), since=one.since, partners=one.partners, person_id=one.person_id, hang=one.hang)
        for one in found
    ]
    return Page(items=shown, next_cursor=None if end is None else cursor_of(_SHARED_KEYS, str(end)))


@routes.add("POST", "/identity/shared/{number}/split", needs=PEOPLE_MERGE, example={"people": [17, 42, 43]})
def split_shared(number: KeyNumber, given: SplitGiven, caller: Caller, served: Served) -> SplitShown:
    """Splits who hangs on such a key; from the moment it passes its limit on, that happens by itself."""
    return SplitShown(people=list(Identities(served.workspace).split(caller, number, given.why)))


def _two(people: list[int]) -> tuple[int, int]:
    return people[0], people[1]


def _pair(given: ApartGiven, caller: Actor) -> tuple[Key | int, Key | int]:
    if given.keys is None or given.people is not None:
        raise RefusedValueError("Give either two people or two keys", field="people")
    return _named(given.keys[0], caller), _named(given.keys[1], caller)


def _named(key: KeyGiven, caller: Actor) -> Key | int:
    if key.number is not None and key.kind is None and key.value is None:
        number = int(key.number)
        if number >= 2**63:
            raise RefusedValueError("There is no key of this number", field="keys")
        return number
    if key.number is None and key.kind and key.value:
        # Whether somebody has a telephone number is what people.find is about.
        caller.check(PEOPLE_FIND)
        return Key(key.kind, key.value)
    raise RefusedValueError("Name a key by its number, or by kind and value", field="keys")


def _merge(one: listing.Merge) -> dict[str, Any]:
    return {
        "merge_id": one.merge_id, "person_id": one.person_id, "moved_at": one.moved_at,
        "keys": [_key(key) for key in one.keys], "outcome": one.outcome, "rule": one.rule, "event": one.event,
        "seen_at": one.seen_at,
    }  # fmt: skip


def _key(one: listing.Shown) -> KeyShown:
    return KeyShown(number=str(one.number), kind=one.kind, value=one.value, hashed=one.hashed)


def _join(one: Join, hashed: dict[int, bool]) -> JoinShown:
    a, b = (
        KeyShown(number=str(number), kind=key.kind, value=key.value, hashed=hashed.get(number, False))
        for number, key in zip(one.numbers, (one.a, one.b), strict=True)
    )
    return JoinShown(a=a, b=b, outcome=one.outcome, rule=one.rule, event=one.event, at=one.at)
