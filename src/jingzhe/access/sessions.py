"""Sessions of people who signed in with a password.

A session ends when nobody used it for a while, when its day is over, when it is revoked, when the account is shut or
its password or role changes. See OWASP, Session Management Cheat Sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.access import audit, passwords, throttle
from jingzhe.access.accounts import Account, end_sessions, normalised
from jingzhe.access.actor import NOBODY, Actor
from jingzhe.access.errors import ConflictError, ForbiddenError, NotSignedInError, NotThereError, RefusedValueError
from jingzhe.access.permissions import of_role
from jingzhe.access.secrets import equal, hashed, new_id, new_token
from jingzhe.core.clock import Clock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import access_session, account

_SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is known when a session was used last; a write per request would cost more than the request."""
_LONGEST_CLIENT = 200


@dataclass(frozen=True)
class Limits:
    """How long a session lasts.

    Args:
        idle: without being used.
        absolute: from signing in, used or not.
    """

    idle: timedelta = timedelta(hours=2)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True)
class Session:
    """One session.

    Args:
        session_id: its name, no secret.
        account_id: whose it is.
        client: what the browser says it is.
        created_at: when they signed in.
        seen_at: when it was used last, to a minute.
        expires_at: when it ends at the latest.
    """

    session_id: str
    account_id: str
    client: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SignedIn:
    """A session that has just begun.

    Args:
        token: the secret, for the cookie; shown this once.
        actor: who it is.
        session: the session.
    """

    token: str
    actor: Actor
    session: Session


def csrf_token(token: str) -> str:
    """Returns what a page must send along with each write, to show that it is the company's own page.

    Made from the session's token, so that it is bound to the session and need not be kept: another site can make the
    browser send the cookie, but can read neither (OWASP, Cross-Site Request Forgery Prevention Cheat Sheet).
    """
    return hashed(token, "csrf")


def is_csrf_token(given: str, token: str) -> bool:
    """Tells whether ``given`` is the session's."""
    return equal(given, csrf_token(token))


