"""What is held of one person, everywhere: for an export, and for an erasure to know what it has to look for."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from jingzhe.access import audit
from jingzhe.app.collecting import open_inbox
from jingzhe.app.finding import known_by
from jingzhe.app.workspace import Workspace
from jingzhe.collect.importing import KIND as IMPORTS
from jingzhe.collect.received import Received, unpacked
from jingzhe.collect.sealed_properties import opened
from jingzhe.collect.sealed_rows import opened_rows
from jingzhe.collect.wire import segment, sensors
from jingzhe.consent import subjects, suppressions, words
from jingzhe.consent.addresses import salt_of
from jingzhe.consent.owning import once_with
from jingzhe.consent.subjects import Finder, Subject, row_names
from jingzhe.core.errors import NoDataError
from jingzhe.core.sealing import Sealer
from jingzhe.identity import people as identity
from jingzhe.identity import personal_keys
from jingzhe.identity.keyring import has_keys_of
from jingzhe.identity.rules import load_rules
from jingzhe.measure.holdout import assignments_of
from jingzhe.store.facts import IDENTITIES
from jingzhe.store.lake.person_rows import filed_rows, refused_rows, rows_of
from jingzhe.store.state.access_tables import audit as trail
from jingzhe.store.state.collect_tables import quarantined_event

_INBOX_EVENTS = 200_000
"""So many waiting events are looked through for an export; an erasure drains them instead."""
_CUSTOMER = "customer_id"
_WITH_KEYS = ("identities", "event_details")


@dataclass(frozen=True)
class Holdings:
    """Everything about one person.

    Args:
        subject: their numbers and keys.
        made_at: when it was put together.
        tables: rows of the lake by table.
        state: what the state store holds, by subject, in JSON's terms.
        closed: values of their events that are sealed and do not open: their key is gone, or a client made them up.
    """

    subject: Subject
    made_at: datetime
    tables: Mapping[str, pa.Table]
    state: Mapping[str, list[dict[str, Any]]]
    closed: int = 0


def find_person(workspace: Workspace, value: str, kind: str = "") -> int:
    """Returns the one person who is known by a key.

    Args:
        workspace: of the project.
        value: as the source writes it; their number where ``kind`` is ``number``.
        kind: of the key; empty for any that says who somebody is.

    Raises:
        NoDataError: nobody is known by it, or several people are.
    """
    if kind == "number" and value.isdecimal():
        return int(value)
    found = known_by(workspace.warehouse, value, kind)
    if len(found) != 1:
        what = "Several people are" if found else "Nobody is"
        hint = "Say the kind of the key: --kind email, phone, login, customer …, or number with the person's number."
        raise NoDataError(f"{what} known by this key", hint=hint)
    return found.pop()


def subject_of(workspace: Workspace, person_id: int) -> Subject:
    """Returns a person's numbers and keys, from the identity graph and from the lake.

    Raises:
        NoDataError: nothing is known of such a person.
    """
    warehouse = workspace.warehouse
    state, rules = warehouse.state, load_rules(warehouse.state)
    salt = salt_of(state)
    with state.reading() as connection:
        everybody = words.everybody_of(connection, person_id)
        parted = once_with(connection, everybody)
    tables = rows_of(warehouse, everybody)
    elsewhere = rows_of(warehouse, parted, tables=_WITH_KEYS) if parted else {}
    with state.reading() as connection:
        keys = [*_sent(tables), *_filed(elsewhere), *_sent(elsewhere)]
        found = subjects.subject_of(connection, person_id, _filed(tables), rules, salt, elsewhere=keys)
    if not found.keys and not tables and not words.words_of(state, person_id):
        raise NoDataError("There is no such person", hint="Look them up: POST /api/v1/people/find")
    return found


def _filed(tables: Mapping[str, pa.Table]) -> list[tuple[str, str]]:
    """Returns keys as the table of keys has them."""
    if "identities" not in tables:
        return []
    rows = tables["identities"]
    return list(dict.fromkeys(zip(rows["kind"].to_pylist(), rows["value"].to_pylist(), strict=True)))


def _sent(tables: Mapping[str, pa.Table]) -> list[tuple[str, str]]:
    """Returns keys as clients sent them."""
    if "event_details" not in tables:
        return []
    found: dict[tuple[str, str], None] = {}
    for column, kinds in (("user_id", ("login",)), ("anonymous_id", ("cookie", "device"))):
        for value in tables["event_details"][column].unique().drop_null().to_pylist():
            found |= dict.fromkeys((kind, value) for kind in kinds)
    return list(found)


def finder_of(workspace: Workspace, subject: Subject) -> Finder:
    """Returns what finds a person in texts."""
    state = workspace.warehouse.state
    return Finder(subject, load_rules(state), salt_of(state))


def refused_of(workspace: Workspace, finder: Finder) -> list[dict[str, Any]]:
    """Returns the refused rows of imports that name a person."""
    columns: dict[str, set[str]] = {}
    for one in workspace.warehouse.state.documents(IMPORTS):
        for mapping in one.body["mappings"]:
            named = {match["column"] for match in mapping["matches"] if match["field"] == _CUSTOMER}
            columns.setdefault(one.body["import_id"], set()).update(named)
    rows = opened_rows(refused_rows(workspace.warehouse), workspace.warehouse.state.sealer).to_pylist()
    return [row for row in rows if row_names(finder, row["row"] or "", columns.get(row["import_id"], ()))]


def holdings(workspace: Workspace, person_id: int) -> Holdings:
    """Returns everything that is held of a person.

    Raises:
        NoDataError: nothing is known of such a person.
    """
    warehouse = workspace.warehouse
    state, now = warehouse.state, warehouse.clock.now()
    subject = subject_of(workspace, person_id)
    finder = finder_of(workspace, subject)
    tables = rows_of(warehouse, subject.people)
    _only_theirs(workspace, tables, subject)
    closed = _open(tables, state.sealer)
    refused = refused_of(workspace, finder)
    if refused:
        tables["quarantine"] = pa.Table.from_pylist(refused)
    held = {
        "keys": [{"kind": kind, "stored": value} for kind, value in subject.keys],
        "written_keys": _written(workspace, subject),
        "joins": _joins(workspace, subject),
        "consents": [asdict(one) for one in words.words_of(state, person_id)],
        "suppressions": [asdict(one) for one in suppressions.suppressions_of(state, person_id)],
        "assignments": [asdict(one) for one in assignments_of(state, person_id)],
        "quarantined_events": _quarantined(workspace, finder),
        "waiting_events": _waiting(workspace, finder),
        "audit": _audit(workspace, subject.people),
    }
    return Holdings(subject, now, tables, held, closed)


def _only_theirs(workspace: Workspace, tables: dict[str, pa.Table], subject: Subject) -> None:
    """Leaves keys out of the table of keys that are another's since a merge was undone, and adds those that came."""
    values, kept = sorted({value for _, value in subject.values}), set(subject.values)
    asked = {"asked": pa.table({"value": pa.array(values, pa.string())})}
    found = filed_rows(workspace.warehouse, {"identities": "value IN (SELECT value FROM asked)"}, asked)
    rows = found["identities"].to_pylist() if found else []
    rows = [{**row, "person_id": subject.person_id} for row in rows if (row["kind"], row["value"]) in kept]
    tables.pop("identities", None)
    if rows:
        tables["identities"] = pa.Table.from_pylist(rows, IDENTITIES.arrow_schema)


