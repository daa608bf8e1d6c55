"""``jingzhe dormant``, ``states``, ``rfm``, ``person``, ``backtest``, ``sql``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jingzhe.app.writing import FORMATS, text_of, write_table
from jingzhe.cli.console import OUT, AsOf, Home, Personal, is_piped, opened, say_hidden, show
from jingzhe.core.days import day_given
from jingzhe.core.errors import SettingError

Before = Annotated[str | None, typer.Option("--before", help="Earlier day to compare with, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (dormant, states, rfm, backtest, sql):
        app.command()(command)


def dormant(
    home: Home = None,
    top: Annotated[int, typer.Option(help="At most this many people; 0 for all.")] = 1000,
    file_format: Annotated[str | None, typer.Option("--format", help="csv, json or parquet; else a table.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to a file; its ending gives the format.")] = None,
    as_of: AsOf = None,
    state: Annotated[
        list[str] | None, typer.Option(help="States to list: dormant, declining, lost … Repeatable.")
    ] = None,
    tier: Annotated[list[str] | None, typer.Option(help="Value tiers to list: high, middle, low. Repeatable.")] = None,
    personal: Personal = False,
) -> None:
    """The list to act on: who has gone quiet or is about to, the most valuable first, and why."""
    chosen = file_format or (out.suffix.lstrip(".") if out else "csv" if is_piped() else None)
    if chosen is not None and chosen not in FORMATS:
        raise SettingError(f"{chosen!r} is no format", hint=f"Formats: {', '.join(FORMATS)}", option="--format")
    if chosen == "parquet" and out is None:
        raise SettingError("Parquet goes to a file", hint="Add --out list.parquet", option="--format")
    with opened(home) as workspace:
        rows = workspace.dormant(
            top=top or None,
            as_of=day_given(as_of, "--as-of"),
            states=tuple(state) if state else ("dormant", "declining"),
            tiers=tuple(tier) if tier else ("high", "middle", "low"),
            personal=personal,
        )
        hidden = workspace.hidden_in(rows)
    if out is not None and chosen is not None:
        write_table(rows, out, chosen)
        OUT.print(f"{rows.num_rows:,} people written to {out}")
        say_hidden(hidden)
    elif chosen is not None:
        typer.echo(text_of(rows, chosen), nl=False)
    elif rows.num_rows == 0:
        OUT.print("Nobody is dormant or declining.")
    else:
        shown = ("customer_id", "state", "since", "value_tier", "expected_value", "p_return", "overdue", "evidence_en")
        show(rows.select(shown), f"Dormant or about to be 沉睡与下滑: {rows.num_rows:,} people", limit=20)
        OUT.print("All columns: jingzhe dormant --out list.csv")
        say_hidden(hidden)


def states(home: Home = None, as_of: AsOf = None, before: Before = None) -> None:
    """How many people stand in each state; with --before how they moved."""
    with opened(home) as workspace:
        rows = workspace.states(as_of=day_given(as_of, "--as-of"), before=day_given(before, "--before"))
    show(rows, "States 状态")


def rfm(home: Home = None, as_of: AsOf = None, before: Before = None) -> None:
    """The eight RFM classes; with --before how people moved between them."""
    with opened(home) as workspace:
        rows = workspace.rfm(as_of=day_given(as_of, "--as-of"), before=day_given(before, "--before"))
    show(rows, "RFM")


def person(key: str, home: Home = None, as_of: AsOf = None, personal: Personal = False) -> None:
    """Everything known of one person, as JSON."""
    with opened(home) as workspace:
        row = workspace.person(key, as_of=day_given(as_of, "--as-of"), personal=personal)
    typer.echo(json.dumps(row, ensure_ascii=False, default=str, indent=2))


def backtest(
    cut: Annotated[str, typer.Option("--cut", help="Last day that the models see, YYYY-MM-DD.")],
    horizon: Annotated[int | None, typer.Option("--horizon", help="Days after the cut; else the pack's.")] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Judge every model and baseline on the days after a cut: AUC, Brier, calibration, lift."""
    day = day_given(cut, "--cut")
    if day is None:
        raise SettingError("A backtest needs a cut", option="--cut")
    with opened(home) as workspace:
        result = workspace.backtest(day, horizon)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        show(result.table(), f"Backtest: models see up to {day}, judged on {result.horizon_days} days after it")


def sql(
    query: str,
    home: Home = None,
    file_format: Annotated[str | None, typer.Option("--format", help="csv or json; else a table.")] = None,
) -> None:
    """Run a SELECT over the tables of the lake."""
    with opened(home) as workspace:
        rows = workspace.sql(query)
    if file_format:
        typer.echo(text_of(rows, file_format), nl=False)
    else:
        show(rows, f"{rows.num_rows:,} rows")
