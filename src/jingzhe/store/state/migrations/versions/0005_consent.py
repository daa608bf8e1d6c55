"""Consent: what people said, suppressions, tombstones and erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Creates the tables of consent."""
    op.create_table(
        "consent_record",
        sa.Column("record_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("text_version", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("frequency", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("said_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("recorded_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("event_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("record_id", name="pk_consent_record"),
    )
    op.create_index("ix_consent_record_person_id", "consent_record", ["person_id"])
    _suppressions()
    _erasures()


def _suppressions() -> None:
    op.create_table(
        "suppression",
        sa.Column("suppression_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("person_id", sa.BigInteger),
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
        sa.PrimaryKeyConstraint("suppression_id", name="pk_suppression"),
    )
    op.create_index("ix_suppression_address", "suppression", ["address"])
    op.create_index("ix_suppression_person_id", "suppression", ["person_id"])


def _erasures() -> None:
    op.create_table(
        "tombstone",
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("erasure_id", sa.Text, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_tombstone"),
    )
    op.create_index("ix_tombstone_erasure_id", "tombstone", ["erasure_id"])
    op.create_table(
        "erasure",
        sa.Column("erasure_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("work", sa.JSON, nullable=False),
        sa.Column("done", sa.JSON, nullable=False),
        sa.Column("done_at", _MOMENT),
        sa.PrimaryKeyConstraint("erasure_id", name="pk_erasure"),
    )
    op.create_index("ix_erasure_person_id", "erasure", ["person_id"])
