"""Passwords: Argon2id, and a few rules that keep the worst ones out.

Parameters: OWASP Password Storage Cheat Sheet, second of its equivalent settings (m = 19456 KiB, t = 2, p = 1).
Length: NIST SP 800-63B-4, 3.1.1.2: 15 characters where the password is the only factor; no rules of composition, and
no change without a reason. A hash made with other parameters is made anew at the next sign-in.
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from jingzhe.access.errors import RefusedValueError

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
LEAST_CHARACTERS = 15
MOST_CHARACTERS = 256
_LEAST_DIFFERENT = 5
_hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
# Stands in for accounts that do not exist or have no password, so that the answer takes as long.
_STAND_IN = _hasher.hash("nobody has this password")


def checked(password: str, email: str) -> str:
    """Returns a new password in the one way in which it is hashed (NFC, as SP 800-63B-4 asks).

    Raises:
        RefusedValueError: it is too short, too long, too simple, or holds the address.
    """
    plain = unicodedata.normalize("NFC", password)
    problem = ""
    if len(plain) < LEAST_CHARACTERS:
        problem = f"A password has at least {LEAST_CHARACTERS} characters"
    elif len(plain) > MOST_CHARACTERS:
        problem = f"A password has at most {MOST_CHARACTERS} characters"
    elif len(set(plain)) < _LEAST_DIFFERENT:
        problem = "A password is more than a few characters repeated"
    elif email.partition("@")[0] in plain.casefold() and len(plain) < LEAST_CHARACTERS + len(email.partition("@")[0]):
        problem = "A password is not the address with something added"
    if problem:
        raise RefusedValueError(
            problem, hint="A few words that nobody else would put together do well.", field="password"
        )
    return plain


def hash_of(password: str) -> str:
    """Returns what is stored of a password, its parameters included; takes about 20 ms and 19 MiB."""
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Tells whether a password is the stored one; takes as long where there is none.

    Args:
        stored: what :func:`hash_of` gave; None where there is no such account or it has no password.
        password: as somebody typed it.
    """
    plain = unicodedata.normalize("NFC", password[:MOST_CHARACTERS])
    try:
        fits = _hasher.verify(stored or _STAND_IN, plain)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return fits and stored is not None


def is_outdated(stored: str) -> bool:
    """Tells whether a hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)