class Sessions:
    """The sessions of a project.

    Args:
        state: where they are kept.
        clock: what time it is.
        limits: how long they last.
    """

    def __init__(self, state: State, clock: Clock, limits: Limits | None = None) -> None:
        self._state = state
        self._clock = clock
        self.limits = limits or Limits()

    def sign_in(self, email: str, password: str, *, network: str, client: str = "") -> SignedIn:
        """Begins a session.

        Args:
            email: as typed.
            password: as typed.
            network: address of the network from which they come; counted, not kept.
            client: what the browser says it is.

        Raises:
            NotSignedInError: address and password do not belong together; does not say which was wrong.
            ThrottledError: too many attempts have failed.
        """
        now = self._clock.now()
        try:
            known = normalised(email)
        except RefusedValueError:
            known = ""
        subjects = (throttle.account(known), throttle.address(network))
        with self._state.writing() as connection:
            throttle.begin(connection, subjects, now)
            row = connection.execute(sa.select(account).where(account.c.email == known)).first()
        usable = row is not None and row.disabled_at is None
        # Whether there is such an account or not, one hash is computed.
        fits = passwords.matches(row.password_hash if row is not None else None, password)
        with self._state.writing() as connection:
            if row is None or not usable or not fits:
                refused = row.account_id if row is not None else ""
                audit.record(connection, now, NOBODY, "session.refused", refused)
            else:
                throttle.succeeded(connection, subjects)
                return self._begin(connection, row, password, client, now)
        raise NotSignedInError("Address and password do not belong together", hint="Try again, or ask for a new link.")

    def change_password(self, by: Actor, old: str, new: str, *, network: str) -> None:
        """Sets the password of whoever has a session; their other sessions end.

        Args:
            by: who they are.
            old: the password so far; attempts are counted with those of signing in.
            new: the password from now on.
            network: as for :meth:`sign_in`.

        Raises:
            ConflictError: a key asks, which has no password.
            ForbiddenError: the old password is not right.
            RefusedValueError: the new one is too simple.
            ThrottledError: too many attempts have failed.
        """
        if by.session_id is None:
            raise ConflictError("A key has no password", hint="Sign in to change one.")
        now, mine = self._clock.now(), account.c.account_id == by.actor_id
        with self._state.reading() as connection:
            row = connection.execute(sa.select(account).where(mine)).one()
        plain = passwords.checked(new, row.email)
        subjects = (throttle.account(row.email), throttle.address(network))
        with self._state.writing() as connection:
            throttle.begin(connection, subjects, now)
        # Both hashes outside of transactions: others need not wait for them.
        fits = passwords.matches(row.password_hash, old)
        made = passwords.hash_of(plain) if fits else ""
        with self._state.writing() as connection:
            # Somebody may have set another one meanwhile, by a link.
            unchanged = sa.and_(mine, account.c.password_hash == row.password_hash)
            if fits and connection.execute(sa.update(account).where(unchanged).values(password_hash=made)).rowcount:
                throttle.succeeded(connection, subjects)
                ended = end_sessions(connection, by.actor_id, now, but=by.session_id)
                details = {"by": "password", "sessions_ended": ended}
                audit.record(connection, now, by, "account.password-set", by.actor_id, details=details)
                return
            audit.record(connection, now, by, "account.password-refused", by.actor_id)
        raise ForbiddenError("The old password is not right", hint="Try again, or ask an owner for a link.")

    def actor(self, token: str) -> tuple[Actor, Session]:
        """Returns who has a session, and notes that it was used.

        Raises:
            NotSignedInError: there is no such session, or it has ended.
        """
        now = self._clock.now()
        wanted = (
            sa.select(access_session, account.c.role)
            .join(account, account.c.account_id == access_session.c.account_id)
            .where(access_session.c.token_hash == hashed(token, "session"), account.c.disabled_at.is_(None))
            .where(*self._alive(now))
        )
        with self._state.reading() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise NotSignedInError("The session has ended", hint="Sign in again.")
        if now - row.seen_at >= _SEEN_EVERY:
            mine = sa.and_(access_session.c.session_id == row.session_id, access_session.c.seen_at < now)
            with self._state.writing() as connection:
                connection.execute(sa.update(access_session).where(mine).values(seen_at=now))
        actor = Actor("account", row.account_id, of_role(row.role), row.role, row.session_id)
        return actor, _session(row)

    def of(self, account_id: str) -> list[Session]:
        """Returns the sessions of an account that have not ended, the one used last first."""
        wanted = (
            sa.select(access_session)
            .where(access_session.c.account_id == account_id, *self._alive(self._clock.now()))
            .order_by(access_session.c.seen_at.desc(), access_session.c.session_id)
        )
        with self._state.reading() as connection:
            return [_session(row) for row in connection.execute(wanted)]

    def end(self, by: Actor, session_id: str, *, of: str | None = None) -> None:
        """Ends a session.

        Args:
            by: who ends it.
            session_id: which.
            of: only where it is this account's.

        Raises:
            NotThereError: there is no such session, or it has ended.
        """
        now = self._clock.now()
        mine = sa.and_(access_session.c.session_id == session_id, access_session.c.revoked_at.is_(None))
        if of is not None:
            mine = sa.and_(mine, access_session.c.account_id == of)
        with self._state.writing() as connection:
            if not connection.execute(sa.update(access_session).where(mine).values(revoked_at=now)).rowcount:
                raise NotThereError("There is no such session", session=session_id)
            audit.record(connection, now, by, "session.ended", session_id)

    def clean(self) -> int:
        """Removes sessions that ended, and failures that are forgotten; returns how many sessions."""
        now = self._clock.now()
        over = sa.or_(access_session.c.revoked_at.is_not(None), sa.not_(sa.and_(*self._alive(now))))
        with self._state.writing() as connection:
            throttle.forget(connection, now)
            return int(connection.execute(sa.delete(access_session).where(over)).rowcount)

    def _alive(self, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            access_session.c.revoked_at.is_(None),
            access_session.c.expires_at > now,
            access_session.c.seen_at > now - self.limits.idle,
        )

    def _begin(self, connection: Connection, row: sa.Row[Any], password: str, client: str, now: datetime) -> SignedIn:
        if passwords.is_outdated(row.password_hash):
            renewed = sa.update(account).where(account.c.account_id == row.account_id)
            connection.execute(renewed.values(password_hash=passwords.hash_of(password)))
        token, session_id = new_token(), new_id("ses")
        shown = "".join(letter for letter in client if letter.isprintable())[:_LONGEST_CLIENT]
        session = Session(session_id, row.account_id, shown, now, now, now + self.limits.absolute)
        connection.execute(
            sa.insert(access_session).values(
                session_id=session_id, token_hash=hashed(token, "session"), account_id=row.account_id, client=shown,
                created_at=now, seen_at=now, expires_at=session.expires_at,
            )
        )  # fmt: skip
        actor = Actor("account", row.account_id, of_role(row.role), row.role, session_id)
        audit.record(connection, now, actor, "session.begun", session_id)
        return SignedIn(token, actor, session)


def _session(row: sa.Row[Any]) -> Session:
    return Session(row.session_id, row.account_id, row.client, row.created_at, row.seen_at, row.expires_at)


__all__ = ["Account", "Limits", "Session", "Sessions", "SignedIn", "csrf_token", "is_csrf_token"]
