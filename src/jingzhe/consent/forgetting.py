"""Removes one person from the state store, in one transaction; what the law asks to keep stays (docs/adr/0011)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jingzhe.consent import queries
from jingzhe.consent.subjects import Finder, Subject
from jingzhe.identity import personal_keys
from jingzhe.identity.keyring import forget_keys, show_keys
from jingzhe.store.state import bulk
from jingzhe.store.state import identity_tables as identity
from jingzhe.store.state.access_tables import repeated_request
from jingzhe.store.state.collect_tables import quarantined_event
from jingzhe.store.state.consent_tables import erasure, suppression
from jingzhe.store.state.links_tables import code
from jingzhe.store.state.outgoing_tables import webhook_delivery
from jingzhe.store.state.tables import document, metadata

LEASE = "erasure"
"""Held by whoever erases, and by whoever reads rows of people and writes them again."""
_AT_ONCE = 500
_IMPORTS = "import"
_KEPT = frozenset({suppression.name, erasure.name})
"""Tables with people in them that have rules of their own."""


def forget(connection: Connection, subject: Subject, finder: Finder) -> dict[str, int]:
    """Removes a person from every table of the state store, within a transaction that writes.

    Suppressions of addresses stay as they are (they hold hashes), and so does what the erasure itself has put there.

    Args:
        connection: the transaction.
        subject: the person.
        finder: finds them in texts.

    Returns:
        how many rows went or were blotted out, by table.
    """
    done = _graph(connection, subject)
    people = subject.people
    done["suppression"] = _delete(
        connection, suppression, suppression.c.person_id, people, suppression.c.reason != "erased"
    )
    for table in metadata.sorted_tables:
        if "person_id" in table.c and table.name not in _KEPT:
            done[table.name] = done.get(table.name, 0) + _delete(connection, table, table.c.person_id, people)
    done["identity_decision"] = _blot(connection, identity.identity_decision, ("details", "why"), finder)
    done["identity_proposal"] += _without_proposals(connection, finder)
    done["document"] = _without_samples(connection, finder)
    done["quarantined_event"] = _delete_named(connection, quarantined_event, "body", finder, ())
    done["repeated_request"] = _delete_named(connection, repeated_request, "body", finder, people)
    done["webhook_delivery"] = _cut_messages(connection, finder, people)
    theirs = [value for _, value in subject.values]
    done["personal_key"] = personal_keys.forget(connection, theirs)
    done["code"] = connection.execute(sa.update(code).where(code.c.member.in_(theirs)).values(member="")).rowcount
    return {name: rows for name, rows in done.items() if rows}


def _graph(connection: Connection, subject: Subject) -> dict[str, int]:
    """Removes keys, what joined them, and who stood for whom."""
    people = subject.people
    show_keys(connection, people)
    numbers = [int(row[0]) for row in bulk.select(connection, queries.KEYS, people)]
    keys, edges = forget_keys(connection, people, numbers)
    done = {"identity_key": keys, "identity_edge": edges}
    blocked = identity.identity_blocked
    done["identity_blocked"] = sum(
        _delete(connection, blocked, column, numbers) for column in (blocked.c.a, blocked.c.b)
    )
    for table, columns in (
        (identity.identity_override, ("old_person", "new_person")),
        (identity.identity_never, ("person_a", "person_b")),
        (identity.identity_proposal, ("person_a", "person_b")),
    ):
        done[table.name] = sum(_delete(connection, table, table.c[name], people) for name in columns)
    return done


def _delete(
    connection: Connection, table: sa.Table, column: sa.Column[Any], numbers: Sequence[int], *where: Any
) -> int:
    return sum(
        connection.execute(sa.delete(table).where(column.in_(some), *where)).rowcount for some in _pieces(numbers)
    )


def _pieces(numbers: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield list(numbers[start : start + _AT_ONCE])


def _delete_named(connection: Connection, table: sa.Table, column: str, finder: Finder, people: Sequence[int]) -> int:
    """Deletes the rows of a table whose text names the person, by key or (``people``) by number."""
    gone = [row for row, _ in _naming(connection, table, column, _Named(finder, people))]
    for row in gone:
        connection.execute(sa.delete(table).where(*_is(table.primary_key.columns, row)))
    return len(gone)


@dataclass(frozen=True)
class _Named:
    """Tells whether a text names the person, by key or by one of some numbers."""

    finder: Finder
    people: Sequence[int]

    def __call__(self, text: str) -> bool:
        return self.finder.names(text) or (self._number is not None and self._number.search(text) is not None)

    @cached_property
    def _number(self) -> re.Pattern[str] | None:
        return re.compile(rf'"person_id":\s*"?(?:{"|".join(map(str, self.people))})\b') if self.people else None


def _naming(connection: Connection, table: sa.Table, column: str, named: _Named) -> list[tuple[Any, str]]:
    """Returns the primary keys and texts of the rows that name the person."""
    wanted = sa.select(*table.primary_key.columns, table.c[column]).where(table.c[column].is_not(None))
    rows = connection.execute(wanted, execution_options={"yield_per": _AT_ONCE})
    texts = ((row[:-1], bytes(row[-1]).decode("utf-8", "replace")) for row in rows)
    return [(row, text) for row, text in texts if named(text)]


def _cut_messages(connection: Connection, finder: Finder, people: Sequence[int]) -> int:
    """Cuts the person out of what third systems are told or were told; a message about nobody else goes whole."""
    keys, named = webhook_delivery.primary_key.columns, _Named(finder, people)
    found = _naming(connection, webhook_delivery, "payload", named)
    for row, text in found:
        kept = _message_without(text, named)
        change = (
            sa.delete(webhook_delivery) if kept is None else sa.update(webhook_delivery).values(payload=kept.encode())
        )
        connection.execute(change.where(*_is(keys, row)))
    return len(found)


def _message_without(text: str, named: _Named) -> str | None:
    """Returns a message without the entries of its lists that name the person; None where nothing else is in it."""
    body = json.loads(text)
    lists = {name: entries for name, entries in body["data"].items() if isinstance(entries, list)}
    for name, entries in lists.items():
        body["data"][name] = [entry for entry in entries if not named(_written(entry))]
    made = _written(body)
    return made if any(body["data"][name] for name in lists) and not named(made) else None


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _blot(connection: Connection, table: sa.Table, columns: Sequence[str], finder: Finder) -> int:
    """Blots the person's values out of a table's JSON and texts; returns how many rows held any."""
    keys = list(table.primary_key.columns)
    changed = []
    for row in connection.execute(sa.select(*keys, *(table.c[name] for name in columns))):
        made = {name: finder.without(value) for name, value in zip(columns, row[len(keys) :], strict=True)}
        if any(count for _, count in made.values()):
            changed.append((row[: len(keys)], {name: value for name, (value, _) in made.items()}))
    for values, made_row in changed:
        connection.execute(sa.update(table).where(*_is(keys, values)).values(made_row))
    return len(changed)


def _without_proposals(connection: Connection, finder: Finder) -> int:
    """Deletes proposals that name the person: lines of lists are people of their own until somebody accepts them."""
    table = identity.identity_proposal
    keys = list(table.primary_key.columns)
    rows = connection.execute(sa.select(*keys, table.c.evidence)).all()
    named = [row[:-1] for row in rows if finder.names(_written(row[-1]))]
    for values in named:
        connection.execute(sa.delete(table).where(*_is(keys, values)))
    return len(named)


def _without_samples(connection: Connection, finder: Finder) -> int:
    """Takes the samples out of what imports say of themselves, whosever they are, and blots the person's keys out.

    Samples show how columns were understood: whole values of somebody's row, which cannot be told apart here.
    """
    changed = 0
    keys = list(document.primary_key.columns)
    for row in connection.execute(sa.select(*keys, document.c.body).where(document.c.kind == _IMPORTS)).all():
        matches = [match for mapping in row.body.get("mappings", ()) for match in mapping["matches"]]
        sampled = any(match["samples"] for match in matches)
        for match in matches:
            match["samples"] = []
        made, count = finder.without(row.body)
        if sampled or count:
            connection.execute(sa.update(document).where(*_is(keys, row[:-1])).values(body=made))
            changed += 1
    return changed


def _is(keys: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    return [column == value for column, value in zip(keys, values, strict=True)]
