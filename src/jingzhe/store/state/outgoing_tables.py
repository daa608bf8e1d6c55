"""The tables of outgoing webhooks: who is told what, how far each has been told, and what waits to be delivered.

A webhook's secret is sealed: it has to sign, so a hash of it would be of no use. Whoever has the state store and the
key file can sign in the company's name; docs/guide/webhooks.md says so.
"""

from __future__ import annotations

import sqlalchemy as sa

from jingzhe.store.state.sealed import SealedBytes, SealedText
from jingzhe.store.state.tables import UtcDateTime, metadata

webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("webhook_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("kinds", sa.JSON, nullable=False),
    sa.Column("activities", sa.JSON, nullable=False),
    sa.Column("states", sa.JSON, nullable=False),
    sa.Column("personal", sa.Boolean, nullable=False),
    sa.Column("secret", SealedText("webhook.secret"), nullable=False),
    sa.Column("old_secret", SealedText("webhook.old_secret")),
    sa.Column("old_secret_until", UtcDateTime),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("disabled_at", UtcDateTime),
    sa.Column("disabled_why", sa.Text, nullable=False),
    sa.Column("delivered_at", UtcDateTime),
    # How far it has been told: everything up to here stands in ``webhook_delivery``, or was none of its business.
    sa.Column("told_publication", sa.BigInteger, nullable=False),
    sa.Column("told_event", sa.BigInteger),
    sa.Column("told_profiles", sa.BigInteger, nullable=False),
    sa.Column("told_moved_us", sa.BigInteger, nullable=False),
    sa.Column("told_notice", sa.BigInteger, nullable=False),
)

# Written by any part in its own transaction, read by the parts that tell others; see store/state/notices.py.
notice = sa.Table(
    "notice",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("webhook_id", sa.Text, sa.ForeignKey("webhook.webhook_id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", SealedBytes("webhook_delivery.payload"), nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("tries", sa.BigInteger, nullable=False),
    # Null where nothing is to be done any more.
    sa.Column("next_at", UtcDateTime, index=True),
    sa.Column("claimed_until", UtcDateTime),
    sa.Column("tried_at", UtcDateTime),
    sa.Column("answer_status", sa.BigInteger),
    sa.Column("answer", SealedText("webhook_delivery.answer"), nullable=False),
    sa.Index("ix_webhook_delivery_webhook_id_created_at", "webhook_id", "created_at"),
)
