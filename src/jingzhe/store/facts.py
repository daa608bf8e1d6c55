"""The tables of facts that every part reads: events, items, identities, overrides, retractions, quarantine.

Dates are days of the project's time zone, moments are UTC microseconds, amounts are in the event's currency.
"""

from __future__ import annotations

from dataclasses import replace

from jingzhe.store.catalogue import Column, Table

ACTIVITIES = (
    "purchase", "refund", "cart", "favourite", "view", "search", "visit", "login", "interaction", "service",
    "message_delivered", "message_opened", "message_clicked", "message_bounced", "message_complained",
    "message_unsubscribed",
)  # fmt: skip
"""The closed vocabulary of activities; rules are written in it, whatever the sources call their events."""

BATCH = Column("batch", "BIGINT", "number of the publication that brought the row")

EVENTS = Table(
    "events",
    (
        Column("event_id", "BIGINT", "identifies the fact; unique within a person"),
        Column("ts", "TIMESTAMPTZ", "when it happened"),
        Column("day", "DATE", "calendar day of ts in the project's time zone"),
        Column("received_at", "TIMESTAMPTZ", "when it became known here"),
        Column("source", "VARCHAR", "where it comes from: an import preset, a shop, an app"),
        Column("name", "VARCHAR", "canonical name, such as order_completed"),
        Column("activity", "VARCHAR", "one of the closed vocabulary"),
        Column("person_id", "BIGINT", "whose it is"),
        Column("order_id", "VARCHAR", "order number in the source; null where there is none"),
        Column("revenue", "DOUBLE", "net of discount; negative for refunds; null where no money moved"),
        Column("discount", "DOUBLE", "discount given, 0 or more; null where unknown"),
        Column("quantity", "DOUBLE", "units bought; negative for refunds; null where unknown"),
        Column("currency", "VARCHAR", "ISO 4217 code; null where unknown"),
        BATCH,
    ),
    key=("event_id", "person_id"),
    sort_by=("person_id", "ts"),
    doc="one fact about one person",
)

ITEMS = Table(
    "items",
    (
        Column("event_id", "BIGINT", "the order's event"),
        Column("ts", "TIMESTAMPTZ", "when"),
        Column("day", "DATE", "calendar day of ts in the project's time zone"),
        Column("person_id", "BIGINT", "whose it is"),
        Column("product_id", "VARCHAR", "product number in the source"),
        Column("category", "VARCHAR", "category of the product; null where unknown"),
        Column("quantity", "DOUBLE", "units; negative for returns"),
        Column("price", "DOUBLE", "price of one unit before discount"),
        Column("discount", "DOUBLE", "discount on the line, 0 or more; null where unknown"),
        Column("amount", "DOUBLE", "net amount of the line; negative for returns"),
        BATCH,
    ),
    key=("event_id", "person_id", "product_id"),
    sort_by=("person_id", "ts"),
    doc="one line of an order, cart or view",
)

