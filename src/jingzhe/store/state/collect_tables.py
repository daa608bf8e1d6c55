"""The tables of collection: sources and their write keys, what was drained, counts, events that were refused.

The inbox itself stands in a file of its own on SQLite (``inbox``), so that a long transaction here does not hold up
an answer there (docs/adr/0009).
"""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.sealed import SealedBytes
from jingzhe.store.state.tables import UtcDateTime, metadata

source = sa.Table(
    "source",
    metadata,
    sa.Column("source_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

# The key itself is shown once and kept nowhere; it is long and random, so a plain hash cannot be guessed.
write_key = sa.Table(
    "write_key",
    metadata,
    sa.Column("key_hash", sa.Text, primary_key=True),
    sa.Column("source_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
)

# Rows of the inbox whose events are published. They are deleted from the inbox afterwards, and then from here.
inbox_drained = sa.Table(
    "inbox_drained",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
)

# Rows that a drain has begun: one that died is done again with the same rows, so that identity answers the same.
inbox_claim = sa.Table(
    "inbox_claim",
    metadata,
    sa.Column("claim_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("numbers", sa.JSON, nullable=False),
)

quarantined_event = sa.Table(
    "quarantined_event",
    metadata,
    sa.Column("quarantine_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("source_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("protocol", sa.Text, nullable=False),
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("received_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("sent_at", sa.Text, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, index=True),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("body", SealedBytes("quarantined_event.body"), nullable=False),
)

# How many events came; written with each drain, in the transaction that publishes.
collected = sa.Table(
    "collected",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("source_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Column("happened_us", sa.BigInteger),
)
