"""``jingzhe refresh``, ``train``, ``update``, ``compact``, ``info``: what keeps a project current and small."""

from __future__ import annotations

from typing import Annotated

import typer

from jingzhe.cli.console import OUT, AsOf, Home, Horizon, opened
from jingzhe.core.days import day_given


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (refresh, train, update, compact, info):
        app.command()(command)


def refresh(
    home: Home = None,
    as_of: AsOf = None,
    full: Annotated[bool, typer.Option("--full", help="Compute everything anew.")] = False,
) -> None:
    """Bring profiles and states up to date; only what changed is computed."""
    with opened(home) as workspace:
        done = workspace.refresh(as_of=day_given(as_of, "--as-of"), full=full)
    kind = "all" if done.full else "changed"
    OUT.print(
        f"As of {done.as_of}: {done.people:,} {kind} profiles, {done.person_days:,} person-days, {done.seconds:.1f} s"
    )


def train(home: Home = None, as_of: AsOf = None, horizon: Horizon = None) -> None:
    """Fit all models on what was known at the end of a day, and say which one gives the scores."""
    with opened(home) as workspace:
        models = workspace.train(as_of=day_given(as_of, "--as-of"), horizon_days=horizon)
    OUT.print(f"Trained as of {models.as_of}, horizon {models.horizon_days} days; scores by {models.choice.default}.")
    for note in models.notes:
        OUT.print(f"  {note}", markup=False)


def update(home: Home = None, horizon: Horizon = None) -> None:
    """Bring profiles, models and scores up to date."""
    with opened(home) as workspace:
        day = workspace.update(horizon_days=horizon)
    OUT.print(f"Up to date as of {day}.")


def compact(
    home: Home = None,
    keep_hours: Annotated[int, typer.Option(help="Keep files that versions younger than this need, hours.")] = 168,
    undo_days: Annotated[
        float, typer.Option(help="Leave younger merges of people beside the facts, so that undoing gives all back.")
    ] = 30.0,
) -> None:
    """Sort the lake by person, fold overlays, corrections and merges in, remove files nobody needs any more."""
    with opened(home) as workspace:
        done = workspace.compact(keep_hours=keep_hours, undo_days=undo_days)
    OUT.print(f"Compacted {len(done.tables)} tables; {done.files_removed:,} files removed.")
    for reason in done.given_up:
        OUT.print(f"Left as it is, others were quicker: {reason}", markup=False)


def info(home: Home = None) -> None:
    """Say what the project holds."""
    with opened(home) as workspace:
        for name, rows in workspace.rows().items():
            OUT.print(f"{name:14} {rows:>15,} rows", highlight=False)
