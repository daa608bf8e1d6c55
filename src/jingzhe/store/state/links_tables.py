"""The table of trackable codes: what a short link leads to, and what its scans are to say."""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.tables import UtcDateTime, metadata

code = sa.Table(
    "code",
    metadata,
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("placement", sa.Text, nullable=False),
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("app_id", sa.Text, nullable=False),
    sa.Column("utm", sa.JSON, nullable=False),
    sa.Column("carry_visitor", sa.Boolean, nullable=False),
    sa.Column("source_id", sa.BigInteger, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("disabled_at", UtcDateTime),
)
