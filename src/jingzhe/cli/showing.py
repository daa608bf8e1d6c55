"""``jingzhe demo``, ``run``, ``report``: from data to something a person reads."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from jingzhe.cli.console import OUT, AsOf, Home, Personal, opened, say_hidden
from jingzhe.cli.importing import Map, Preset, mapping_of, tell
from jingzhe.core.days import day_given
from jingzhe.core.text import Text

Charts = Annotated[Path | None, typer.Option("--charts", help="Folder for PNGs of the charts.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (demo, run, report):
        app.command()(command)


def _demonstration() -> ModuleType:
    """Loads what the demo needs: models and charts take a second or two, which ``--help`` should not."""
    return import_module("jingzhe.app.demo")


def _lines(lines: tuple[Text, ...]) -> None:
    for number, line in enumerate(lines, start=1):
        OUT.print(f"{number}. {line.en}", highlight=False, markup=False)
        OUT.print(f"   {line.zh}", highlight=False, markup=False)


def demo(
    home: Annotated[Path, typer.Option("--home", help="Folder of the demo.")] = Path("jingzhe-demo"),
    simulated: Annotated[int | None, typer.Option(help="Simulate a business of so many people instead.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
) -> None:
    """A year of a grocer (The Complete Journey), or a simulated business: a report and a list in one go."""
    if simulated is None:
        _demonstration().settle(home)
    with opened(home) as workspace:
        if simulated is None:
            tell(_demonstration().load_grocer(workspace))
        else:
            _demonstration().load_simulated(workspace, people=simulated, seed=seed)
        done = _demonstration().results(workspace, home)
    OUT.print()
    _lines(done.headlines)
    OUT.print()
    OUT.print(f"Report 报告: {done.report.absolute()}", highlight=False, soft_wrap=True)
    OUT.print(f"List   名单: {done.listing.absolute()} ({done.people:,} people)", highlight=False, soft_wrap=True)


def run(
    source: Annotated[str, typer.Argument(help="File, folder or pattern of orders.")],
    home: Home = None,
    mapping: Map = None,
    preset: Preset = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report and the list.")] = Path(),
    personal: Personal = False,
) -> None:
    """From raw orders to a wake-up list in one command: import, profiles, models, report, list."""
    with opened(home) as workspace:
        tell(workspace.import_(source, mapping=mapping_of(mapping), preset=preset))
        done = _demonstration().results(workspace, out, personal=personal)
    OUT.print()
    _lines(done.headlines)
    OUT.print()
    OUT.print(f"Report 报告: {done.report.absolute()}", highlight=False, soft_wrap=True)
    OUT.print(f"List   名单: {done.listing.absolute()} ({done.people:,} people)", highlight=False, soft_wrap=True)
    say_hidden(done.hidden)


def report(
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    charts: Charts = None,
    home: Home = None,
    as_of: AsOf = None,
    before: Annotated[str | None, typer.Option("--before", help="Earlier day to compare with.")] = None,
    language: Annotated[str | None, typer.Option(help="zh or en: shown first.")] = None,
    project: Annotated[str | None, typer.Option(help="Name of the business, for the title.")] = None,
) -> None:
    """One bilingual page that a manager can read, with the charts as PNGs where asked."""
    with opened(home, language=language) as workspace:
        written = workspace.report(
            out, charts_folder=charts, as_of=day_given(as_of, "--as-of"), before=day_given(before, "--before"),
            project=project,
        )  # fmt: skip
    OUT.print(f"Written: {written.page}" + (f" and {len(written.charts)} pictures" if written.charts else ""))
