"""The tables of consent: what people said, whom nothing is sent to, and what is left of people who were erased.

Addresses are kept as a keyed hash only, the same as in the identity graph, so the two can be joined. Moments are UTC
microseconds (``…_us``), as there.
"""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.sealed import SealedJson, SealedText
from jingzhe.store.state.tables import UtcDateTime, metadata

# Append-only: a row is never changed, only removed when its person is erased. The newest word counts.
# Evidence that leads to a person is sealed.
consent_record = sa.Table(
    "consent_record",
    metadata,
    sa.Column("record_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("legal_basis", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("text_version", sa.Text, nullable=False),
    sa.Column("url", SealedText("consent_record.url"), nullable=False),
    sa.Column("ip", SealedText("consent_record.ip"), nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("frequency", sa.Text, nullable=False),
    sa.Column("policy_version", sa.Text, nullable=False),
    sa.Column("said_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger),
    sa.Column("recorded_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("event_id", sa.BigInteger),
)

suppression = sa.Table(
    "suppression",
    metadata,
    sa.Column("suppression_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("address", sa.Text, index=True),
    sa.Column("person_id", sa.BigInteger, index=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("covers", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("begun_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger),
    sa.Column("recorded_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("event_id", sa.BigInteger),
    sa.Column("lifted_us", sa.BigInteger),
    sa.Column("lifted_by", sa.Text),
    sa.Column("lifted_why", sa.Text),
)

# Keyed hashes of the keys of people who were erased: what comes again under one of them is dropped.
tombstone = sa.Table(
    "tombstone",
    metadata,
    sa.Column("key_hash", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("erasure_id", sa.Text, nullable=False, index=True),
    sa.Column("made_at", UtcDateTime, nullable=False),
)

# ``work`` holds what the erasure looks for; it is emptied before the last stage.
erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("erasure_id", sa.Text, primary_key=True),
    sa.Column("person_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("work", SealedJson("erasure.work"), nullable=False),
    sa.Column("done", sa.JSON, nullable=False),
    sa.Column("done_at", UtcDateTime),
)
