"""Requests that are sent twice are carried out once: the second one gets the first one's answer.

A client that heard nothing does not know whether its write was done; it sends the same request again with the same
``Idempotency-Key``. See the IETF's draft "The Idempotency-Key HTTP Header Field"
(draft-ietf-httpapi-idempotency-key-header). Only answers that say "done" are kept; what failed may be tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from jingzhe.access.actor import Actor
from jingzhe.access.errors import RefusedValueError, RepeatedKeyError, StillRunningError
from jingzhe.access.secrets import hashed
from jingzhe.core.clock import Clock
from jingzhe.store.state import State
from jingzhe.store.state.access_tables import repeated_request

KEPT_FOR = timedelta(hours=24)
"""How long an answer is given again."""
DEAD_AFTER = timedelta(minutes=10)
"""A request without an answer for so long died with its process; the next one is carried out again."""
_LONGEST_KEY = 255


@dataclass(frozen=True)
class Answer:
    """What was answered.

    Args:
        status: of HTTP.
        media_type: of the body.
        body: None where it held a secret, which is shown once.
    """

    status: int
    media_type: str
    body: bytes | None


class Repeats:
    """The answers that are kept.

    Args:
        state: where.
        clock: what time it is.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def begin(self, actor: Actor, route: str, key: str, content: bytes) -> tuple[str, Answer | None]:
        """Says that a request begins.

        Args:
            actor: who sends it; others' keys are other keys.
            route: method and path.
            key: the idempotency key.
            content: what was sent.

        Returns:
            the request's name, for :meth:`end` or :meth:`forget`, and the answer where there is one already.

        Raises:
            RefusedValueError: the key is empty or too long.
            RepeatedKeyError: the key came before with other content.
            StillRunningError: the first request is still under way.
        """
        if not 0 < len(key) <= _LONGEST_KEY:
            raise RefusedValueError(f"An idempotency key has 1 to {_LONGEST_KEY} characters", field="Idempotency-Key")
        name = hashed("\n".join((actor.label, route, key)), "request")
        print_of = hashed(content.hex(), "content")
        now, row = self._clock.now(), repeated_request.c
        # Two that come at once: the database lets one of them in.
        over = sa.or_(row.begun_at <= now - KEPT_FOR, sa.and_(row.status.is_(None), row.begun_at <= now - DEAD_AFTER))
        try:
            with self._state.writing() as connection:
                connection.execute(sa.delete(repeated_request).where(row.request == name, over))
                connection.execute(sa.insert(repeated_request).values(request=name, content=print_of, begun_at=now))
        except IntegrityError:
            return name, self._known(name, print_of)
        return name, None

    def end(self, name: str, answer: Answer) -> None:
        """Keeps an answer."""
        values = {"status": answer.status, "media_type": answer.media_type, "body": answer.body}
        with self._state.writing() as connection:
            connection.execute(sa.update(repeated_request).where(repeated_request.c.request == name).values(values))

    def forget(self, name: str) -> None:
        """Forgets a request that was not carried out, so that it may be sent again."""
        unanswered = sa.and_(repeated_request.c.request == name, repeated_request.c.status.is_(None))
        with self._state.writing() as connection:
            connection.execute(sa.delete(repeated_request).where(unanswered))

    def clean(self) -> int:
        """Removes answers that are no longer given; returns how many."""
        old = repeated_request.c.begun_at <= self._clock.now() - KEPT_FOR
        with self._state.writing() as connection:
            return int(connection.execute(sa.delete(repeated_request).where(old)).rowcount)

    def _known(self, name: str, print_of: str) -> Answer:
        with self._state.reading() as connection:
            found = connection.execute(sa.select(repeated_request).where(repeated_request.c.request == name)).first()
        if found is None or (found.status is None and found.content == print_of):
            raise StillRunningError("The same request is still under way", hint="Ask again in a moment.")
        if found.content != print_of:
            raise RepeatedKeyError(
                "This idempotency key came before with another request", hint="Take a new key for a new request."
            )
        return Answer(int(found.status), str(found.media_type), found.body)
