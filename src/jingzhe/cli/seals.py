"""``jingzhe seal``: the keys that seal personal data, and which fields they seal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from jingzhe.access.actor import MACHINE
from jingzhe.cli.console import ASKED, OUT, Home, opened
from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.collect.personal import Where

_seal = typer.Typer(help="The keys that seal personal data, and which fields are personal.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(_seal, name="seal")


@_seal.command("show")
def seal_show(home: Home = None) -> None:
    """Say where the keys stand, which there are, and which fields are personal."""
    from jingzhe.app.seals import standing  # noqa: PLC0415 - loads accounts and webhooks
    from jingzhe.collect.personal import names_of  # noqa: PLC0415

    with opened(home) as workspace:
        found, names = standing(workspace), names_of(workspace.warehouse.state).names
        file = workspace.settings.key_file.path
    OUT.print(f"Key file 密钥文件: {file}", markup=False, highlight=False, soft_wrap=True)
    for place, key in enumerate(found.keys, 1):
        what = "seals and opens" if place == len(found.keys) else "opens"
        OUT.print(f"  {key.fingerprint}  made {key.made_at}  {what}", markup=False, highlight=False)
    for fingerprint in found.record.lost:
        OUT.print(f"  {fingerprint}  given up", markup=False, highlight=False)
    for where, told in (("anywhere", "Sealed in any event"), ("person", "Sealed among what is said of a person")):
        listed = " ".join(name for name, one in names.items() if one == where)
        OUT.print(f"{told}: {listed}", markup=False, highlight=False, soft_wrap=True)


@_seal.command("rotate")
def seal_rotate(home: Home = None) -> None:
    """Add a key that seals from now on; older ones go on opening what they sealed."""
    from jingzhe.app.seals import rotate  # noqa: PLC0415

    with opened(home) as workspace:
        key, file = rotate(workspace, MACHINE), workspace.settings.key_file.path
    OUT.print(f"{key.fingerprint} seals from now on.", markup=False, highlight=False)
    OUT.print(f"Copy {file} to its safe place and to every other host, then start the servers again.", markup=False,
              highlight=False, soft_wrap=True)  # fmt: skip


@_seal.command("name")
def seal_name(
    name: Annotated[str, typer.Argument(help="Name of a field; *email for all that end like it.")],
    where: Annotated[str, typer.Argument(help="anywhere, person (only among what is said of a person) or nowhere.")],
    home: Home = None,
) -> None:
    """Say whether a field of events is personal; holds for what comes from now on."""
    from jingzhe.app.seals import personal_name  # noqa: PLC0415

    with opened(home) as workspace:
        written = personal_name(workspace, MACHINE, name, cast("Where", where))  # which checks it
    OUT.print(f"{written}: {where}", markup=False, highlight=False)


@_seal.command("give-up")
def seal_give_up(
    sure: Annotated[bool, typer.Option("--for-good", help="Yes: what was sealed with them is lost for ever.")] = False,
    home: Home = None,
) -> None:
    """Go on without keys that are lost: what only they open is removed, or stays closed for ever."""
    from jingzhe.app.seals import give_up  # noqa: PLC0415
    from jingzhe.core.settings import load  # noqa: PLC0415

    if not sure:
        raise SettingError(
            "This cannot be undone: events that wait, refused events and messages that wait are removed where only "
            "a lost key opens them",
            hint="Look for a copy of the key file first. If there is none: jingzhe seal give-up --for-good",
        )
    done = give_up(load(home, **ASKED), SystemClock(), MACHINE)
    OUT.print(f"Given up: {', '.join(done.fingerprints)}", markup=False, highlight=False)
    OUT.print(f"{done.requests:,} requests that waited are lost.", highlight=False)
    for what, rows in done.rows.items():
        OUT.print(f"  {what:32} {rows:>10,} rows", highlight=False)
