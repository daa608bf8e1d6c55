"""The tables of measurement: experiments, and who was assigned what before anything was sent."""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.tables import UtcDateTime, metadata

experiment = sa.Table(
    "experiment",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("control_share", sa.Float, nullable=False),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

# Never changed, only added to, and removed when a person is erased. ``person_id`` is who it was then.
assignment = sa.Table(
    "assignment",
    metadata,
    sa.Column("experiment", sa.Text, primary_key=True),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("control", sa.BigInteger, nullable=False),
    sa.Column("assigned_us", sa.BigInteger, nullable=False),
    sa.Index("ix_assignment_person_id", "person_id"),
)
