"""The tables of the identity graph: keys, what joined them, which person took over which, and who decided it.

Moments are UTC microseconds (``…_us``): these rows are many, and a number is a third of a written moment. The number
of a key is made from the key itself, so that a batch finds its keys by number in one query; kind and value stand
beside it and are compared (docs/adr/0008).
"""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.tables import UtcDateTime, metadata

identity_key = sa.Table(
    "identity_key",
    metadata,
    sa.Column("key_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("person_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("joined_to", sa.BigInteger),
    sa.Column("partners", sa.BigInteger, nullable=False),
    sa.Column("shared_us", sa.BigInteger),
    sa.Column("seen_us", sa.BigInteger, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# Found by person first: the evidence of one person stands together, and new people's evidence at the end.
identity_edge = sa.Table(
    "identity_edge",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("a", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("b", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("kept", sa.BigInteger),
    sa.Column("lost", sa.BigInteger),
    sa.Column("seen_us", sa.BigInteger, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

identity_override = sa.Table(
    "identity_override",
    metadata,
    sa.Column("old_person", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("new_person", sa.BigInteger, nullable=False, index=True),
    sa.Column("moved_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What readers must look at again: every person whose keys or overrides changed, and in which change.
identity_touched = sa.Table(
    "identity_touched",
    metadata,
    sa.Column("change", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

identity_anonymous = sa.Table(
    "identity_anonymous",
    metadata,
    sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
)

identity_blocked = sa.Table(
    "identity_blocked",
    metadata,
    sa.Column("a", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("b", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

identity_never = sa.Table(
    "identity_never",
    metadata,
    sa.Column("person_a", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_b", sa.BigInteger, primary_key=True, autoincrement=False),
)

identity_batch = sa.Table(
    "identity_batch",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("change", sa.BigInteger, nullable=False, index=True),
    sa.Column("resolved_at", UtcDateTime, nullable=False),
    sa.Column("observations", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("homes", sa.LargeBinary, nullable=False),
)

identity_number = sa.Table(
    "identity_number",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)

identity_decision = sa.Table(
    "identity_decision",
    metadata,
    sa.Column("change", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)

identity_proposal = sa.Table(
    "identity_proposal",
    metadata,
    sa.Column("person_a", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("person_b", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("proposed_at", UtcDateTime, nullable=False),
    sa.Column("status", sa.Text, nullable=False, index=True),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("who", sa.Text),
    sa.Column("why", sa.Text),
)
