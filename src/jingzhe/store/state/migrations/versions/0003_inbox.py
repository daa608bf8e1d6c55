"""Collection: sources, write keys, what was drained, events that were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the tables of collection."""
    op.create_table(
        "source",
        sa.Column("source_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_source"),
        sa.UniqueConstraint("name", name="uq_source_name"),
    )
    op.create_table(
        "write_key",
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("source_id", sa.BigInteger, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("key_hash", name="pk_write_key"),
    )
    op.create_index("ix_write_key_source_id", "write_key", ["source_id"])
    op.create_table(
        "inbox_drained",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_inbox_drained"),
    )
    op.create_table(
        "inbox_claim",
        sa.Column("claim_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("numbers", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name="pk_inbox_claim"),
    )
    op.create_table(
        "quarantined_event",
        sa.Column("quarantine_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("source_id", sa.BigInteger, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", name="pk_quarantined_event"),
    )
    for column in ("source_id", "received_us", "reason"):
        op.create_index(f"ix_quarantined_event_{column}", "quarantined_event", [column])
