"""Where the lake stands: folders of this machine, or URLs of an object store."""

from __future__ import annotations

import re
from pathlib import Path

from jingzhe.core.errors import SettingError

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


def is_local(place: str) -> bool:
    """Tells whether ``place`` is a folder of this machine (else an object store's URL)."""
    return "://" not in place


def root_of(place: str) -> str:
    """Returns the root of a lake without a slash at its end, a folder of this machine as an absolute path.

    Raises:
        SettingError: the folder's name cannot be used.
    """
    if not is_local(place):
        return place.rstrip("/")
    root = str(Path(place).absolute())
    if _PERCENT.search(root):
        # delta-rs takes %41 in a folder's name for an A when it reads, but not when it writes.
        raise SettingError(
            "The lake's folder has a percent sign followed by two hexadecimal digits in its name",
            hint="Use a folder without it.",
            folder=root,
        )
    return root.rstrip("/")


def folder_of(root: str, name: str) -> str:
    """Returns the folder of the table ``name``."""
    return f"{root}/{name}"
