"""Changing a project's rules by hand: what is given is checked, every change is a version, an earlier one can return.

What is stored already must stay readable: how keys of a kind are written and hashed, and whether they join people, is
fixed once it ships or once there are such keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.errors import IdentityError, NoDataError, SettingError
from jingzhe.identity.deciding import Also as Telling
from jingzhe.identity.deciding import By
from jingzhe.identity.dissolving import dissolve, make_nobodys
from jingzhe.identity.keys import KINDS, NEVER, NORMALISERS, Key, base_kind
from jingzhe.identity.known import PROBES
from jingzhe.identity.observations import Coder
from jingzhe.identity.people import keys_numbered
from jingzhe.identity.resolving import next_change, take_turn
from jingzhe.identity.rules import DOCUMENT, Rules, project_salt, rules_from, save_rules
from jingzhe.identity.writing import Change
from jingzhe.store.state import State, documents, words
from jingzhe.store.state.tables import document as documents_table

_FIXED = ("normaliser", "merges", "personal", "same_as")

Also = Callable[[Connection, int], object]
"""Writes in the transaction of a change, given the number of the version."""


class _Kind(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    normaliser: str | msgspec.UnsetType = msgspec.UNSET
    strength: int | msgspec.UnsetType = msgspec.UNSET
    merges: bool | msgspec.UnsetType = msgspec.UNSET
    single: int | msgspec.UnsetType | None = msgspec.UNSET
    shared_after: int | msgspec.UnsetType | None = msgspec.UNSET
    personal: bool | msgspec.UnsetType = msgspec.UNSET
    doc: str | msgspec.UnsetType = msgspec.UNSET
    same_as: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET


class _Document(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    kinds: dict[str, _Kind] | msgspec.UnsetType = msgspec.UNSET
    never: list[str] | msgspec.UnsetType = msgspec.UNSET
    never_of: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    never_hashed: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    region: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class Kept:
    """A version of the rules.

    Args:
        version: its number, 0 where the project has none of its own.
        rules: what it says.
        kept_at: when it was made; None for those that ship.
    """

    version: int
    rules: Rules
    kept_at: datetime | None = None


def rules_now(state: State, version: int | None = None) -> Kept:
    """Returns the rules in force, or an earlier version.

    Raises:
        NoDataError: there is no such version.
    """
    with state.reading() as connection:
        return _kept(connection, version)


def versions(state: State) -> list[Kept]:
    """Returns every version, the newest first."""
    table = documents_table.c
    own = (table.kind == DOCUMENT[0]) & (table.name == DOCUMENT[1])
    asked = sa.select(table.version, table.body, table.created_at).where(own).order_by(table.version.desc())
    with state.reading() as connection:
        return [Kept(number, rules_from(body), at) for number, body, at in connection.execute(asked)]


def change_rules(state: State, given: Mapping[str, Any], *, based_on: int | None, also: Also | None = None) -> Kept:
    """Makes rules the project's, for observations from then on.

    Args:
        state: the state store.
        given: as :func:`jingzhe.identity.rules.rules_from` takes them; what it does not mention is as it ships.
        based_on: version that was looked at; None: whatever holds.
        also: writes in the same transaction.

    Raises:
        SettingError: something in them has no meaning, or would make stored keys unreadable; values are not repeated.
        IdentityError: somebody else has changed them since.
    """
    wanted = checked(given)
    with state.writing() as connection:
        documents.take_turn(connection, *DOCUMENT)
        before = _kept(connection, None)
        if based_on is not None and based_on != before.version:
            raise IdentityError(
                f"The rules have changed since: version {before.version} holds",
                hint="Read them again, and change that.",
            )
        _check_stored(connection, before.rules, wanted)
        return _keep(state, connection, wanted, also)


def restore_rules(state: State, version: int, *, also: Also | None = None) -> Kept:
    """Makes an earlier version hold again, as a new one; 0 is what ships.

    Raises:
        NoDataError: there is no such version.
        SettingError: it would make keys unreadable that were stored since.
    """
    with state.writing() as connection:
        documents.take_turn(connection, *DOCUMENT)
        wanted = Rules() if version == 0 else _kept(connection, version).rules
        _check_stored(connection, _kept(connection, None).rules, wanted)
        return _keep(state, connection, wanted, also)


def never_join(
    state: State, kind: str, value: str, *, split: By | None = None, also: Also | None = None,
    telling: Telling | None = None,
) -> Kept:  # fmt: skip
    """Adds a value that joins nobody from then on, such as the shop's own telephone number.

    Args:
        state: the state store.
        kind: of the key.
        value: as sources write it; of personal kinds only a keyed hash is kept.
        split: who decides, and why, that what it has joined is taken back too; None to leave that as it is.
        also: writes in the same transaction.
        telling: writes in the same transaction, given the decision to split.

    Raises:
        SettingError: there is no such kind, or it can be no value of it.
    """
    with state.writing() as connection:
        take_turn(connection)
        documents.take_turn(connection, *DOCUMENT)
        rules = _kept(connection, None).rules
        name = base_kind(rules.called(kind))
        written = NORMALISERS[rules.kind(name).normaliser](value, rules.region)
        if written is None:
            raise SettingError(f"This is no value of the kind {name!r}", hint="Write it as sources do.", kind=name)
        body = rules.document()
        listed = body["never_of"].setdefault(name, [])
        body["never_of"][name] = sorted({*listed, written.lower()})
        kept = _keep(state, connection, rules_from(body), also)
        plain = replace(rules, never_of={}, never_hashed={})
        stored = Coder(plain, project_salt(state, connection)).stored(Key(kind, value)) if split else None
        if split and stored:
            _split(connection, kept.rules, (rules.called(kind), *stored), state.now(), by=split, telling=telling)
        return kept


def _split(
    connection: Connection, rules: Rules, named: tuple[str, str, int], at: datetime, *, by: By, telling: Telling | None
) -> None:  # fmt: skip
    """Takes back what a key has joined: it belongs to nobody from now on."""
    kind, value, number = named
    rows = keys_numbered(connection, range(number, number + PROBES))
    key = next((row for row in rows if row[1:3] == (kind, value)), None)
    if key is None or not rules.kind(kind).merges:
        return
    make_nobodys(connection, key, at)
    now = Change(next_change(connection), at)
    dissolve(connection, rules, key.key_id, now, by=by, also=telling)


def checked(given: Mapping[str, Any]) -> Rules:
    """Returns the rules that a document from outside says.

    Raises:
        SettingError: something in it has no meaning.
    """
    try:
        plain = msgspec.to_builtins(msgspec.convert(given, _Document))
    except msgspec.ValidationError as error:
        raise SettingError(f"These are no rules: {error}", hint="See them: identity rules show") from error
    for name in plain.get("kinds", {}):
        if base_kind(name) != name:
            raise SettingError("Rules hold for a kind, whatever the app", hint="Leave out what is behind /.", kind=name)
    rules = rules_from(plain)
    for name in (*rules.never_of, *rules.never_hashed):
        if name not in rules.kinds:
            raise SettingError("Values that never join are of a kind that is not known", kind=name)
        if rules.kinds[name].same_as:
            raise SettingError(f"Name the kind itself: {rules.kinds[name].same_as}", kind=name)
    _check_hashes(rules)
    _check_not_personal(rules.never - NEVER)
    return rules


def _check_hashes(rules: Rules) -> None:
    for name, values in rules.never_hashed.items():
        if not rules.kinds[name].personal or any(
            len(one) != 32 or set(one) - set("0123456789abcdef") for one in values
        ):
            raise SettingError(
                "Hashes are of personal kinds, 32 hexadecimal digits each",
                hint="Give the value itself under never_of; it is hashed before it is kept.", kind=name,
            )  # fmt: skip


def _check_not_personal(values: Iterable[str]) -> None:
    """Raises where a value for all kinds is a telephone number or an e-mail address: it would be kept in plain."""
    for value in values:
        is_number = len(value.strip("+")) >= 7 and value.strip("+").isdecimal()
        if NORMALISERS["email"](value, "CN") or is_number:
            raise SettingError(
                "A telephone number or e-mail address is kept as a hash only, and so needs its kind",
                hint='Write it under never_of: {"phone": ["…"]}.',
            )


def _check_stored(connection: Connection, before: Rules, wanted: Rules) -> None:
    stored = {name.partition("/")[0] for name in words.all_words(connection).values()}
    for name, kind in before.kinds.items():
        if name not in KINDS and name not in stored:
            continue
        now = wanted.kinds.get(name)
        if now is None:
            raise SettingError("There are keys of this kind, so that it cannot go", kind=name)
        changed = [field for field in _FIXED if getattr(kind, field) != getattr(now, field)]
        if changed:
            raise SettingError(
                f"{changed[0]} of the kind {name!r} is fixed: what is stored could not be read any more",
                hint="Add a kind of your own under another name.", kind=name,
            )  # fmt: skip
    if before.region != wanted.region and "phone" in stored:
        raise SettingError(
            "The region of telephone numbers is fixed once there are some", hint="Write others with +country code."
        )


def _kept(connection: Connection, version: int | None) -> Kept:
    found = documents.get(connection, *DOCUMENT, version)
    if found is None:
        if version:
            raise NoDataError("There is no such version of the rules")
        return Kept(0, Rules())
    return Kept(found.version, rules_from(found.body), found.created_at)


def _keep(state: State, connection: Connection, wanted: Rules, also: Also | None) -> Kept:
    version = save_rules(state, wanted.as_kept(project_salt(state, connection)), connection=connection)
    if also is not None:
        also(connection, version)
    return _kept(connection, version)