def _open(tables: dict[str, pa.Table], sealer: Sealer | None) -> int:
    """Opens what is sealed within events; returns how many values do not open."""
    rows = tables.get("event_details")
    if rows is None:
        return 0
    texts = zip(rows["properties"].to_pylist(), rows["event_id"].to_pylist(), strict=True)
    found = [None if text is None else opened(sealer, text, number) for text, number in texts]
    place = rows.column_names.index("properties")
    values = pa.array([None if one is None else one.text for one in found], rows.field(place).type)
    tables["event_details"] = rows.set_column(place, rows.field(place), values)
    return sum(one.closed for one in found if one is not None)


def _written(workspace: Workspace, subject: Subject) -> list[dict[str, Any]]:
    """Returns the person's keys of personal kinds as files wrote them."""
    kinds = {value: kind for kind, value in subject.values}
    found = personal_keys.opened(workspace.warehouse.state, kinds)
    return [{"kind": kinds[filed], "value": written} for filed, written in found.items()]


def _in_graph(workspace: Workspace, subject: Subject) -> bool:
    """Tells whether the identity graph knows a person."""
    with workspace.warehouse.state.reading() as connection:
        return has_keys_of(connection, subject.people) or len(subject.people) > 1


def _joins(workspace: Workspace, subject: Subject) -> list[dict[str, Any]]:
    # Customers of imports whom the graph does not know yet have nothing that joined them.
    if not _in_graph(workspace, subject):
        return []
    return [asdict(one) for one in identity.explain(workspace.warehouse.state, subject.person_id)]


