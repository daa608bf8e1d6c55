"""What people decided about people: kept with who, when and why, and told to whoever keeps a trail.

The part that keeps the trail stands above this one, so it hands a function in: what that writes stands or falls with
the decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.core.errors import IdentityError
from jingzhe.store.state import State
from jingzhe.store.state import identity_tables as tables


class By(NamedTuple):
    """Who decides, and why; both are kept."""

    who: str
    why: str


@dataclass(frozen=True)
class Decision:
    """One decision, for the audit.

    Args:
        change: number of the change to the graph.
        at: when.
        who: who decided.
        action: undo, merge, keep apart, allow again, unbind.
        why: the reason given.
        details: people and keys.
    """

    change: int
    at: datetime
    who: str
    action: str
    why: str
    details: dict[str, Any]


Also = Callable[[Connection, Decision], object]
"""Writes in the transaction of a decision, given what was decided."""


def decisions(state: State, *, limit: int = 100) -> list[Decision]:
    """Returns what people decided about people, the newest first."""
    newest = sa.select(tables.identity_decision).order_by(tables.identity_decision.c.change.desc()).limit(limit)
    with state.reading() as connection:
        return [
            Decision(row.change, row.decided_at, row.who, row.action, row.why, dict(row.details))
            for row in connection.execute(newest)
        ]


def decide(connection: Connection, decision: Decision, also: Also | None) -> None:
    """Keeps a decision.

    Args:
        connection: the transaction that carries it out.
        decision: what was decided.
        also: writes in the same transaction.

    Raises:
        IdentityError: it does not say who decides and why.
    """
    check_reason(By(decision.who, decision.why), decision.action)
    connection.execute(
        sa.insert(tables.identity_decision).values(
            change=decision.change, decided_at=decision.at, who=decision.who, action=decision.action,
            why=decision.why, details=decision.details,
        )
    )  # fmt: skip
    if also is not None:
        also(connection, decision)


def check_reason(by: By, action: str) -> None:
    """Does nothing where somebody is named, and a reason.

    Raises:
        IdentityError: one of the two is missing.
    """
    if not by.who.strip() or not by.why.strip():
        raise IdentityError("A decision needs who decides and why", action=action)
