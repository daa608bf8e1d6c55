"""Random tokens and what is kept of them: a hash that leads nowhere back.

Tokens have 255 bits from the operating system, so one round of SHA-256 is enough: there is nothing to guess
(OWASP Session Management Cheat Sheet asks for 64 bits at least). Passwords are another matter: see ``passwords``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from jingzhe.core.tokens import new_secret

TOKEN_LENGTH = 43
_ID_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
"""No letters that are taken for one another when read aloud."""


def new_token() -> str:
    """Returns a random token of 255 bits: letters and digits."""
    return new_secret(TOKEN_LENGTH)


def new_id(prefix: str) -> str:
    """Returns a random name such as ``acc_7hq2…``, 60 bits, that is no secret."""
    return f"{prefix}_{''.join(secrets.choice(_ID_LETTERS) for _ in range(12))}"


def hashed(token: str, use: str) -> str:
    """Returns what is stored of a token.

    Args:
        token: the secret.
        use: what it is for; the same token for another use has another hash.
    """
    return hashlib.sha256(f"jingzhe {use}\n{token}".encode()).hexdigest()


def equal(one: str, other: str) -> bool:
    """Tells whether two texts are the same, in a time that does not say where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
