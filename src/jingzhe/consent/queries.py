"""The SQL of this part on the state store: the same statements on SQLite and PostgreSQL."""

from __future__ import annotations

# ``held_keys`` stands for the keys of the people in question: jingzhe.identity.keyring.show_keys shows them.

# Whom each question means: the person who is asked for now, and everybody whom they took over.
_WHO = """
WITH who AS (
  SELECT q.n, q.channel, q.purpose, q.kind, q.address, q.transactional, coalesce(o.new_person, q.person_id) AS root
  FROM asked_consents q LEFT JOIN identity_override o ON o.old_person = q.person_id
), members AS (
  SELECT w.*, w.root AS person_id FROM who w
  UNION ALL SELECT w.*, o.old_person FROM who w JOIN identity_override o ON o.new_person = w.root
), """
_ACTIVE = """s.begun_us <= :at_us AND s.recorded_us <= :at_us
    AND (s.expires_us IS NULL OR s.expires_us > :at_us) AND (s.lifted_us IS NULL OR s.lifted_us > :at_us)"""

# One row a question: the rank of the suppression that weighs most (0 for erased), and the newest word. Without an
# address all that are known of the person count: one that is suppressed stops the question.
VERDICTS = f"""{_WHO}addresses AS (
  SELECT w.n, w.channel, w.purpose, w.transactional, w.address FROM who w WHERE w.address IS NOT NULL
  UNION ALL
  SELECT m.n, m.channel, m.purpose, m.transactional, k.value
  FROM members m JOIN held_keys k ON k.person_id = m.person_id AND k.kind = m.kind WHERE m.address IS NULL
), stopped AS (
  SELECT a.n, s.reason FROM addresses a JOIN suppression s ON s.address = a.address
  WHERE s.channel IN (a.channel, '*') AND s.topic IN (a.purpose, '*')
    AND (s.covers = 'all' OR a.transactional = 0) AND {_ACTIVE}
  UNION ALL
  SELECT m.n, s.reason FROM members m JOIN suppression s ON s.person_id = m.person_id
  WHERE s.channel IN (m.channel, '*') AND s.topic IN (m.purpose, '*')
    AND (s.covers = 'all' OR m.transactional = 0) AND {_ACTIVE}
), weighed AS (
  SELECT n, min(CASE reason WHEN 'erased' THEN 0 WHEN 'complaint' THEN 1 WHEN 'unsubscribed' THEN 2
    WHEN 'hard_bounce' THEN 3 WHEN 'by_hand' THEN 4 ELSE 5 END) AS rank
  FROM stopped GROUP BY n
), words AS (
  SELECT m.n, c.status, c.expires_us, row_number() OVER (
    PARTITION BY m.n ORDER BY c.said_us DESC, CASE WHEN c.status = 'withdrawn' THEN 0 ELSE 1 END, c.record_id
  ) AS place
  FROM members m JOIN consent_record c ON c.person_id = m.person_id
  WHERE c.channel IN (m.channel, '*') AND c.purpose IN (m.purpose, '*')
    AND c.said_us <= :at_us AND c.recorded_us <= :at_us
    AND (c.status = 'withdrawn' OR c.address IS NULL OR m.address IS NULL OR c.address = m.address)
)
SELECT q.n, q.transactional, weighed.rank, words.status,
  CASE WHEN words.expires_us <= :at_us THEN 1 ELSE 0 END AS expired
FROM asked_consents q
LEFT JOIN weighed ON weighed.n = q.n
LEFT JOIN words ON words.n = q.n AND words.place = 1
ORDER BY q.n"""

# Whose keys that statement looks at: of whom no address is given, where the channel has addresses.
WHOSE_KEYS = f"""{_WHO.rstrip().removesuffix(",")}
SELECT DISTINCT person_id FROM members WHERE address IS NULL AND kind <> ''"""

# Everything said by people in {numbers}, and everything that stops them.
WORDS = """
SELECT c.* FROM ({numbers}) q JOIN consent_record c ON c.person_id = q.n ORDER BY c.said_us, c.record_id"""
SUPPRESSED_PEOPLE = """
SELECT s.* FROM ({numbers}) q JOIN suppression s ON s.person_id = q.n ORDER BY s.begun_us, s.suppression_id"""
SUPPRESSED_ADDRESSES = """
SELECT s.* FROM ({numbers}) q JOIN held_keys k ON k.person_id = q.n JOIN suppression s ON s.address = k.value
WHERE k.kind IN ('email', 'phone') ORDER BY s.begun_us, s.suppression_id"""

# Keys of people in {numbers}, as they are stored; those that belong to nobody because many use them are not theirs.
KEYS = """
SELECT k.key_id, k.kind, k.value FROM ({numbers}) q JOIN held_keys k ON k.person_id = q.n
WHERE k.shared_us IS NULL ORDER BY k.kind, k.value"""
