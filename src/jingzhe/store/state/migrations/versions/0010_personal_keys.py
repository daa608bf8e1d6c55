"""What files wrote where the lake has hashes of customers' keys."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "personal_key",
        sa.Column("filed", sa.Text, nullable=False),
        sa.Column("written", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("filed", name="pk_personal_key"),
        sqlite_with_rowid=False,
    )
