"""What happened since somebody was told last, read from the lake."""

from __future__ import annotations

from jingzhe.store.query import one

_NEW = (
    "(e.batch > $publication OR (e.batch = $publication AND e.event_id > $event)) AND e.batch <= $through "
    "AND NOT list_contains($imported, e.batch) "
    "AND (list_contains($activities, 'any') OR list_contains($activities, e.activity))"
)
_SAID = (
    "e.event_id, e.batch, e.ts, e.received_at, e.source, e.name, e.activity, e.person_id, e.order_id, e.revenue, "
    "e.discount, e.quantity, e.currency"
)
NEW_EVENTS = one(
    "new_events",
    f"SELECT {_SAID} FROM events AS e WHERE {_NEW} ORDER BY e.batch, e.event_id LIMIT $most",
    "one live event that is in the lake since, without anything that leads to a person outside",
)
NEW_EVENTS_WHOLE = one(
    "new_events_whole",
    f"SELECT {_SAID}, d.user_id, d.anonymous_id, d.session_id, d.channel, d.campaign_source, d.campaign_medium, "
    "d.campaign_name, d.url, d.referrer, d.properties FROM events AS e "
    "LEFT JOIN event_details AS d ON d.event_id = e.event_id AND d.batch = e.batch AND d.batch >= $publication "
    f"WHERE {_NEW} "
    "ORDER BY e.batch, e.event_id LIMIT $most",
    "the same with what the client said of the person and the place",
)
BEFORE = "profiles_before"
"""Under this name a session shows the profiles of the publication that somebody was told of last."""
CHANGED_STATES = one(
    "changed_states",
    "SELECT p.person_id, b.state AS state_before, p.state, p.state_since FROM profiles AS p "
    f"LEFT JOIN {BEFORE} AS b USING (person_id) WHERE (b.state IS NULL OR b.state <> p.state) "
    "AND (list_contains($states, 'any') OR list_contains($states, p.state)) ORDER BY p.person_id",
    "one person whose state is another than it was",
)
