"""Who asks: a person with a session, a program with a key, or somebody at the machine itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jingzhe.access.errors import ForbiddenError
from jingzhe.access.permissions import PERMISSIONS, Permission, Role

Kind = Literal["account", "key", "machine", "nobody"]


@dataclass(frozen=True)
class Actor:
    """Who asks, and what they may do.

    Args:
        kind: ``account``, ``key``, ``machine`` (the command line) or ``nobody`` (before signing in).
        actor_id: of the account or key.
        permissions: names of what is allowed.
        role: of an account.
        session_id: of the session, where there is one.
    """

    kind: Kind
    actor_id: str
    permissions: frozenset[str]
    role: Role | None = None
    session_id: str | None = None

    @property
    def label(self) -> str:
        """Returns how the audit trail and the log call the actor.

        >>> MACHINE.label
        'machine:cli'
        """
        return f"{self.kind}:{self.actor_id}"

    def may(self, permission: Permission) -> bool:
        """Tells whether the actor has a permission."""
        return permission.name in self.permissions

    def check(self, permission: Permission) -> None:
        """Does nothing where the actor has a permission.

        Raises:
            ForbiddenError: it has not; says who has.
        """
        if not self.may(permission):
            holders = ", ".join(sorted(permission.roles))
            raise ForbiddenError(
                f"This needs the permission {permission.name}",
                hint=f"Roles that have it: {holders}. Ask an owner for it, or for a key with that scope.",
                permission=permission.name,
            )


MACHINE = Actor("machine", "cli", frozenset(PERMISSIONS))
"""Whoever may run the command line on this machine can read the stores anyway."""
NOBODY = Actor("nobody", "-", frozenset())
"""Somebody who has not signed in."""
