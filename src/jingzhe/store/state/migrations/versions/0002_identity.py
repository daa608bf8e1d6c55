"""The identity graph: keys, evidence, overrides, decisions, proposals."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the tables of the identity graph."""
    _graph()
    _readers()
    _people()


def _graph() -> None:
    op.create_table(
        "identity_key",
        sa.Column("key_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, nullable=False),
        sa.Column("joined_to", sa.BigInteger),
        sa.Column("partners", sa.BigInteger, nullable=False),
        sa.Column("shared_us", sa.BigInteger),
        sa.Column("seen_us", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_identity_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_identity_key_person_id", "identity_key", ["person_id"])
    op.create_table(
        "identity_edge",
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("a", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("b", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("kept", sa.BigInteger),
        sa.Column("lost", sa.BigInteger),
        sa.Column("seen_us", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "a", "b", name="pk_identity_edge"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_blocked",
        sa.Column("a", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("b", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("a", "b", name="pk_identity_blocked"),
        sqlite_with_rowid=False,
    )


def _readers() -> None:
    op.create_table(
        "identity_override",
        sa.Column("old_person", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("new_person", sa.BigInteger, nullable=False),
        sa.Column("moved_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("old_person", name="pk_identity_override"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_identity_override_new_person", "identity_override", ["new_person"])
    op.create_table(
        "identity_touched",
        sa.Column("change", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("change", "person_id", name="pk_identity_touched"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_batch",
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observations", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("homes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="pk_identity_batch"),
    )
    op.create_index("ix_identity_batch_change", "identity_batch", ["change"])


def _people() -> None:
    op.create_table(
        "identity_anonymous",
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_identity_anonymous"),
    )
    op.create_table(
        "identity_never",
        sa.Column("person_a", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("person_b", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("person_a", "person_b", name="pk_identity_never"),
    )
    op.create_table(
        "identity_number",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_identity_number"),
    )
    op.create_table(
        "identity_decision",
        sa.Column("change", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("change", name="pk_identity_decision"),
    )
    op.create_table(
        "identity_proposal",
        sa.Column("person_a", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("person_b", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("who", sa.Text),
        sa.Column("why", sa.Text),
        sa.PrimaryKeyConstraint("person_a", "person_b", name="pk_identity_proposal"),
    )
    op.create_index("ix_identity_proposal_status", "identity_proposal", ["status"])
