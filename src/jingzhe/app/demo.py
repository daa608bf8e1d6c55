"""What the demo does: bring data, compute everything, write the report and the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jingzhe.app.workspace import Workspace
from jingzhe.app.writing import write_table
from jingzhe.collect.report import ImportSummary
from jingzhe.core.settings import FILE_NAME
from jingzhe.core.text import Text
from jingzhe.simulate import Business, Chunk, customer_keys, draw
from jingzhe.store.facts import EVENTS, IDENTITIES, ITEMS
from jingzhe.store.query import one
from jingzhe.store.state.graph_notes import leave_unadopted
from jingzhe.store.warehouse import Writing


class Results(NamedTuple):
    """What was written.

    Args:
        report: the page.
        listing: the list to act on.
        people: how many people stand in it.
        headlines: the most telling lines.
        hidden: how many of them stand there under a hash.
    """

    report: Path
    listing: Path
    people: int
    headlines: tuple[Text, ...]
    hidden: int = 0


def settle(home: Path) -> None:
    """Writes the settings of a grocer into the demo's folder, unless somebody has set others."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / FILE_NAME
    if not path.exists():
        path.write_text('industry = "supermarket"\ncurrency = "USD"\n', encoding="utf-8")


def load_grocer(workspace: Workspace) -> ImportSummary:
    """Imports The Complete Journey from its package; the second time nothing changes."""
    return workspace.import_(None, preset="complete_journey")


def load_simulated(workspace: Workspace, *, people: int, seed: int = 1, events_per_person: float = 60.0) -> int:
    """Draws a business straight into the lake, chunk by chunk; returns the number of events.

    Loading the same business again changes nothing.

    Args:
        workspace: where to.
        people: how many.
        seed: of the drawing.
        events_per_person: on average, over two years.
    """
    business = Business(people=people, seed=seed, events_per_person=events_per_person)
    name = f"simulated-{people}-{seed}-{events_per_person:g}"
    state = workspace.warehouse.state
    known = state.document("simulated", name)
    if known is not None:
        return int(known.body["events"])
    total = 0
    with workspace.warehouse.writing(f"simulation of {people} people") as writing:
        workspace.progress.stage("simulating", people, "people")
        for drawn, chunk in _counted(draw(business, batch=writing.batch)):
            total += write_chunk(writing, chunk)
            workspace.progress.advance(drawn)
        body = {"events": total, "people": people}
        writing.also(lambda connection: state.put_document("simulated", name, body, connection=connection))
        writing.also(lambda connection: leave_unadopted(state, connection, writing.batch))
        writing.publish(name)
    return total


def _counted(chunks: Iterator[Chunk]) -> Iterator[tuple[int, Chunk]]:
    drawn = 0
    for chunk in chunks:
        drawn += chunk.truth.num_rows
        yield drawn, chunk


def write_chunk(writing: Writing, chunk: Chunk) -> int:
    """Stages the events, items and identities of a chunk; returns the number of events."""
    session = writing.session
    people = chunk.truth["person_id"].combine_chunks()
    session.offer("drawn_events", chunk.events)
    session.offer("drawn_items", chunk.items)
    session.offer(
        "drawn_people", chunk.truth.select(["person_id"]).append_column("value", customer_keys(people.to_numpy()))
    )
    events = writing.append(EVENTS, one("drawn_events_rows", "SELECT * FROM drawn_events"))
    writing.append(ITEMS, one("drawn_items_rows", "SELECT * FROM drawn_items"))
    identities = "SELECT person_id, 'customer' AS kind, value, CAST($batch AS BIGINT) AS batch FROM drawn_people"
    writing.append(IDENTITIES, one("drawn_identities", identities), {"batch": writing.batch})
    session.drop("drawn_events", "drawn_items", "drawn_people")
    return events


def results(workspace: Workspace, folder: Path, *, personal: bool = False) -> Results:
    """Computes everything and writes ``report.html`` and ``wake-up-list.csv`` into ``folder``.

    Args:
        workspace: of the project.
        folder: where to.
        personal: True to list customers by the telephone number or e-mail address that their file names them by.
    """
    written = workspace.report(folder / "report.html")
    rows = workspace.dormant(personal=personal)
    listing = folder / "wake-up-list.csv"
    workspace.progress.stage("writing the list", rows.num_rows, "people")
    write_table(rows, listing, "csv")
    return Results(written.page, listing, rows.num_rows, written.headlines, workspace.hidden_in(rows))