def _quarantined(workspace: Workspace, finder: Finder) -> list[dict[str, Any]]:
    table = quarantined_event
    columns = (table.c.quarantine_id, table.c.received_us, table.c.reason, table.c.field, table.c.detail, table.c.body)
    with workspace.warehouse.state.reading() as connection:
        rows = connection.execute(sa.select(*columns)).all()
    found = [{**row._mapping, "body": bytes(row.body).decode("utf-8", "replace")} for row in rows]  # noqa: SLF001
    return [row for row in found if finder.names(row["body"])]


def _waiting(workspace: Workspace, finder: Finder) -> list[dict[str, Any]]:
    """Returns acknowledged events that are not in the lake yet."""
    with open_inbox(workspace.settings) as inbox:
        rows = inbox.take(events=_INBOX_EVENTS)
    bodies = (body for row in rows for request in unpacked(row.payload) for body in _events(request))
    texts = (body.decode("utf-8", "replace") for body in bodies)
    return [{"body": text} for text in texts if finder.names(text)]


def _events(request: Received) -> list[bytes]:
    if request.protocol == "sensors":
        return sensors.events(request.body)
    return segment.events(request.body, request.call, request.sent_at, request.user_agent)[1]


def _audit(workspace: Workspace, people: Iterable[int]) -> list[dict[str, Any]]:
    names = [f"person:{number}" for number in people]
    wanted = sa.select(trail).where(trail.c.subject.in_(names)).order_by(trail.c.number)
    with workspace.warehouse.state.reading() as connection:
        return [asdict(audit.Row(*row)) for row in connection.execute(wanted)]


def write_export(held: Holdings, path: Path) -> None:
    """Writes what is held as one zip: ``person.json`` with everything, and each table as Parquet.

    Args:
        held: what :func:`holdings` gave.
        path: the file; it appears when it is whole.
    """
    everything = {
        "person_id": held.subject.person_id,
        "also_known_as": [number for number in held.subject.people if number != held.subject.person_id],
        "made_at": held.made_at,
        "values_that_do_not_open": held.closed,
        **held.state,
        **{name: table.to_pylist() for name, table in held.tables.items()},
    }
    tables = dict(held.tables)
    for name, rows in held.state.items():
        if rows:
            tables[name] = pa.Table.from_pylist([{key: _plain(value) for key, value in row.items()} for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("person.json", json.dumps(everything, ensure_ascii=False, default=str, indent=2))
        for name, table in sorted(tables.items()):
            sink = io.BytesIO()
            pq.write_table(table, sink)
            packed.writestr(f"{name}.parquet", sink.getvalue())
    part.replace(path)


def _plain(value: Any) -> Any:
    """Returns a value that Parquet has a type for whatever stands in other rows."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else value
