"""A state store on SQLite and on PostgreSQL."""

from __future__ import annotations

from tests.consent.conftest import clock, state
from tests.postgres import postgres_server, postgres_url

__all__ = ["clock", "postgres_server", "postgres_url", "state"]
