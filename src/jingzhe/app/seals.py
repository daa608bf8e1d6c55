"""The keys that seal personal data: looked at, rotated, and given up where their file is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit
from jingzhe.access.actor import Actor
from jingzhe.app.workspace import Workspace
from jingzhe.collect.personal import Where, set_name
from jingzhe.core.clock import Clock
from jingzhe.core.seal_keys import Key
from jingzhe.core.sealing import Sealer
from jingzhe.core.settings import Settings
from jingzhe.outgoing.signing import new_secret
from jingzhe.store.state import State, seal_record
from jingzhe.store.state.inbox import Inbox
from jingzhe.store.state.outgoing_tables import webhook
from jingzhe.store.state.seal_losses import drop_closed
from jingzhe.store.state.seal_record import Record, record_of

_NO_SECRET = "its secret was sealed with a key that is lost: give it a new one"  # noqa: S105 - says that there is none


@dataclass(frozen=True)
class Standing:
    """How a project is sealed.

    Args:
        keys: of the key file, the newest, which seals, last.
        record: what the state store knows of them.
    """

    keys: tuple[Key, ...]
    record: Record


@dataclass(frozen=True)
class GivenUp:
    """What giving keys up has cost.

    Args:
        fingerprints: of the keys.
        rows: how many rows of the state store went or were emptied, by table and column.
        requests: how many requests that waited in the inbox went.
    """

    fingerprints: tuple[str, ...]
    rows: Mapping[str, int]
    requests: int


def standing(workspace: Workspace) -> Standing:
    """Returns how a project is sealed.

    Raises:
        SealError: the key file cannot be read.
    """
    return Standing(workspace.settings.key_file.read(), record_of(workspace.warehouse.state))


def rotate(workspace: Workspace, by: Actor) -> Key:
    """Adds a key that seals from now on, and returns it; see :func:`jingzhe.store.state.seal_record.rotate`.

    Args:
        workspace: the project.
        by: who asks.

    Raises:
        SealError: the key file cannot be read or written, or is not this project's.
    """
    state = workspace.warehouse.state
    key = seal_record.rotate(state, workspace.settings.key_file)
    with state.writing() as connection:
        audit.record(connection, state.now(), by, "seal.rotated", key.fingerprint)
    return key


def personal_name(workspace: Workspace, by: Actor, name: str, where: Where) -> str:
    """Says whether a field is personal from now on; see :func:`jingzhe.collect.personal.set_name`.

    Raises:
        SettingError: the name is empty.
    """
    state = workspace.warehouse.state
    written = set_name(state, name, where)
    with state.writing() as connection:
        audit.record(connection, state.now(), by, "seal.name-set", written, details={"where": where})
    return written


def give_up(settings: Settings, clock: Clock, by: Actor) -> GivenUp:
    """Gives up the keys that the key file has not, with everything that was sealed with them.

    Args:
        settings: of the project, which cannot be opened as it is.
        clock: what time it is.
        by: who decides.

    Raises:
        SealError: no key is missing, or the key file cannot be read or written.
        StateError: a store cannot be reached.
    """
    file = settings.key_file
    with State.open(settings.resolved_state_url, clock=clock) as state:
        missing = seal_record.give_up(state, file)
        sealer = seal_record.seal_with(state, file)
        lost = frozenset(bytes.fromhex(one[:8]) for one in missing)
        with state.writing() as connection:
            rows = drop_closed(connection, lost)
            _stop_webhooks(connection, state)
            audit.record(connection, state.now(), by, "seal.given-up", ", ".join(missing), details=_told(rows))
        with Inbox.open(settings.resolved_inbox_url, Sealer(sealer.keys, file.path)) as inbox:
            requests = inbox.drop_closed(lost)
    return GivenUp(missing, rows, requests)


def _told(rows: Mapping[str, int]) -> dict[str, Any]:
    return {"rows": dict(rows)}


def _stop_webhooks(connection: Connection, state: State) -> None:
    """Disables webhooks that have no secret any more; until they are given one, nobody can sign as they would."""
    for number in connection.scalars(sa.select(webhook.c.webhook_id).where(webhook.c.secret == "")).all():
        values = {"secret": new_secret(), "disabled_at": state.now(), "disabled_why": _NO_SECRET}
        connection.execute(sa.update(webhook).where(webhook.c.webhook_id == number).values(values))
