"""``jingzhe source``, ``event-name``, ``collection``, ``quality``: where events come from, what they mean, how good."""

from __future__ import annotations

from typing import Annotated

import typer

from jingzhe.access.actor import MACHINE
from jingzhe.access.errors import NotThereError
from jingzhe.cli.console import OUT, Home, opened
from jingzhe.collect.write_keys import GUESSED, KINDS, list_sources
from jingzhe.core.errors import SettingError

_sources = typer.Typer(help="Sources of live events and their write keys.", no_args_is_help=True)
_names = typer.Typer(help="What clients' names of events mean: list, set, forget.", no_args_is_help=True)
Days = Annotated[int, typer.Option(min=1, max=400, help="How many days back, today included.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    _sources.command("add")(source_add)
    _sources.command("list")(source_list)
    _sources.command("kind")(source_kind)
    _sources.command("revoke")(source_revoke)
    _names.command("list")(name_list)
    _names.command("set")(name_set)
    _names.command("forget")(name_forget)
    app.add_typer(_sources, name="source")
    app.add_typer(_names, name="event-name")
    app.command("collection")(show_collection)
    app.command("quality")(show_quality)


def source_add(
    name: Annotated[str, typer.Argument(help="What its events carry as their source.")],
    home: Home = None,
    kind: Annotated[str, typer.Option(help=f"Its channel: {', '.join(KINDS)}.")] = GUESSED,
) -> None:
    """Make a source, or another key for one; the write key is shown this once."""
    from jingzhe.app.sources import Sources  # noqa: PLC0415 - as for every command

    with opened(home) as workspace:
        sources = Sources(workspace.warehouse.state, workspace.warehouse.clock)
        try:
            known = sources.named(name)
        except NotThereError:
            key = sources.make(MACHINE, name, kind)[2]
        else:
            if kind not in {GUESSED, known.kind}:
                raise SettingError(
                    f"The source {name!r} is of the kind {known.kind!r}", hint="Change it: jingzhe source kind"
                )
            key = sources.make_key(MACHINE, known.source_id)[1]
    OUT.print(key, highlight=False, soft_wrap=True)


def source_list(home: Home = None) -> None:
    """List the sources, with the first signs of their write keys."""
    with opened(home) as workspace:
        found = list_sources(workspace.warehouse.state)
    for one in found:
        keys = ", ".join(f"{hint}…" for hint in one.keys) or "no key"
        OUT.print(f"{one.name:30} {one.kind:18} {keys}", highlight=False, markup=False)


def source_kind(
    name: Annotated[str, typer.Argument(help="The source.")],
    kind: Annotated[str, typer.Argument(help=f"Its channel: {', '.join(KINDS)}.")],
    home: Home = None,
) -> None:
    """Say of which channel a source is from now on; what it sent before keeps its channel."""
    from jingzhe.app.sources import Sources  # noqa: PLC0415

    with opened(home) as workspace:
        sources = Sources(workspace.warehouse.state, workspace.warehouse.clock)
        changed = sources.change(MACHINE, sources.named(name).source_id, kind=kind)
    OUT.print(f"{changed.name} is of the kind {changed.kind}.", highlight=False, markup=False)


def source_revoke(
    name: Annotated[str, typer.Argument(help="The source.")],
    home: Home = None,
    key: Annotated[str, typer.Option(help="The first four signs of the key; none: all keys.")] = "",
) -> None:
    """Make write keys hold no longer; what they brought stays."""
    from jingzhe.app.sources import Sources  # noqa: PLC0415

    with opened(home) as workspace:
        sources = Sources(workspace.warehouse.state, workspace.warehouse.clock)
        number = sources.named(name).source_id
        held = [one for one in sources.keys(number) if one.revoked_at is None and one.hint.startswith(key[:4])]
        for one in held:
            sources.revoke_key(MACHINE, number, one.key_id)
    if not held:
        raise SettingError(f"The source {name!r} has no such key", hint="List them: jingzhe source list")
    OUT.print(f"{len(held)} keys revoked.")


def name_list(
    home: Home = None,
    own: Annotated[bool, typer.Option("--own", help="Only what this project has said.")] = False,
) -> None:
    """List names of events with what they mean."""
    from jingzhe.app.event_names import EventNames  # noqa: PLC0415

    with opened(home) as workspace:
        found = EventNames(workspace.warehouse.state, workspace.warehouse.clock).all(own_only=own)
    for one in found:
        note = "" if one.origin == "default" else f"  ({one.origin})"
        OUT.print(f"{one.name:36} {one.canonical:28} {one.activity}{note}", highlight=False, markup=False)


def name_set(
    name: Annotated[str, typer.Argument(help="As clients write it.")],
    canonical: Annotated[str, typer.Argument(help="What it is called in the lake, such as order_completed.")],
    activity: Annotated[str, typer.Argument(help="What it is, such as purchase.")],
    home: Home = None,
) -> None:
    """Say what a name means from now on; what is in the lake keeps its meaning."""
    from jingzhe.app.event_names import EventNames  # noqa: PLC0415

    with opened(home) as workspace:
        one = EventNames(workspace.warehouse.state, workspace.warehouse.clock).put(MACHINE, name, canonical, activity)
    OUT.print(f"{one.name} is {one.canonical}, a {one.activity}.", highlight=False, markup=False)


def name_forget(name: Annotated[str, typer.Argument(help="As clients write it.")], home: Home = None) -> None:
    """Let a name mean what it does by default again."""
    from jingzhe.app.event_names import EventNames  # noqa: PLC0415

    with opened(home) as workspace:
        one = EventNames(workspace.warehouse.state, workspace.warehouse.clock).forget(MACHINE, name)
    OUT.print(f"{one.name} is {one.canonical}, a {one.activity}.", highlight=False, markup=False)


def show_collection(home: Home = None, days: Days = 7) -> None:
    """Show what arrives: by source and day, what waits, how old the newest facts are."""
    from jingzhe.app.collecting import open_inbox  # noqa: PLC0415 - loads the identity graph
    from jingzhe.app.collection import collection  # noqa: PLC0415

    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        found = collection(workspace, inbox, days=days)
    waiting = found.waiting
    _line(f"{waiting.events:,} events wait for the drain, the oldest for {waiting.oldest_seconds:.1f} s.")
    for one in found.freshness:
        received = f"{one.received_at:%Y-%m-%d %H:%M:%S}" if one.received_at else "never"
        happened = f"{one.happened_at:%Y-%m-%d %H:%M:%S}" if one.happened_at else "never"
        _line(f"{one.source:30} {one.kind:18} last received {received}, latest event {happened} UTC")
    for day in found.days:
        amount = day.amount
        _line(
            f"{day.day}  {day.source:30} {amount.received:>10,} received: {amount.accepted:,} accepted, "
            f"{amount.historical:,} historical, {amount.duplicates:,} duplicates, {amount.refused_in_all:,} refused"
        )


def show_quality(home: Home = None, days: Days = 30) -> None:
    """Report on the quality of the data, by source: validity, duplicates, refusals by reason."""
    from jingzhe.app.collection import quality  # noqa: PLC0415

    with opened(home) as workspace:
        found = quality(workspace, days=days)
    if not found:
        _line(f"Nothing came in {days} days.")
    for one in found:
        valid = "–" if one.validity is None else f"{one.validity:.2%} valid"
        twice = "" if one.duplicate_share is None else f", {one.duplicate_share:.2%} duplicates"
        _line(f"{one.source} ({one.way}): {one.amount.received:,} received, {valid}{twice}")
        for reason, count in sorted(one.amount.refused.items(), key=lambda pair: -pair[1]):
            _line(f"  refused: {count:,} {reason}")
        for reason, count in sorted(one.in_quarantine.items(), key=lambda pair: -pair[1]):
            _line(f"  in quarantine: {count:,} {reason}")


def _line(text: str) -> None:
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)
