"""Notices: what a part has to tell others, written in the very transaction in which it became true.

They are kept only where somebody outside wants to be told (a webhook that is live), and only until all have been.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.store.state.outgoing_tables import notice, webhook


def note(connection: Connection, kind: str, body: Mapping[str, Any], at: datetime) -> None:
    """Notes that something became true; does nothing where nobody wants to hear of anything.

    Args:
        connection: a transaction that writes; the notice stands or falls with it.
        kind: what it is, such as ``quarantine.added``.
        body: what there is to say; JSON, nothing of people in it.
        at: when.
    """
    live = sa.select(webhook.c.webhook_id).where(webhook.c.disabled_at.is_(None)).limit(1)
    if connection.execute(live).first() is not None:
        connection.execute(sa.insert(notice).values(kind=kind, body=dict(body), at=at))


def last(connection: Connection) -> int:
    """Returns the number of the newest notice, 0 where there was none."""
    return int(connection.scalar(sa.select(sa.func.max(notice.c.number))) or 0)
