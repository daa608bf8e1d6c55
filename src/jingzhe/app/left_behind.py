"""What rows of others still hold of a person who is erased: filed before the two were parted, or met on the way.

An undone merge leaves events where they came, so one that was made under the person's account may stand under somebody
else. An event of somebody else may name a key of the person: a card that was not theirs, a telephone number that the
rules did not let join the two. The first go, of the second the person's values go and the rest stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from jingzhe.app.workspace import Workspace
from jingzhe.collect.sealed_properties import OF_PEOPLE, opened, seal_of
from jingzhe.consent.owning import NOBODY, met_with, once_with, owners
from jingzhe.consent.subjects import Finder, Subject
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import Rules, load_rules
from jingzhe.identity.writing import Change, touch
from jingzhe.store.facts import EVENT_DETAILS, EVENTS, IDENTITIES, ITEMS
from jingzhe.store.lake.person_rows import filed_rows

_TEXTS = ("url", "path", "referrer", "title", "properties")
"""Columns of event details in which a client may write anything."""
_NAMED = "value IN (SELECT value FROM their_values) OR person_id IN (SELECT person_id FROM met_people)"
_BESIDE = "user_id IN (SELECT value FROM their_values) OR person_id IN (SELECT person_id FROM met_people)"
_THEIR_KEY = "kind || '=' || value IN (SELECT key FROM their_keys)"
_GO = "event_id IN (SELECT event_id FROM their_events)"


@dataclass(frozen=True)
class LeftBehind:
    """What goes besides the rows that are filed under a person, and what takes the place of rows that go.

    Args:
        conditions: what is to go, by table.
        offered: tables that the conditions read.
        instead: rows to write, by table.
        blotted: how many events of others stay without the person's values.
        losers: people under whom events were filed that go: their profiles are to be computed anew.
    """

    conditions: Mapping[str, str]
    offered: Mapping[str, pa.Table]
    instead: Mapping[str, pa.Table]
    blotted: int
    losers: tuple[int, ...]

    def note(self, connection: Connection, now: datetime) -> None:
        """Has readers look at those again whose events go, within the transaction that publishes."""
        if self.losers:
            take_turn(connection)
            touch(connection, Change(next_change(connection), now), np.array(self.losers, np.int64))


def left_behind(workspace: Workspace, subject: Subject, finder: Finder) -> LeftBehind:
    """Returns what rows of others hold of a person."""
    warehouse = workspace.warehouse
    rules = load_rules(warehouse.state)
    with warehouse.state.reading() as connection:
        met = {*once_with(connection, subject.people), *met_with(connection, subject.people, rules)}
    values = sorted({value for _, value in subject.values})
    people = sorted({*met, *subject.people})
    offered = {
        "their_values": pa.table({"value": pa.array(values, pa.string())}),
        "met_people": pa.table({"person_id": pa.array(people, pa.int64())}),
    }
    found = filed_rows(warehouse, {IDENTITIES.name: _NAMED, EVENT_DETAILS.name: _BESIDE}, offered)
    keys, moved = _identities(workspace, subject, rules, _listed(found, IDENTITIES.name))
    beside = [row for row in _listed(found, EVENT_DETAILS.name) if row["person_id"] not in subject.people]
    logins = {value for kind, value in subject.values if rules.are_same(kind, "login")}
    theirs = {row["event_id"]: row["person_id"] for row in beside if row["user_id"] in logins}
    others = [row for row in beside if row["user_id"] not in logins]
    blotted = [made for row in others if (made := _without(workspace, finder, row)) is not None]
    gone = pa.array([*theirs, *(row["event_id"] for row in blotted)], pa.int64())
    return LeftBehind(
        {EVENTS.name: _GO, ITEMS.name: _GO,
         EVENT_DETAILS.name: "event_id IN (SELECT event_id FROM their_details)",
         IDENTITIES.name: _THEIR_KEY},
        {"their_events": pa.table({"event_id": pa.array(list(theirs), pa.int64())}),
         "their_details": pa.table({"event_id": gone}),
         "their_keys": pa.table({"key": pa.array([f"{kind}={value}" for kind, value in keys], pa.string())})},
        {name: pa.Table.from_pylist(rows, table.arrow_schema)
         for name, table, rows in ((EVENT_DETAILS.name, EVENT_DETAILS, blotted), (IDENTITIES.name, IDENTITIES, moved))
         if rows},
        len(blotted),
        tuple(sorted(set(theirs.values()) - {None})),
    )  # fmt: skip


def _listed(found: Mapping[str, pa.Table], name: str) -> list[dict[str, Any]]:
    return found[name].to_pylist() if name in found else []


def _identities(
    workspace: Workspace, subject: Subject, rules: Rules, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Returns the keys that go wherever they are filed, and those of others, filed under the person, that stay."""
    with workspace.warehouse.state.reading() as connection:
        owned = owners(connection, [(row["kind"], row["value"]) for row in rows], rules)
    keys, moved = [], []
    for row in rows:
        owner = owned.get((row["kind"], row["value"]))
        if owner is None:
            continue
        if owner in subject.people:
            keys.append((row["kind"], row["value"]))
        elif owner != NOBODY and row["person_id"] in subject.people:
            moved.append({**row, "person_id": owner})
    return keys, moved


def _without(workspace: Workspace, finder: Finder, row: dict[str, Any]) -> dict[str, Any] | None:
    """Returns an event of somebody else without a person's values; None where it holds none."""
    state, event_id = workspace.warehouse.state, row["event_id"]
    made = {**row, "properties": opened(state.sealer, row["properties"], event_id).text}
    count = 0
    for name in _TEXTS:
        if made[name]:
            made[name], found = _blotted(finder, made[name])
            count += found
    for name in ("user_id", "anonymous_id"):
        if made[name] and finder.is_theirs(made[name]):
            made[name], count = None, count + 1
    if not count:
        return None
    seal = seal_of(state)
    if seal is not None and made["properties"]:
        made["properties"] = seal.sealed(made["properties"], event_id, of_person=row["call"] in OF_PEOPLE)
    return made


def _blotted(finder: Finder, text: str) -> tuple[str, int]:
    if text.startswith("{"):
        try:
            made, count = finder.without(json.loads(text))
        except (ValueError, RecursionError):
            return ("{}", 1) if finder.names(text) else (text, 0)
        return (json.dumps(made, ensure_ascii=False, separators=(",", ":")), count) if count else (text, 0)
    return ("[erased]", 1) if finder.names(text) else (text, 0)
