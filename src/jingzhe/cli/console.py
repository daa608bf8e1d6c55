"""What every command shares: the workspace, progress on the terminal, tables, errors."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

import jingzhe

if TYPE_CHECKING:
    from jingzhe.app.workspace import Workspace

OUT = Console()
ERR = Console(stderr=True)

PORT = 8090
LOCAL_ADDRESS = f"http://127.0.0.1:{PORT}"
"""Where a server on this machine is reached that nobody told anything else."""
ASKED: dict[str, str] = {}
"""Settings that stand before the command, such as ``--engine``; they win over file and environment."""

Home = Annotated[Path | None, typer.Option("--home", help="Folder of the project (JINGZHE_HOME, else ./jingzhe-data).")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Day at whose end the answer holds, YYYY-MM-DD.")]
Personal = Annotated[
    bool, typer.Option("--personal", help="Show telephones and e-mails by which files name customers; else hashes.")
]
Horizon = Annotated[int | None, typer.Option("--horizon", help="Horizon of the probabilities, days.")]


class TerminalProgress:
    """Draws stages on standard error: what is done, how fast, how long it still takes; says little without a terminal.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._unit = "rows"
        self._began = 0.0

    def __enter__(self) -> TerminalProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        """Shows that a new stage begins."""
        if not self._console.is_terminal:
            self._console.print(f"{name} …", highlight=False)
            return
        if self._task is not None:
            self._live.remove_task(self._task)
        self._unit, self._began = unit, time.monotonic()
        self._task = self._live.add_task(name, total=total, speed="")

    def advance(self, done: int) -> None:
        """Shows how much of the stage is done by now."""
        if self._task is None:
            return
        seconds = max(time.monotonic() - self._began, 1e-3)
        self._live.update(self._task, completed=done, speed=f"{done:,} {self._unit}, {done / seconds:,.0f}/s")


@contextmanager
def opened(home: Path | None, **settings: Any) -> Iterator[Workspace]:
    """Opens the project with progress on the terminal."""
    given = {**ASKED, **{name: value for name, value in settings.items() if value is not None}}
    with TerminalProgress(ERR) as progress, jingzhe.open(home, **given) as workspace:
        workspace.progress = progress
        yield workspace


def show(data: pa.Table, title: str, limit: int = 60) -> None:
    """Prints an Arrow table for people."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, kind in zip(data.column_names, data.schema.types, strict=True):
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        table.add_column(name, justify="right" if numeric else "left")
    for row in data.slice(0, limit).to_pylist():
        table.add_row(*(_cell(value) for value in row.values()))
    OUT.print(table)
    if data.num_rows > limit:
        OUT.print(f"… {data.num_rows - limit:,} more rows")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}" if abs(value) < 1 else f"{value:,.1f}"
    return str(value)


def is_piped() -> bool:
    """Tells whether standard output goes to a file or another program."""
    return not sys.stdout.isatty()


def say_hidden(people: int) -> None:
    """Says that people are listed by a hash, where some are.

    Args:
        people: how many.
    """
    if people:
        OUT.print(
            f"Known by telephone or e-mail 以手机号或邮箱标识: {people:,}; hashes stand for them, see --personal.",
            highlight=False,
            soft_wrap=True,
        )
