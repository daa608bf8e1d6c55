"""What access refuses, and why; the server has one HTTP status for each."""

from __future__ import annotations

from typing import Any

from jingzhe.core.errors import JingzheError


class AccessError(JingzheError):
    """Something was refused because of who asked, or how."""

    code = "access"


class NotSignedInError(AccessError):
    """Nobody is signed in: no session and no key, or one that has ended."""

    code = "not-signed-in"


class ForbiddenError(AccessError):
    """Whoever asks is known, but may not do this."""

    code = "forbidden"


class ThrottledError(AccessError):
    """Too many attempts failed; the next one has to wait.

    Args:
        message: what was wrong.
        retry_after_seconds: how long to wait.
        where: as for every error.
    """

    code = "throttled"

    def __init__(self, message: str, *, retry_after_seconds: int, **where: Any) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message, hint=f"Try again in {retry_after_seconds} s.", **where)


class ConflictError(AccessError):
    """What was asked does not fit what there is; nothing was changed."""

    code = "conflict"


class NotThereError(AccessError):
    """There is no such account, link, session or key."""

    code = "not-there"


class RefusedValueError(AccessError):
    """A value cannot be used: an address that is none, a password that is too short."""

    code = "refused-value"


class RepeatedKeyError(AccessError):
    """An idempotency key came again with another request."""

    code = "repeated-key"


class StillRunningError(AccessError):
    """The first request with this idempotency key has not been answered yet."""

    code = "still-running"
