"""Experiments, and who was assigned what."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Creates both tables."""
    op.create_table(
        "experiment",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("control_share", sa.Float, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_experiment"),
    )
    op.create_table(
        "assignment",
        sa.Column("experiment", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("control", sa.BigInteger, nullable=False),
        sa.Column("assigned_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "person_id", name="pk_assignment"),
    )
    op.create_index("ix_assignment_person_id", "assignment", ["person_id"])
