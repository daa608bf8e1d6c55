"""``jingzhe import``, ``quarantine``, ``imports``, ``presets``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from jingzhe.cli.console import OUT, Home, opened
from jingzhe.collect.databases import SqlSource
from jingzhe.collect.reasons import REASONS
from jingzhe.collect.report import ImportSummary
from jingzhe.core.errors import SettingError

Preset = Annotated[str | None, typer.Option("--preset", help="A shipped or saved mapping, such as online_retail.")]
Map = Annotated[
    list[str] | None, typer.Option("--map", help="Say where a field stands: customer_id=CustomerID. Repeatable.")
]

Key = Annotated[
    list[str] | None,
    typer.Option("--key", help="Say where a further key of the customer stands: phone=手机号, email=, … Repeatable."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("import")(import_)
    app.command()(imports)
    app.command()(presets)


def mapping_of(
    pairs: list[str] | None, option: str = "--map", example: str = "customer_id=CustomerID"
) -> dict[str, str] | None:
    """Returns ``field=column`` pairs as a mapping; raises SettingError where one is none."""
    if not pairs:
        return None
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SettingError(f"{wrong[0]!r} is no mapping", hint=f"Write it as {example}.", option=option)
    return dict(pair.split("=", 1) for pair in pairs)


def tell(summary: ImportSummary) -> None:
    """Prints what an import did, for people."""
    for mapping in summary.mappings:
        OUT.print(mapping.as_text(), markup=False, highlight=False)
    if summary.repeated:
        OUT.print(f"Imported before, as {summary.repeated}: nothing changed.")
        return
    speed = summary.rows / max(summary.seconds, 1e-3)
    OUT.print(
        f"{summary.rows:,} rows in {summary.seconds:.1f} s ({speed:,.0f}/s): {summary.orders:,} new orders or events, "
        f"{summary.orders_replaced:,} corrected, {summary.orders_unchanged:,} unchanged; "
        f"{summary.people:,} new people{_days(summary)}."
    )
    if summary.keys:
        used = ", ".join(f"{count:,} {kind}" for kind, count in summary.keys.items())
        OUT.print(f"  keys: {used}; {summary.people_joined:,} people were joined with others by them")
    for kind, count in summary.keys_unusable.items():
        OUT.print(f"  keys: {count:,} {kind} that cannot be used (placeholder, or not written like one)")
    for reason, rows in sorted(summary.rejected.items(), key=lambda pair: -pair[1]):
        words = REASONS[reason]
        OUT.print(f"  quarantine: {rows:,} rows, {words.en} {words.zh} ({reason})")
    if summary.rejected:
        OUT.print("  See them: jingzhe quarantine --import " + summary.import_id)
    for name, rows in summary.unknown_events.items():
        OUT.print(f"  event {name!r} ({rows:,} rows) has no known activity; it counts as interaction")
    for note in summary.notes:
        OUT.print(f"  {note.en} {note.zh}")


def _days(summary: ImportSummary) -> str:
    return f"; days {summary.first_day} to {summary.last_day}" if summary.first_day else ""


def import_(
    source: Annotated[
        str | None, typer.Argument(help="File, folder or pattern: CSV, Excel, Parquet, JSON lines.")
    ] = None,
    home: Home = None,
    mapping: Map = None,
    key: Key = None,
    preset: Preset = None,
    save_preset: Annotated[str | None, typer.Option(help="Keep this mapping under a name.")] = None,
    source_name: Annotated[str | None, typer.Option(help="Name of the source that the facts carry.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse everything because of one bad row.")] = False,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL; then --query says what to read.")] = None,
    query: Annotated[str | None, typer.Option(help="A SELECT on --database.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of texts, where guessing errs, such as gb18030.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV files, where guessing errs.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of Excel files.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times that carry none.")] = None,
    id_kind: Annotated[
        str,
        typer.Option(
            help="What the customer ids are: customer (the id they sign in with), member, phone, email … "
            "Guessed: phone or email where header and values say so, else customer."
        ),
    ] = "",
    people: Annotated[
        bool, typer.Option("--people", help="The file is a list of people: customers and keys, no orders.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Import orders or events: whole or not at all, the same file twice changes nothing."""
    if (database is None) != (query is None):
        raise SettingError("--database and --query go together")
    if source is None and preset is None and database is None:
        raise SettingError("There is nothing to import", hint="Name a file, a folder, or --database with --query.")
    given = SqlSource(database, query) if database and query else source
    with opened(home, timezone=timezone) as workspace:
        summary = workspace.import_(
            given, mapping=mapping_of(mapping), preset=preset, source_name=source_name, strict=strict,
            encoding=encoding, delimiter=delimiter, sheet=sheet, key_kind=id_kind,
            keys=mapping_of(key, "--key", "phone=手机号"), people=people,
        )  # fmt: skip
        if save_preset:
            workspace.save_preset(save_preset, summary)
    if as_json:
        typer.echo(json.dumps(summary.document(), ensure_ascii=False))
    else:
        tell(summary)


def imports(home: Home = None, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List what was imported."""
    with opened(home) as workspace:
        done = workspace.imports()
    if as_json:
        typer.echo(json.dumps([summary.document() for summary in done], ensure_ascii=False))
        return
    if not done:
        OUT.print("Nothing has been imported yet. Import a file: jingzhe import orders.csv")
    for summary in done:
        OUT.print(
            f"{summary.import_id}  {summary.source}  {', '.join(summary.files)}: {summary.rows:,} rows, "
            f"{summary.rows_rejected:,} rejected"
        )


def presets(home: Home = None) -> None:
    """List the mappings that ship or were saved."""
    with opened(home) as workspace:
        for preset in workspace.presets():
            OUT.print(json.dumps(asdict(preset), ensure_ascii=False, default=str))