EVENT_DETAILS = Table(
    "event_details",
    (
        Column("event_id", "BIGINT", "the event's; calls that are no behaviour stand here only"),
        Column("ts", "TIMESTAMPTZ", "when it happened, by the collector's clock"),
        Column("day", "DATE", "calendar day of ts in the project's time zone"),
        Column("received_at", "TIMESTAMPTZ", "when it was acknowledged"),
        Column("person_id", "BIGINT", "whose it is; null for products"),
        Column("source", "VARCHAR", "name of the source"),
        Column("call", "VARCHAR", "track, page, screen, identify, group, alias, merge, profile, unbind or item"),
        Column("sent_name", "VARCHAR", "name as the client wrote it"),
        Column("client", "VARCHAR", "class of the client's address, never the address"),
        Column("user_id", "VARCHAR", "id of the account, as the client wrote it"),
        Column("anonymous_id", "VARCHAR", "id of the browser or device, as the client wrote it"),
        Column("session_id", "VARCHAR", "session, where the client has them"),
        Column("channel", "VARCHAR", "pc_web, mobile_web, app, official_account, mini_program, server, till …"),
        Column("campaign_source", "VARCHAR", "utm_source"),
        Column("campaign_medium", "VARCHAR", "utm_medium"),
        Column("campaign_name", "VARCHAR", "utm_campaign"),
        Column("campaign_term", "VARCHAR", "utm_term"),
        Column("campaign_content", "VARCHAR", "utm_content"),
        Column("url", "VARCHAR", "address of the page"),
        Column("path", "VARCHAR", "path of the page, or name of the screen"),
        Column("referrer", "VARCHAR", "page before it"),
        Column("title", "VARCHAR", "title of the page"),
        Column("device", "VARCHAR", "kind or maker of the device"),
        Column("device_model", "VARCHAR", "model of the device"),
        Column("os", "VARCHAR", "operating system"),
        Column("os_version", "VARCHAR", "its version"),
        Column("app", "VARCHAR", "name of the app"),
        Column("app_version", "VARCHAR", "its version"),
        Column("library", "VARCHAR", "name of the SDK"),
        Column("locale", "VARCHAR", "language of the client"),
        Column("time_zone", "VARCHAR", "time zone of the client"),
        Column("country", "VARCHAR", "country, as the client says"),
        Column("region", "VARCHAR", "region, as the client says"),
        Column("city", "VARCHAR", "city, as the client says"),
        Column("properties", "VARCHAR", "own properties (of identify and profile: traits) as JSON"),
        BATCH,
    ),
    key=("event_id",),
    sort_by=("person_id", "ts"),
    doc="one call of an SDK, with where it happened and everything it says; behaviours have a row in events too",
)

IDENTITIES = Table(
    "identities",
    (
        Column("person_id", "BIGINT", "the person"),
        Column("kind", "VARCHAR", "kind of the key, such as customer"),
        Column("value", "VARCHAR", "the key as the source writes it; of telephones and e-mails hashed:…"),
        BATCH,
    ),
    key=("kind", "value"),
    sort_by=("person_id",),
    doc="a key by which a source knows a person",
)

RETRACTIONS = Table(
    "retractions",
    (
        Column("event_id", "BIGINT", "the event that no longer holds"),
        Column("person_id", "BIGINT", "whose it was"),
        Column("day", "DATE", "its day"),
        BATCH,
    ),
    key=("event_id", "person_id"),
    doc="an event, with its items, that a correction replaced; readers leave it out, compaction removes it",
)

QUARANTINE = Table(
    "quarantine",
    (
        Column("import_id", "VARCHAR", "the import that met it"),
        Column("file", "VARCHAR", "name of the file or query"),
        Column("line", "BIGINT", "line in the file, the first being 1; the row for formats without lines"),
        Column("field", "VARCHAR", "the field that was wrong"),
        Column("value", "VARCHAR", "what stood there"),
        Column("reason", "VARCHAR", "stable code of what is wrong"),
        Column("row", "VARCHAR", "the whole row as JSON"),
        BATCH,
    ),
    key=("import_id", "file", "line"),
    doc="a row that was refused, and why",
)

OVERRIDES = Table(
    "person_overrides",
    (
        Column("old_person", "BIGINT", "person under whom facts are filed"),
        Column("new_person", "BIGINT", "person who stands for them"),
        Column("moved_at", "TIMESTAMPTZ", "when that last changed"),
    ),
    key=("old_person",),
    sort_by=("old_person",),
    layered=True,
    derived=True,
    doc="a person whom another one took over; flat: the new person is nobody's old one",
)

FACTS = (EVENTS, ITEMS, EVENT_DETAILS, IDENTITIES, RETRACTIONS, QUARANTINE, OVERRIDES)
FILED = (EVENTS, ITEMS, EVENT_DETAILS, IDENTITIES)
"""Tables whose rows are filed under the person that their key first led to, and read under the one who stands for them
(docs/adr/0008)."""


def filed(table: Table) -> Table:
    """Returns ``table`` under the name by which it is read as it was filed: ``events_filed``."""
    return replace(table, name=f"{table.name}_filed")
