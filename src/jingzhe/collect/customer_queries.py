"""The steps from customers' keys to people: who is known, who is new, who is listed in the table of identities."""

from __future__ import annotations

from jingzhe.store.query import Step, one

SEEN = Step("seen", "SELECT DISTINCT customer FROM good_rows")
KNOWN = Step(
    "known",
    "SELECT customer, person_id FROM seen JOIN identities ON identities.kind = $kind AND identities.value = customer",
)
SEEN_CUSTOMERS = one("seen_customers", "SELECT customer FROM seen")
KNOWN_TO_GRAPH = Step(
    "known",
    "SELECT customer, person_id FROM graph_people UNION ALL "
    f"SELECT customer, person_id FROM ({KNOWN.sql}) AS by_lake ANTI JOIN graph_people USING (customer)",
)
"""The same where the identity graph knows people: what it says, offered as graph_people, goes before."""
NEW_PEOPLE = Step(
    "new_people",
    """
SELECT customer, row_number() OVER (ORDER BY customer) + $last_person AS person_id
FROM seen ANTI JOIN known USING (customer)""",
)
PEOPLE = Step(
    "people",
    "SELECT customer, person_id, coalesce(new_person, person_id) AS now_person FROM ("
    "SELECT customer, person_id FROM known UNION ALL SELECT customer, person_id FROM new_people) AS filed "
    "LEFT JOIN person_overrides ON old_person = person_id",
)
"""Under whom a customer's facts are filed, and who stands for them now, under whom known facts are read."""
LAST_PERSON = one("last_person", "SELECT coalesce(max(person_id), 0) AS person_id FROM identities")
IDENTITY_ROWS = one(
    "identity_rows", "SELECT person_id, $kind AS kind, customer AS value, $batch AS batch FROM new_people"
)
IDENTITY_ROWS_OF_GRAPH = one(
    "identity_rows_of_graph",
    "SELECT person_id, $kind AS kind, customer AS value, $batch AS batch FROM people "
    "ANTI JOIN (SELECT value AS customer FROM identities WHERE kind = $kind) AS listed USING (customer)",
)
"""The same where the graph knows people: those whom it knew, and no file named yet, are listed too."""
