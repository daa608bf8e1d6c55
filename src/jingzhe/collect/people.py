"""Which person a customer's key belongs to: known ones keep their number, new ones get the next."""

from __future__ import annotations

from jingzhe.collect.queries import KNOWN, LAST_PERSON, NEW_PEOPLE, PEOPLE, SEEN
from jingzhe.store.query import Step
from jingzhe.store.state import counting
from jingzhe.store.warehouse import Writing

CUSTOMER = "customer"
"""The kind of key under which customers of files are known."""


def number_people(writing: Writing, good_rows: Step, kind: str) -> int:
    """Keeps the steps ``people`` and ``new_people``; returns how many are new.

    Args:
        writing: the write under way; its lease keeps others from giving the same numbers.
        good_rows: the rows whose customers are meant.
        kind: the kind of key.
    """
    session, state = writing.session, writing.warehouse.state
    with state.reading() as connection:
        given_out = counting.last(connection, counting.PEOPLE)
    # Live events number people as well; whoever is higher goes before.
    last = max(session.run(LAST_PERSON)["person_id"][0].as_py(), given_out)
    values = {"kind": kind, "last_person": last}
    session.keep(Step(SEEN.name, f"WITH {good_rows.name} AS ({good_rows.sql}) {SEEN.sql}"))
    session.keep(KNOWN, values)
    new = session.keep(NEW_PEOPLE, values)
    session.keep(PEOPLE)
    session.drop(SEEN.name, KNOWN.name)
    if new:
        writing.also(lambda connection: counting.raise_to(connection, counting.PEOPLE, last + new))
    return new
