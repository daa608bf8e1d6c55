"""Accounts: who may sign in, and the one-time links by which they set their password.

Nobody but the account's owner ever knows the password: an account is made without one, and a link (for the first
administrator, an invitation, or a reset) lets its holder set it, once. What is done here stands in the audit trail in
the same transaction.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit, passwords
from jingzhe.access.actor import Actor
from jingzhe.access.errors import ConflictError, NotThereError, RefusedValueError
from jingzhe.access.permissions import Role, checked_role
from jingzhe.access.secrets import hashed, new_id, new_token
from jingzhe.core.clock import Clock
from jingzhe.core.text import Language
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import access_link, access_session, account

Purpose = Literal["first", "invitation", "reset"]
LINK_LASTS: dict[Purpose, timedelta] = {
    "first": timedelta(days=1), "invitation": timedelta(days=7), "reset": timedelta(hours=1),
}  # fmt: skip
"""How long a link can be used."""
FIRST_EMAIL = "owner@localhost"
"""Address of the first account until its owner changes it."""
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}\Z")
_LONGEST_NAME = 100
# Any number, the same in all versions: who changes the owners takes turns on PostgreSQL.
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('jingzhe accounts', 0))"


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in.

    Args:
        account_id: stays the same for ever.
        email: in lower case; unique.
        name: what to call them.
        role: what they may do.
        language: of what is written to them.
        has_password: False until they have set one by a link.
        created_at: when it was made.
        disabled_at: when it was shut; None: it is open.
    """

    account_id: str
    email: str
    name: str
    role: Role
    language: Language
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class Link:
    """A link that was just made; its token is shown this once.

    Args:
        token: the secret, to be put behind ``#/set-password?token=``.
        account_id: whose password it sets.
        purpose: what it is for.
        expires_at: until when it can be used.
    """

    token: str
    account_id: str
    purpose: Purpose
    expires_at: datetime


def normalised(email: str) -> str:
    """Returns an address of mail in the one way of writing it.

    >>> normalised("  Li.Lei@Example.COM ")
    'li.lei@example.com'

    Raises:
        RefusedValueError: it is none.
    """
    plain = unicodedata.normalize("NFKC", email).strip().casefold()
    if not _EMAIL.match(plain):
        raise RefusedValueError("This is no address of mail", hint="Write it as name@company.example.", field="email")
    return plain


