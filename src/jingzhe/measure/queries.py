"""The SQL of this part on the state store: the same statements on SQLite and PostgreSQL."""

from __future__ import annotations

# Everybody whom the people of ``asked_people`` (person_id) are now or took over, and what they were assigned. Of a
# person whose numbers were assigned different things the first row is what holds.
KNOWN = """
WITH roots AS (
  SELECT DISTINCT coalesce(o.new_person, q.person_id) AS root
  FROM asked_people q LEFT JOIN identity_override o ON o.old_person = q.person_id
), members AS (
  SELECT root, root AS person_id FROM roots
  UNION ALL SELECT r.root, o.old_person FROM roots r JOIN identity_override o ON o.new_person = r.root
)
SELECT m.root, m.person_id, a.control, a.assigned_us
FROM members m LEFT JOIN assignment a ON a.experiment = :experiment AND a.person_id = m.person_id
ORDER BY m.root, CASE WHEN a.control IS NULL THEN 1 ELSE 0 END, a.assigned_us, m.person_id"""

# The same of one person, in all experiments.
OF_PEOPLE = """
SELECT a.experiment, a.control, a.assigned_us FROM ({numbers}) q JOIN assignment a ON a.person_id = q.n
ORDER BY a.experiment, a.assigned_us, a.person_id"""

ADD = """
INSERT INTO assignment (experiment, person_id, control, assigned_us)
SELECT CAST(:experiment AS TEXT), person_id, control, CAST(:assigned_us AS BIGINT) FROM added_people
WHERE true ON CONFLICT DO NOTHING"""
