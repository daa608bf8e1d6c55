"""Keys and evidence packed into sorted runs in place of a row each; what the rows held is carried over."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from alembic import op

from jingzhe.store.state import packed, words

revision = "0007"
down_revision = "0006"

_MANY = 200_000
_OUTCOMES = ("same", "merged", "claimed", "moved", "limit", "blocked", "never")
_KEY = packed.Shelf(
    "key",
    (
        ("person", "<i8"), ("joined", "<i8"), ("shared", "<i8"), ("seen", "<i8"), ("partners", "<i4"), ("kind", "<i2"),
    ),
    texts=2,
    unique=True,
)  # fmt: skip
_OWNED = packed.Shelf("owned", (("number", "<i8"),))
_EVIDENCE = packed.Shelf(
    "evidence",
    (
        ("a", "<i8"), ("b", "<i8"), ("kept", "<i8"), ("lost", "<i8"), ("seen", "<i8"), ("rule", "<i2"),
        ("outcome", "u1"),
    ),
    texts=1,
)  # fmt: skip


def upgrade() -> None:
    """Creates the tables of runs, fills them from the rows, and drops those."""
    _create()
    connection = op.get_bind()
    for rows in _parts(
        "SELECT key_id, kind, value, person_id, coalesce(joined_to, 0), partners, "
        "coalesce(shared_us, 0), seen_us, event FROM identity_key"
    ):
        _carry_keys(connection, rows)
    for rows in _parts(
        "SELECT person_id, a, b, outcome, rule, coalesce(kept, 0), coalesce(lost, 0), seen_us, event "
        "FROM identity_edge ORDER BY seen_us"
    ):
        _carry_edges(connection, rows)
    op.drop_table("identity_edge")
    op.drop_index("ix_identity_key_person_id", "identity_key")
    op.drop_table("identity_key")


def _create() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "identity_run",
        sa.Column("run", number, autoincrement=False, nullable=False),
        sa.Column("shelf", sa.Text, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("first_span", sa.BigInteger, nullable=False),
        sa.Column("fences", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_identity_run"),
    )
    op.create_table(
        "identity_span",
        sa.Column("span", number, autoincrement=False, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("span", name="pk_identity_span"),
    )
    op.create_table(
        "identity_block",
        sa.Column("block", number, autoincrement=False, nullable=False),
        sa.Column("records", sa.LargeBinary, nullable=False),
        sa.Column("texts_0", sa.LargeBinary, nullable=False),
        sa.Column("texts_1", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("block", name="pk_identity_block"),
    )
    op.create_table(
        "identity_word",
        sa.Column("number", number, autoincrement=False, nullable=False),
        sa.Column("word", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_identity_word"),
        sa.UniqueConstraint("word", name="uq_identity_word_word"),
    )


def _parts(sql: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yields the columns of the rows, many at a time."""
    found = op.get_bind().execute(sa.text(sql))
    while rows := found.fetchmany(_MANY):
        yield list(zip(*rows, strict=True))


def _carry_keys(connection: sa.Connection, columns: list[tuple[Any, ...]]) -> None:
    ids, kinds, values, people, joined, partners, shared, seen, events = columns
    number = words.numbers_of(connection, kinds)
    fields = {
        "key": ids, "person": people, "joined": joined, "shared": shared, "seen": seen, "partners": partners,
        "kind": [number[kind] for kind in kinds],
    }  # fmt: skip
    texts = (pa.array(values, pa.string()), pa.array(events, pa.string()))
    packed.add(connection, _KEY, _KEY.rows(fields, texts))
    packed.add(connection, _OWNED, _OWNED.rows({"key": people, "number": ids}))


def _carry_edges(connection: sa.Connection, columns: list[tuple[Any, ...]]) -> None:
    people, a, b, outcomes, rules, kept, lost, seen, events = columns
    number = words.numbers_of(connection, rules)
    fields = {
        "key": people, "a": a, "b": b, "kept": kept, "lost": lost, "seen": seen,
        "outcome": [_OUTCOMES.index(outcome) for outcome in outcomes], "rule": [number[rule] for rule in rules],
    }  # fmt: skip
    packed.add(connection, _EVIDENCE, _EVIDENCE.rows(fields, (pa.array(events, pa.string()),)))
