"""The SQL of this part on the state store: the same statements on SQLite and PostgreSQL."""

from __future__ import annotations

# Keys of a batch, found by number; {numbers} is a SELECT of the column n.
KEYS = """
SELECT k.key_id, k.kind, k.value, k.person_id, k.joined_to, k.partners, k.shared_us, o.new_person
FROM ({numbers}) q JOIN identity_key k ON k.key_id = q.n
LEFT JOIN identity_override o ON o.old_person = k.person_id"""
ANONYMOUS = "SELECT a.person_id FROM ({numbers}) q JOIN identity_anonymous a ON a.person_id = q.n"
BLOCKED = "SELECT b.a, b.b FROM ({numbers}) q JOIN identity_blocked b ON b.a = q.n"
NOW = "SELECT o.old_person, o.new_person FROM ({numbers}) q JOIN identity_override o ON o.old_person = q.n"
# Pairs offered as asked_pairs(person_id, a, b).
EDGES = """
SELECT e.a, e.b FROM asked_pairs q
JOIN identity_edge e ON e.person_id = q.person_id AND e.a = q.a AND e.b = q.b"""
# Keys per kind of the people in {numbers}, with everybody they took over.
COUNTS = """
SELECT m.root, k.kind, count(*) AS keys FROM (
  SELECT n AS root, n AS person_id FROM ({numbers}) q
  UNION ALL SELECT o.new_person, o.old_person FROM ({numbers}) q JOIN identity_override o ON o.new_person = q.n
) m JOIN identity_key k ON k.person_id = m.person_id GROUP BY m.root, k.kind"""
NEVER = """
SELECT coalesce(a.new_person, n.person_a) AS a, coalesce(b.new_person, n.person_b) AS b FROM identity_never n
LEFT JOIN identity_override a ON a.old_person = n.person_a
LEFT JOIN identity_override b ON b.old_person = n.person_b"""

# What changed, offered as changed_keys, moved_people(old_person, new_person), named_people(person_id).
UPDATE_KEYS = """
UPDATE identity_key SET person_id = q.person_id, joined_to = nullif(q.joined_to, 0), partners = q.partners,
  shared_us = nullif(q.shared_us, 0)
FROM changed_keys q WHERE identity_key.key_id = q.key_id"""
MOVE_PEOPLE = """
UPDATE identity_override SET new_person = q.new_person, moved_us = :moved_us
FROM moved_people q WHERE identity_override.new_person = q.old_person"""
ADD_MOVED = """
INSERT INTO identity_override (old_person, new_person, moved_us)
SELECT old_person, new_person, CAST(:moved_us AS BIGINT) FROM moved_people"""
NAMED = "DELETE FROM identity_anonymous WHERE person_id IN (SELECT person_id FROM named_people)"

# One person: everybody they took over, their keys, the evidence filed under them.
MEMBERS = "SELECT o.old_person FROM ({numbers}) q JOIN identity_override o ON o.new_person = q.n"
MEMBER_KEYS = """
SELECT k.* FROM ({numbers}) q JOIN identity_key k ON k.person_id = q.n ORDER BY k.seen_us, k.key_id"""
MEMBER_EDGES = """
SELECT e.* FROM ({numbers}) q JOIN identity_edge e ON e.person_id = q.n ORDER BY e.seen_us, e.a, e.b"""
KEYS_BY_ID = "SELECT k.* FROM ({numbers}) q JOIN identity_key k ON k.key_id = q.n"

# Everything, for the batch computation; pairs that were undone do not count.
ALL_KEYS = """
SELECT k.key_id, k.kind, k.person_id, k.joined_to, coalesce(o.new_person, k.person_id)
FROM identity_key k LEFT JOIN identity_override o ON o.old_person = k.person_id ORDER BY k.key_id"""
ALL_EDGES = """
SELECT e.person_id, e.a, e.b, CASE WHEN e.outcome = 'claimed' THEN 1 ELSE 0 END, coalesce(e.lost, 0)
FROM identity_edge e WHERE e.outcome IN ('same', 'merged', 'claimed')
  AND NOT EXISTS (SELECT 1 FROM identity_blocked x WHERE x.a = e.a AND x.b = e.b)"""

# For readers in the lake.
OVERRIDES = "SELECT old_person, new_person, moved_us FROM identity_override ORDER BY old_person"
TOUCHED = "SELECT DISTINCT person_id FROM identity_touched WHERE change > :since ORDER BY person_id"

# PostgreSQL: who changes the graph takes turns; on SQLite a transaction that writes is alone anyway.
TURN = "SELECT pg_advisory_xact_lock(hashtextextended('jingzhe identity', 0))"
