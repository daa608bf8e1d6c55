"""``jingzhe quarantine``: rows of files that were refused, and live events: list, show, correct, replay, discard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jingzhe.access.actor import MACHINE
from jingzhe.cli.console import OUT, Home, opened, show
from jingzhe.collect.refusals import EVENT_REASONS
from jingzhe.collect.refused_events import get_quarantined, list_quarantined
from jingzhe.collect.write_keys import list_sources
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.app.refusals import Chosen, Refusals
    from jingzhe.app.workspace import Workspace

_quarantine = typer.Typer(help="What was refused: rows of files, and live events.")
Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers of the events.")]
Reason = Annotated[str, typer.Option(help="Of one reason only, such as missing-event.")]
SourceName = Annotated[str, typer.Option("--source", help="Of one source only.")]
Everything = Annotated[bool, typer.Option("--all", help="Really all of them.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    _quarantine.callback(invoke_without_command=True)(rows)
    _quarantine.command("list")(list_events)
    _quarantine.command("show")(show_event)
    _quarantine.command("correct")(correct_event)
    _quarantine.command("replay")(replay_events)
    _quarantine.command("discard")(discard_events)
    app.add_typer(_quarantine, name="quarantine")


def rows(
    context: typer.Context,
    home: Home = None,
    import_id: Annotated[str | None, typer.Option("--import", help="Of one import only.")] = None,
    reason: Annotated[str | None, typer.Option(help="Of one reason only, such as bad-time.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rows to a CSV file, to be mended and imported.")] = None,
) -> None:
    """Show the rows of files that were refused, with file, line, field, value and reason; live events: list."""
    if context.invoked_subcommand is not None:
        return
    with opened(home) as workspace:
        if out is not None:
            count = workspace.export_quarantine(out, import_id=import_id, reason=reason)
            OUT.print(f"{count:,} rows written to {out}")
            return
        found = workspace.quarantine(import_id=import_id, reason=reason)
    if found.num_rows == 0:
        OUT.print("No row is in quarantine. Live events: jingzhe quarantine list")
        return
    show(found.drop_columns([name for name in ("row", "batch") if name in found.column_names]), "Quarantine 隔离区")


def list_events(
    home: Home = None,
    reason: Reason = "",
    source: SourceName = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    after: Annotated[int, typer.Option(help="Only numbers above this one: go on where a list ended.")] = -1,
) -> None:
    """List refused live events."""
    with opened(home) as workspace:
        chosen = _chosen(workspace, None, reason, source, everything=True)
        found = list_quarantined(
            workspace.warehouse.state, reason=reason, source_id=chosen.source_id, after=after, limit=limit
        )
        names = {one.source_id: one.name for one in list_sources(workspace.warehouse.state)}
    if not found:
        _line("No live event is in quarantine.")
    for one in found:
        words = EVENT_REASONS[one.reason]
        place = f" {one.field}" if one.field else ""
        _line(
            f"{one.quarantine_id:<20} {one.received_at:%Y-%m-%d %H:%M:%S}  {names.get(one.source_id, '?')}  "
            f"{one.reason}{place}: {words.en} {words.zh}"
        )


def show_event(number: Annotated[int, typer.Argument(help="Number of the event.")], home: Home = None) -> None:
    """Show one refused event as its client wrote it."""
    with opened(home) as workspace:
        one = get_quarantined(workspace.warehouse.state, number)
    _line(f"{one.reason} {one.field}: {one.detail}")
    typer.echo(one.body)


def correct_event(
    number: Annotated[int, typer.Argument(help="Number of the event.")],
    patch: Annotated[
        str, typer.Argument(help='Fields that change, as JSON: {"event": "Signed Up"}; null removes one.')
    ],
    home: Home = None,
) -> None:
    """Correct some fields of an event; all others stay. It is not tried again before it is replayed."""
    try:
        fields = json.loads(patch)
    except ValueError as error:
        raise SettingError(f"The correction is no JSON: {error}", hint='Such as {"event": "Signed Up"}') from error
    if not isinstance(fields, dict):
        raise SettingError("The correction is no JSON object", hint='Such as {"event": "Signed Up"}')
    with _opened(home) as (_, refusals):
        refusals.amend(MACHINE, number, fields)
    _line(f"{number} is corrected. Try it again: jingzhe quarantine replay {number}")


def replay_events(
    numbers: Numbers = None,
    home: Home = None,
    reason: Reason = "",
    source: SourceName = "",
    everything: Everything = False,
) -> None:
    """Send refused events through the drain again; those that are still wrong come back."""
    with _opened(home) as (workspace, refusals):
        chosen = _chosen(workspace, numbers, reason, source, everything=everything)
        count = refusals.replay(MACHINE, chosen)
    _line(f"{count:,} events go through the drain again.")


def discard_events(
    numbers: Numbers = None,
    home: Home = None,
    reason: Reason = "",
    source: SourceName = "",
    everything: Everything = False,
) -> None:
    """Delete refused events for good."""
    with _opened(home) as (workspace, refusals):
        chosen = _chosen(workspace, numbers, reason, source, everything=everything)
        count = refusals.discard(MACHINE, chosen)
    _line(f"{count:,} events are discarded.")


def _chosen(workspace: Workspace, numbers: list[int] | None, reason: str, source: str, *, everything: bool) -> Chosen:
    from jingzhe.app.refusals import Chosen  # noqa: PLC0415
    from jingzhe.app.sources import Sources  # noqa: PLC0415

    number = None
    if source:
        number = Sources(workspace.warehouse.state, workspace.warehouse.clock).named(source).source_id
    return Chosen(tuple(numbers or ()), reason, number, everything)


@contextmanager
def _opened(home: Path | None) -> Iterator[tuple[Workspace, Refusals]]:
    from jingzhe.app.collecting import open_inbox  # noqa: PLC0415 - loads the identity graph
    from jingzhe.app.refusals import Refusals  # noqa: PLC0415

    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        yield workspace, Refusals(workspace, inbox)


def _line(text: str) -> None:
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)
