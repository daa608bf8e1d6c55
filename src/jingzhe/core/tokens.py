"""Random secrets that go anywhere: into addresses, headers, command lines and the names that SDKs allow."""

from __future__ import annotations

import secrets
import string

_FIRST = string.ascii_letters
_REST = string.ascii_letters + string.digits


def new_secret(length: int) -> str:
    """Returns a random secret of letters and digits, a letter first; each sign has some six bits.

    No hyphen: one at the beginning is an option to a command line, and Sensors' SDKs take a write key for a project,
    which is refused unless it is a name.

    Args:
        length: how many signs; 43 have 255 bits.
    """
    return secrets.choice(_FIRST) + "".join(secrets.choice(_REST) for _ in range(length - 1))
