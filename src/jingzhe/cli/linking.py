"""``jingzhe link``: proposals for people who may be one, and what is decided about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv as pacsv
import typer

from jingzhe.access.actor import MACHINE
from jingzhe.cli.console import OUT, Home, opened, show
from jingzhe.core.errors import SettingError

link = typer.Typer(no_args_is_help=True, help="Find people who may be one, and decide about each.")
Who = Annotated[str, typer.Option("--who", help="Who decides; kept for the audit.")]
Why = Annotated[str, typer.Option("--why", help="The reason; kept for the audit.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(link, name="link")


@link.command()
def propose(
    file: Annotated[Path, typer.Argument(help="CSV with one person a line.")],
    column: Annotated[list[str], typer.Option(help="What to compare: surname=name, dob=birthday. Repeatable.")],
    key: Annotated[list[str] | None, typer.Option(help="Columns with keys: card_no=till_card. Repeatable.")] = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least probability of a proposal.")] = 0.5,
    home: Home = None,
) -> None:
    """Propose who may be one person; nothing is applied before it is accepted."""
    from jingzhe.app import linking  # noqa: PLC0415 - loads the identity graph

    columns, keys = _pairs(column, "--column"), _pairs(key or [], "--key")
    as_text = pacsv.ConvertOptions(column_types=dict.fromkeys((*columns, *keys), pa.string()), strings_can_be_null=True)
    try:
        records = pacsv.read_csv(file, convert_options=as_text)
    except (OSError, pa.ArrowInvalid) as error:
        raise SettingError(f"The list cannot be read: {error}", file=file) from error
    with opened(home) as workspace:
        found = linking.propose(workspace, records, columns, source=file.name, keys=keys, threshold=threshold)
    if found.left_out:
        OUT.print(f"{found.left_out:,} lines were left out: they name people who were erased.")
    OUT.print(f"{len(found.waiting):,} proposals wait for a decision. See them: jingzhe link list")


@link.command("list")
def list_(
    home: Home = None,
    status: Annotated[str, typer.Option(help="proposed, accepted or rejected.")] = "proposed",
) -> None:
    """List proposals, the surest first."""
    from jingzhe.identity import linking  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        found = linking.listed(workspace.warehouse.state, status=status)
    if not found:
        OUT.print(f"There is nothing {status}.")
        return
    evidence = ["; ".join(f"{name}: {a or '–'} / {b or '–'}" for name, (a, b) in one.evidence.items()) for one in found]
    table = {
        "person_a": [str(one.person_a) for one in found],
        "person_b": [str(one.person_b) for one in found],
        "probability": [one.probability for one in found],
        "evidence": evidence,
    }
    show(pa.table(table), "Proposals 待确认的同一人")


@link.command()
def accept(person_a: int, person_b: int, who: Who, why: Why, home: Home = None) -> None:
    """Make the two people of a proposal one; can be undone."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        person = Identities(workspace).accept(MACHINE, person_a, person_b, why, who=who)
    OUT.print(f"They are one person now: {person}.")


@link.command()
def reject(person_a: int, person_b: int, who: Who, why: Why, home: Home = None) -> None:
    """Say that a proposal is wrong; it is not made again."""
    from jingzhe.app.identities import Identities  # noqa: PLC0415 - loads the identity graph

    with opened(home) as workspace:
        Identities(workspace).reject(MACHINE, person_a, person_b, why, who=who)
    OUT.print("Noted.")


def _pairs(given: list[str], option: str) -> dict[str, str]:
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise SettingError(f"{wrong[0]!r} is no pair", hint="Write it as column=sort.", option=option)
    return dict(pair.split("=", 1) for pair in given)
