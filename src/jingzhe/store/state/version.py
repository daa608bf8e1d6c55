"""Which migration a database has reached."""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.database import Database
from jingzhe.store.state.tables import VERSION_TABLE

# The newest of ``migrations/versions``; a test holds the two together. Written here, so that opening a store
# that is up to date, which nearly every command does, need not load Alembic.
NEWEST = "0010"


def is_current(database: Database) -> bool:
    """Tells whether ``database`` has had exactly the migrations this software knows."""
    with database.reading() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return False
        reached = sa.column("version_num", sa.Text)
        return list(connection.scalars(sa.select(reached).select_from(sa.table(VERSION_TABLE)))) == [NEWEST]
