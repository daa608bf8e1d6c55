"""The SQL of this part on the state store: the same statements on SQLite and PostgreSQL."""

from __future__ import annotations

# {numbers} is a SELECT of the column n.
ANONYMOUS = "SELECT a.person_id FROM ({numbers}) q JOIN identity_anonymous a ON a.person_id = q.n"
BLOCKED = "SELECT b.a, b.b FROM ({numbers}) q JOIN identity_blocked b ON b.a = q.n"
MOVED = "FROM ({numbers}) q JOIN identity_override o ON o.old_person = q.n"
MOVED_BETWEEN = "FROM identity_override o WHERE o.old_person BETWEEN {low} AND {high}"
NOW = f"SELECT o.old_person, o.new_person {MOVED}"
NEWEST_MOVED = "SELECT max(old_person) FROM identity_override"
NEVER = """
SELECT coalesce(a.new_person, n.person_a) AS a, coalesce(b.new_person, n.person_b) AS b FROM identity_never n
LEFT JOIN identity_override a ON a.old_person = n.person_a
LEFT JOIN identity_override b ON b.old_person = n.person_b"""

# What changed, offered as moved_people(old_person, new_person), named_people(person_id).
MOVE_PEOPLE = """
UPDATE identity_override SET new_person = q.new_person, moved_us = :moved_us
FROM moved_people q WHERE identity_override.new_person = q.old_person"""
ADD_MOVED = """
INSERT INTO identity_override (old_person, new_person, moved_us)
SELECT old_person, new_person, CAST(:moved_us AS BIGINT) FROM moved_people"""
TOUCH = "INSERT INTO identity_touched (change, person_id) SELECT CAST({change} AS BIGINT), q.n FROM ({numbers}) q"
NAMED = "DELETE FROM identity_anonymous WHERE person_id IN (SELECT person_id FROM named_people)"

# Everybody whom people took over.
MEMBERS = "SELECT o.old_person, o.new_person FROM ({numbers}) q JOIN identity_override o ON o.new_person = q.n"

# Pairs that were undone, all of them.
ALL_BLOCKED = "SELECT a, b FROM identity_blocked"

# For readers in the lake.
OVERRIDES = "SELECT old_person, new_person, moved_us FROM identity_override ORDER BY old_person"
# Of the people in {numbers}, and of everybody for whom one of them stands.
OVERRIDES_OF = """
SELECT o.old_person, o.new_person, o.moved_us FROM identity_override o JOIN ({numbers}) q ON o.old_person = q.n
UNION SELECT o.old_person, o.new_person, o.moved_us FROM identity_override o JOIN ({numbers}) q ON o.new_person = q.n
ORDER BY 1"""
TOUCHED = "SELECT DISTINCT person_id FROM identity_touched WHERE change > :since ORDER BY person_id"
