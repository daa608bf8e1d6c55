"""The rules of a project: kinds as it wants them, values that never join, the region of its telephone numbers.

They are a document of the state store; every change is a new version, and the defaults stand in code.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from jingzhe.core.errors import SettingError
from jingzhe.identity.keys import KINDS, NEVER, NORMALISERS, Kind, base_kind, hidden
from jingzhe.store.state import State, documents

DOCUMENT = ("identity", "rules")
SALT = ("identity", "salt")


@dataclass(frozen=True)
class Rules:
    """What may join whom.

    Args:
        kinds: by name.
        never: values, in lower case and as normalised, that join nobody whatever their kind.
        never_of: the same for single kinds, such as a shop's own telephone number.
        never_hashed: the same for personal kinds, as keyed hashes: how the project's rules are kept.
        region: ISO 3166 region of telephone numbers without a country code.
    """

    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    never: frozenset[str] = NEVER
    never_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    region: str = "CN"
    never_hashed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.kinds.values():
            if kind.normaliser not in NORMALISERS:
                raise SettingError(
                    f"There is no way of writing called {kind.normaliser!r}",
                    hint=f"Use one of: {', '.join(NORMALISERS)}.",
                    kind=kind.name,
                )
            if kind.same_as and (kind.same_as not in self.kinds or self.kinds[kind.same_as].same_as):
                raise SettingError(
                    f"Keys cannot be the same as {kind.same_as!r}", hint="Name a kind that is itself.", kind=kind.name
                )
            for name in ("single", "shared_after"):
                limit = getattr(kind, name)
                if limit is not None and limit < 1:
                    raise SettingError(f"{name} must be 1 or more, or none at all", kind=kind.name, value=limit)

    @cached_property
    def never_everywhere(self) -> Mapping[str, frozenset[str]]:
        """Returns the values that never join, by kind, each way of writing them that a kind has included."""
        listed = {}
        for name, kind in self.kinds.items():
            write = NORMALISERS[kind.normaliser]
            own = self.never_of.get(name, frozenset())
            written = {found.lower() for value in own if (found := write(value, self.region))}
            listed[name] = self.never | own | written
        return listed

    def kind(self, name: str) -> Kind:
        """Returns the kind of ``name``; an app behind it is passed over.

        Raises:
            SettingError: there is none.
        """
        found = self.kinds.get(base_kind(name))
        if found is None:
            raise SettingError(
                f"There is no kind of key called {name!r}",
                hint=f"Known are: {', '.join(sorted(self.kinds))}. Others can be added to the rules.",
            )
        return found

    def called(self, name: str) -> str:
        """Returns the name under which keys of a kind are stored: that of the kind which it is the same as.

        Raises:
            SettingError: there is no such kind.
        """
        same_as = self.kind(name).same_as
        if not same_as:
            return name
        _, slash, app = name.partition("/")
        return same_as + slash + app

    def are_same(self, one: str, other: str) -> bool:
        """Tells whether keys of two kinds, known or not, are the same under two names."""
        if one == other:
            return True
        known = all(name.partition("/")[0] in self.kinds for name in (one, other))
        return known and self.called(one) == self.called(other)

    def document(self) -> dict[str, Any]:
        """Returns the rules in JSON's terms."""
        return {
            "kinds": {name: asdict(kind) for name, kind in self.kinds.items()},
            "never": sorted(self.never),
            "never_of": {name: sorted(values) for name, values in self.never_of.items()},
            "region": self.region,
            "never_hashed": {name: sorted(hashes) for name, hashes in self.never_hashed.items()},
        }

    def as_kept(self, salt: bytes) -> Rules:
        """Returns the rules without anything personal: such values as keyed hashes.

        Raises:
            SettingError: a value can be none of its kind.
        """
        hashes = {name: set(known) for name, known in self.never_hashed.items()}
        plain = {}
        for name, values in self.never_of.items():
            if self.kind(name).personal:
                hashes.setdefault(name, set()).update(self.hashed(name, value, salt) for value in values)
            else:
                plain[name] = values
        return replace(self, never_of=plain, never_hashed={name: frozenset(found) for name, found in hashes.items()})

    def hashed(self, name: str, value: str, salt: bytes) -> str:
        """Returns the keyed hash under which a personal value is kept.

        Raises:
            SettingError: it can be no value of the kind; it is not repeated.
        """
        written = NORMALISERS[self.kind(name).normaliser](value, self.region)
        if written is None:
            raise SettingError(f"This is no value of the kind {name!r}", hint="Write it as sources do.", kind=name)
        return hidden(self.called(name), written, salt)


def rules_from(document: Mapping[str, Any]) -> Rules:
    """Returns the rules that a document says; what it does not mention is as it ships.

    Args:
        document: ``kinds`` by name, each with the fields that differ from the one that ships; ``never``,
            ``never_of``, ``never_hashed``, ``region``.

    Raises:
        SettingError: a field has no meaning or no usable value.
    """
    unknown = set(document) - {"kinds", "never", "never_of", "never_hashed", "region"}
    if unknown:
        raise SettingError(f"The rules have no field {min(unknown)!r}")
    kinds = dict(KINDS)
    for name, fields in document.get("kinds", {}).items():
        basis = kinds.get(name, Kind(base_kind(name), "plain", 50))
        try:
            kinds[name] = replace(basis, **{**fields, "name": name})
        except TypeError as error:
            raise SettingError("A kind of key has a field that means nothing", kind=name, given=fields) from error
    return Rules(
        kinds,
        frozenset(value.lower() for value in document.get("never", NEVER)),
        {name: frozenset(v.lower() for v in values) for name, values in document.get("never_of", {}).items()},
        document.get("region", "CN"),
        {name: frozenset(hashes) for name, hashes in document.get("never_hashed", {}).items()},
    )


def load_rules(state: State) -> Rules:
    """Returns the project's rules, those that ship where it has none."""
    document = state.document(*DOCUMENT)
    return rules_from(document.body) if document else Rules()


def save_rules(state: State, rules: Rules, *, connection: Connection | None = None) -> int:
    """Keeps rules as the project's; they hold for observations from then on. Returns the number of the version.

    Personal values that never join are kept as keyed hashes.

    Args:
        state: the state store.
        rules: what is to hold.
        connection: a transaction that writes, to become part of; None: one of its own.
    """
    if connection is None:
        with state.writing() as own:
            return save_rules(state, rules, connection=own)
    kept = rules
    if any(rules.kind(name).personal for name in rules.never_of):
        kept = rules.as_kept(project_salt(state, connection))
    return state.put_document(*DOCUMENT, kept.document(), connection=connection)


def known_salt(connection: Connection) -> bytes | None:
    """Returns the secret under which personal keys are hashed, None where no key was ever stored."""
    document = documents.get(connection, *SALT, None)
    return bytes.fromhex(document.body["salt"]) if document else None


def project_salt(state: State, connection: Connection) -> bytes:
    """Returns the secret under which personal keys are hashed, made the first time; it never changes.

    It is kept in the state store only, never in the lake or in exports.

    Args:
        state: the store.
        connection: a transaction that writes.
    """
    salt = known_salt(connection)
    if salt is None:
        state.put_document(*SALT, {"salt": secrets.token_hex(32)}, connection=connection)
        salt = known_salt(connection)
    if salt is None:
        raise SettingError("The project's salt cannot be kept")
    return salt
