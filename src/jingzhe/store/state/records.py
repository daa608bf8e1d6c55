"""What the state store hands out: publications and documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Publication:
    """Versions of the lake's tables that are visible together.

    Args:
        seq: number of the batch that wrote them, 1 and up without gaps.
        published_at: aware moment at which they became visible, UTC.
        purpose: what the batch was for, for people.
        tables: version of the Delta log of each table, by the table's name.
    """

    seq: int
    published_at: datetime
    purpose: str
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Document:
    """One version of a small JSON document that a part owns.

    Args:
        kind: what sort of document, named by the part that owns it.
        name: which one of its kind.
        version: 1 and up; every change makes a new one.
        body: what it says.
        created_at: aware moment at which this version was written, UTC.
    """

    kind: str
    name: str
    version: int
    body: dict[str, Any] = field(hash=False)
    created_at: datetime