class Accounts:
    """The accounts of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def all(self, *, after: str = "", limit: int = 1000) -> list[Account]:
        """Returns accounts by address of mail, those behind ``after``."""
        wanted = sa.select(account).where(account.c.email > after).order_by(account.c.email).limit(limit)
        with self._state.reading() as connection:
            return [_account(row) for row in connection.execute(wanted)]

    def get(self, account_id: str) -> Account:
        """Returns one account.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _account(_found(connection, account.c.account_id == account_id))

    def by_email(self, email: str) -> Account:
        """Returns the account with an address of mail.

        Raises:
            NotThereError: there is none.
        """
        with self._state.reading() as connection:
            return _account(_found(connection, account.c.email == normalised(email)))

    def invite(self, by: Actor, email: str, *, name: str, role: str, language: Language = "en") -> tuple[Account, Link]:
        """Makes an account without a password, and the link by which its owner sets one.

        Args:
            by: who invites.
            email: their address of mail.
            name: what to call them.
            role: what they may do.
            language: of what is written to them.

        Raises:
            ConflictError: somebody has an account with this address.
            RefusedValueError: a value cannot be used.
        """
        with self._state.writing() as connection:
            return self._made(
                connection, by, normalised(email), name=_name(name), role=checked_role(role), language=language,
                purpose="invitation",
            )  # fmt: skip

    def first_administrator(self, by: Actor) -> Link | None:
        """Makes the first owner where there is no account at all.

        Returns:
            the link by which the owner sets a password; None where somebody has an account.
        """
        with self._state.writing() as connection:
            self._take_turn(connection)
            if connection.scalar(sa.select(sa.func.count()).select_from(account)):
                return None
            first = self._made(connection, by, FIRST_EMAIL, name="Owner", role="owner", language="en", purpose="first")
            return first[1]

    def change(
        self,
        by: Actor,
        account_id: str,
        *,
        email: str | None = None,
        name: str | None = None,
        role: str | None = None,
        language: Language | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """Changes what is given; sessions of an account that is shut, or whose role changes, end.

        Args:
            by: who changes it.
            account_id: which account.
            email: new address of mail.
            name: new name.
            role: new role.
            language: new language.
            disabled: True to shut the account, False to open it again.

        Raises:
            NotThereError: there is no such account.
            ConflictError: somebody else has the address, or nobody would be left who owns the project.
            RefusedValueError: a value cannot be used.
        """
        now = self._clock.now()
        with self._state.writing() as connection:
            self._take_turn(connection)
            before = _account(_found(connection, account.c.account_id == account_id))
            wished: dict[str, Any] = {
                "email": None if email is None else normalised(email),
                "name": None if name is None else _name(name),
                "role": None if role is None else checked_role(role),
                "language": language,
            }
            changes = {key: new for key, new in wished.items() if new is not None and new != getattr(before, key)}
            if disabled is not None and disabled != (before.disabled_at is not None):
                changes["disabled_at"] = now if disabled else None
            if not changes:
                return before
            if "email" in changes:
                self._check_free(connection, changes["email"])
            connection.execute(sa.update(account).where(account.c.account_id == account_id).values(changes))
            if changes.keys() & {"role", "disabled_at"}:
                self._check_owned(connection)
                end_sessions(connection, account_id, now)
            self._tell(connection, by, before, changes, now)
            return _account(_found(connection, account.c.account_id == account_id))

    def link(self, by: Actor, account_id: str) -> Link:
        """Makes a link by which the account's owner sets a new password; earlier ones no longer work.

        Raises:
            NotThereError: there is no such account.
            ConflictError: the account is shut.
        """
        with self._state.writing() as connection:
            found = _account(_found(connection, account.c.account_id == account_id))
            if found.disabled_at is not None:
                raise ConflictError("The account is disabled", hint="Open it again first.", account=account_id)
            purpose: Purpose = "reset" if found.has_password else "invitation"
            return self._linked(connection, by, account_id, purpose)

    def set_password(self, token: str, password: str) -> Account:
        """Sets a password by a link, once; all sessions of the account end.

        Args:
            token: of the link.
            password: the new password.

        Raises:
            NotThereError: the link was used, has expired, was replaced, or never was.
            RefusedValueError: the password cannot be used; the link still can.
        """
        now, kept = self._clock.now(), hashed(token, "link")
        usable = sa.and_(
            access_link.c.token_hash == kept, access_link.c.used_at.is_(None), access_link.c.expires_at > now
        )
        with self._state.reading() as connection:
            email = connection.scalar(
                sa.select(account.c.email)
                .join(access_link, access_link.c.account_id == account.c.account_id)
                .where(usable, account.c.disabled_at.is_(None))
            )
        if email is None:
            raise _no_link()
        # Hashed before the transaction that writes: others need not wait for it.
        made = passwords.hash_of(passwords.checked(password, email))
        with self._state.writing() as connection:
            used = connection.execute(sa.update(access_link).where(usable).values(used_at=now))
            if used.rowcount != 1:
                raise _no_link()
            link = connection.execute(sa.select(access_link).where(access_link.c.token_hash == kept)).one()
            mine = account.c.account_id == link.account_id
            connection.execute(sa.update(account).where(mine).values(password_hash=made))
            end_sessions(connection, link.account_id, now)
            found = _account(_found(connection, mine))
            themselves = Actor("account", found.account_id, frozenset(), found.role)
            details = {"by": link.purpose}
            audit.record(connection, now, themselves, "account.password-set", found.account_id, details=details)
            return found

    def _made(
        self,
        connection: Connection,
        by: Actor,
        email: str,
        *,
        name: str,
        role: Role,
        language: Language,
        purpose: Purpose,
    ) -> tuple[Account, Link]:
        now, account_id = self._clock.now(), new_id("acc")
        self._check_free(connection, email)
        values = {"account_id": account_id, "email": email, "name": name, "role": role, "language": language}
        connection.execute(sa.insert(account).values(**values, created_at=now))
        audit.record(connection, now, by, "account.made", account_id, details={"role": role, "for": purpose})
        made = _account(_found(connection, account.c.account_id == account_id))
        return made, self._linked(connection, by, account_id, purpose)

    def _linked(self, connection: Connection, by: Actor, account_id: str, purpose: Purpose) -> Link:
        now = self._clock.now()
        made = Link(new_token(), account_id, purpose, now + LINK_LASTS[purpose])
        connection.execute(sa.delete(access_link).where(access_link.c.account_id == account_id))
        connection.execute(
            sa.insert(access_link).values(
                token_hash=hashed(made.token, "link"), account_id=account_id, purpose=purpose,
                created_at=now, expires_at=made.expires_at,
            )
        )  # fmt: skip
        audit.record(connection, now, by, "account.link-made", account_id, details={"for": purpose})
        return made

    def _check_free(self, connection: Connection, email: str) -> None:
        if connection.scalar(sa.select(sa.func.count()).select_from(account).where(account.c.email == email)):
            raise ConflictError("Somebody has an account with this address", hint="Change that one.", field="email")

    def _check_owned(self, connection: Connection) -> None:
        owners = sa.and_(account.c.role == "owner", account.c.disabled_at.is_(None))
        if not connection.scalar(sa.select(sa.func.count()).select_from(account).where(owners)):
            raise ConflictError("Nobody would be left who owns the project", hint="Make somebody else an owner first.")

    def _take_turn(self, connection: Connection) -> None:
        # Two owners who shut each other's account at once would each see the other one as left.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_TURN)

    def _tell(self, connection: Connection, by: Actor, before: Account, changes: dict[str, Any], now: datetime) -> None:
        done = dict(changes)
        if "disabled_at" in done:
            action = "account.enabled" if done.pop("disabled_at") is None else "account.disabled"
            audit.record(connection, now, by, action, before.account_id)
        if done:
            # Which, not to what: the trail cannot be changed when somebody's name or address is to be forgotten.
            details: dict[str, Any] = {"changed": sorted(done)}
            if "role" in done:
                details |= {"role": done["role"], "role_before": before.role}
            audit.record(connection, now, by, "account.changed", before.account_id, details=details)


def end_sessions(connection: Connection, account_id: str, now: datetime, *, but: str = "") -> int:
    """Ends all sessions of an account, but for one where it is named; returns how many."""
    alive = sa.and_(access_session.c.account_id == account_id, access_session.c.revoked_at.is_(None))
    alive = sa.and_(alive, access_session.c.session_id != but)
    return int(connection.execute(sa.update(access_session).where(alive).values(revoked_at=now)).rowcount)


def _found(connection: Connection, which: sa.ColumnElement[bool]) -> sa.Row[Any]:
    row = connection.execute(sa.select(account).where(which)).first()
    if row is None:
        raise NotThereError("There is no such account", hint="List them: jingzhe account list")
    return row


def _account(row: sa.Row[Any]) -> Account:
    return Account(
        row.account_id, row.email, row.name, row.role, row.language, row.password_hash is not None, row.created_at,
        row.disabled_at,
    )  # fmt: skip


def _name(name: str) -> str:
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain or len(plain) > _LONGEST_NAME or not plain.isprintable():
        raise RefusedValueError(f"A name has 1 to {_LONGEST_NAME} visible characters", field="name")
    return plain


def _no_link() -> NotThereError:
    return NotThereError(
        "This link does not work",
        hint="It works once, and for a while. Ask an owner for a new one: jingzhe account link",
    )
