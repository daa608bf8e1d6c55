"""Counts of live events by day, source and outcome."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Creates the table of counts."""
    op.create_table(
        "collected",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("source_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.Column("happened_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("day", "source_id", "outcome", name="pk_collected"),
    )
