"""Channels and addresses; an address is kept as the keyed hash that the identity graph has of it, never in clear."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jingzhe.core.errors import SettingError
from jingzhe.identity.keys import NORMALISERS, hidden
from jingzhe.identity.rules import known_salt, load_rules, project_salt
from jingzhe.store.state import State

ANY = "*"
"""Stands for every channel, or for every purpose."""
KEY_OF: Mapping[str, str] = {"email": "email", "sms": "phone", "mms": "phone", "phone": "phone"}
"""The kind of identity key that is the address of a channel; others have addresses of their own."""
TRANSACTIONAL = "transactional"
"""The class of messages that somebody waits for (a receipt, a code): no consent needed, no promotion in it."""
PERSONALISATION = "personalisation"
"""The purpose whose withdrawal says: no automated decisions about me (PIPL article 24)."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


def checked_name(name: str, what: str, *, any_allowed: bool = False) -> str:
    """Returns the name of a channel or purpose.

    Args:
        name: as given.
        what: ``channel``, ``purpose`` or ``topic``, for the message.
        any_allowed: whether ``*`` may stand for all.

    Raises:
        SettingError: it cannot be one.
    """
    if _NAME.match(name) or (any_allowed and name == ANY):
        return name
    hint = "Small letters, digits and _, such as email, sms, newsletter" + (", or * for all." if any_allowed else ".")
    raise SettingError(f"This is no name of a {what}", hint=hint, field=what)


def salt_of(state: State) -> bytes:
    """Returns the project's salt, made where it is not there."""
    with state.reading() as connection:
        known = known_salt(connection)
    if known is not None:
        return known
    with state.writing() as connection:
        return project_salt(state, connection)


def hash_of(state: State, channel: str, address: str) -> str:
    """Returns what is kept of an address.

    Args:
        state: the state store.
        channel: whose address it is.
        address: as somebody writes it; it is brought into the one way of writing first.

    Raises:
        SettingError: it is no address of that channel. The message does not repeat it.
    """
    kind = KEY_OF.get(channel)
    rules = load_rules(state)
    normaliser = rules.kind(kind).normaliser if kind else "plain"
    written = NORMALISERS[normaliser](address, rules.region)
    if written is None:
        raise SettingError(f"This is no address of the channel {channel}", field="address")
    return hidden(kind or f"address/{channel}", written, salt_of(state))
