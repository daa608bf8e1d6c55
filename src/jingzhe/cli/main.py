"""``jingzhe``: puts the commands together and turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jingzhe import __version__
from jingzhe.cli import (
    access,
    asking,
    identity,
    importing,
    keeping,
    linking,
    links,
    privacy,
    refusals,
    seals,
    serving,
    showing,
    sources,
)
from jingzhe.cli.console import ASKED, ERR
from jingzhe.core.errors import BusyError, JingzheError

app = typer.Typer(
    name="jingzhe",
    help="惊蛰 Jingzhe: who has gone quiet, who is about to, why, and what they are worth.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for part in (
    showing,
    importing,
    refusals,
    asking,
    keeping,
    linking,
    identity,
    access,
    serving,
    sources,
    links,
    privacy,
    seals,
):
    part.register(app)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_tell_version)
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="URL",
            help="What runs the queries: duckdb, local[2], spark://host:7077 or sc://host:15002 (JINGZHE_ENGINE).",
        ),
    ] = None,
) -> None:
    """惊蛰 Jingzhe: who has gone quiet, who is about to, why, and what they are worth."""
    ASKED.clear()
    if engine is not None:
        ASKED["engine"] = engine


def run() -> None:
    """Runs the command line; exit codes: 0 done, 1 a clear error, 2 wrong arguments, 75 busy, 130 interrupted."""
    try:
        app(standalone_mode=True)
    except BusyError as error:
        _tell(error)
        sys.exit(75)
    except JingzheError as error:
        _tell(error)
        sys.exit(1)
    except KeyboardInterrupt:
        ERR.print("Interrupted; nothing half-done is visible.")
        sys.exit(130)


def _tell(error: JingzheError) -> None:
    ERR.print(f"[bold red]{error.code}[/]", end=" ")
    ERR.print(str(error), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run()
