"""Brings a database to this software's version, once, whoever comes first."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from jingzhe.core.errors import StateError
from jingzhe.store.state.database import Database
from jingzhe.store.state.tables import VERSION_TABLE

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, the same in all versions: the key of the advisory lock.
_LOCK_KEY = 0x4A696E677A6865
# Alembic keeps the migration that runs in a module's global, so threads take turns.
_one_thread = threading.Lock()


def migrate(database: Database) -> None:
    """Runs the migrations that ``database`` has not had; does nothing where it has had all.

    Several processes may call this at once: one migrates, the others wait and find it done.

    Raises:
        StateError: the database is of a newer version than this software.
    """
    config = _config()
    script = ScriptDirectory.from_config(config)
    with _one_thread, database.writing() as connection:
        # On SQLite the transaction that writes is alone already.
        if database.is_postgres:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        if not _is_current(connection, script):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _is_current(connection: Connection, script: ScriptDirectory) -> bool:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = set(context.get_current_heads())
    known = {revision.revision for revision in script.walk_revisions()}
    if not found <= known:
        raise StateError(
            "The state store was written by a newer version of this software",
            hint="Install that version or a newer one; this one would not understand the tables.",
            revision=", ".join(sorted(found - known)),
            newest_known=script.get_current_head(),
        )
    return found == set(script.get_heads())


def newest() -> str | None:
    """Returns the revision that the migrations lead to."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    # Percent signs begin an interpolation in Alembic's settings.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
