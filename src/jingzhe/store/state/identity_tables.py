"""The tables of the identity graph: keys, what joined them, which person took over which, and who decided it.

Moments are UTC microseconds (``…_us``): these rows are many, and a number is a third of a written moment. The number
of a key is made from the key itself, so that a batch finds its keys by number in one query; kind and value stand
beside it and are compared (docs/adr/0008).
"""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.sealed import SealedJson, SealedText
from jingzhe.store.state.tables import UtcDateTime, metadata

# A table of SQLite is found quickest by its own number, which must be called INTEGER.
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# Keys, whose they are, and evidence, packed (jingzhe.store.state.packed): a run is some of the rows, sorted.
identity_run = sa.Table(
    "identity_run",
    metadata,
    sa.Column("run", _NUMBER, primary_key=True, autoincrement=False),
    sa.Column("shelf", sa.Text, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("first_span", sa.BigInteger, nullable=False),
    sa.Column("fences", sa.LargeBinary, nullable=False),
)

identity_span = sa.Table(
    "identity_span",
    metadata,
    sa.Column("span", _NUMBER, primary_key=True, autoincrement=False),
    sa.Column("keys", sa.LargeBinary, nullable=False),
)

identity_block = sa.Table(
    "identity_block",
    metadata,
    sa.Column("block", _NUMBER, primary_key=True, autoincrement=False),
    sa.Column("records", sa.LargeBinary, nullable=False),
    sa.Column("texts_0", sa.LargeBinary, nullable=False),
    sa.Column("texts_1", sa.LargeBinary, nullable=False),
)

# Kinds of keys and names of rules, which packed rows give by number.
identity_word = sa.Table(
    "identity_word",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
    sa.Column("word", sa.Text, nullable=False, unique=True),
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
    sa.Column("evidence", SealedJson("identity_proposal.evidence"), nullable=False),
    sa.Column("proposed_at", UtcDateTime, nullable=False),
    sa.Column("status", sa.Text, nullable=False, index=True),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("who", sa.Text),
    sa.Column("why", sa.Text),
)

# What a file wrote where the lake has a hash: by it a business knows its customers.
personal_key = sa.Table(
    "personal_key",
    metadata,
    sa.Column("filed", sa.Text, primary_key=True),
    sa.Column("written", SealedText("personal_key.written"), nullable=False),
    sqlite_with_rowid=False,
)
