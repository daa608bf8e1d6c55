"""``jingzhe consent``, ``suppress`` and ``person``: what people allowed, and their own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from jingzhe.access import audit
from jingzhe.access.actor import MACHINE
from jingzhe.cli.asking import person as show_person
from jingzhe.cli.console import OUT, Home, opened
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.app.workspace import Workspace


class _ShowsFirst(TyperGroup):
    """``jingzhe person C00017`` shows a person; a command that is named goes before."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes what is no command for a key to be shown."""
        if args and args[0] not in self.commands and args[0] not in {"--help", "-h"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


consent = typer.Typer(help="What people allowed: list, grant, withdraw, check.", no_args_is_help=True)
suppress = typer.Typer(help="To whom nothing is sent: add, list, check, lift.", no_args_is_help=True)
person = typer.Typer(
    help="One person: show, export, erase, certificate, readmit.", no_args_is_help=True, cls=_ShowsFirst
)
KeyOf = Annotated[str, typer.Argument(help="A key of the person, as the source writes it.")]
Kind = Annotated[str, typer.Option("--kind", help="Kind of the key: email, login …; number for the person's number.")]
Channel = Annotated[str, typer.Option("--channel", help="email, sms, push …")]
Purpose = Annotated[str, typer.Option("--purpose", help="What for, such as marketing.")]
Source = Annotated[str, typer.Option("--source", help="Where it was said; kept with it.")]
Why = Annotated[str, typer.Option("--why", help="The reason; kept for the audit.")]


def register(app: typer.Typer) -> None:
    """Adds the groups of commands."""
    person.command("show")(show_person)
    app.add_typer(consent, name="consent")
    app.add_typer(suppress, name="suppress")
    app.add_typer(person, name="person")


def _found(workspace: Workspace, key: str, kind: str) -> int:
    from jingzhe.app.holdings import find_person  # noqa: PLC0415 - loads the identity graph

    return find_person(workspace, key, kind)


@consent.command("list")
def consent_list(key: KeyOf, kind: Kind = "", home: Home = None) -> None:
    """List what a person said, the oldest first."""
    from jingzhe.consent.words import words_of  # noqa: PLC0415

    with opened(home) as workspace:
        found = words_of(workspace.warehouse.state, _found(workspace, key, kind))
    for one in found:
        ends = f", until {one.expires_at:%Y-%m-%d}" if one.expires_at else ""
        _line(f"{one.said_at:%Y-%m-%d %H:%M}  {one.status:9}  {one.channel}  {one.purpose}  {one.source}{ends}")
    if not found:
        OUT.print("Nothing was ever said.")


@consent.command("grant")
def consent_grant(
    key: KeyOf,
    channel: Channel,
    source: Source,
    purpose: Purpose = "marketing",
    text_version: Annotated[str, typer.Option(help="Version of the text that was shown.")] = "",
    kind: Kind = "",
    home: Home = None,
) -> None:
    """Record that a person consented."""
    _say(home, key, kind, {"status": "granted", "channel": channel, "purpose": purpose, "source": source}, text_version)


@consent.command("withdraw")
def consent_withdraw(
    key: KeyOf, source: Source, channel: Channel = "*", purpose: Purpose = "*", kind: Kind = "", home: Home = None
) -> None:
    """Record that a person withdrew a consent; * for every channel, every purpose."""
    _say(home, key, kind, {"status": "withdrawn", "channel": channel, "purpose": purpose, "source": source})


@consent.command("personalise")
def consent_personalise(
    key: KeyOf, answer: Literal["yes", "no"], source: Source, kind: Kind = "", home: Home = None
) -> None:
    """Record whether automated decisions may be made about a person (PIPL art. 24)."""
    status = "granted" if answer == "yes" else "withdrawn"
    _say(home, key, kind, {"status": status, "channel": "*", "purpose": "personalisation", "source": source})


def _say(home: Path | None, key: str, kind: str, said: dict[str, Any], text_version: str = "") -> None:
    from jingzhe.consent.words import Evidence, Word, checked, write  # noqa: PLC0415

    with opened(home) as workspace:
        warehouse, now = workspace.warehouse, workspace.warehouse.clock.now()
        number = _found(workspace, key, kind)
        evidence = Evidence(text_version=text_version)
        word = checked(Word(number, said_at=now, actor=MACHINE.label, evidence=evidence, **said), now)
        with warehouse.state.writing() as connection:
            write(connection, [word], now)
            details = {"channel": word.channel, "purpose": word.purpose}
            audit.record(connection, now, MACHINE, f"consent.{word.status}", f"person:{number}", details=details)
    OUT.print(f"Noted: {said['status']}.")


@consent.command("check")
def consent_check(
    key: KeyOf, channel: Channel, purpose: Purpose = "marketing", kind: Kind = "", home: Home = None
) -> None:
    """Say whether something may be sent; exit code 1 where not."""
    from jingzhe.consent.asking import REASONS, may  # noqa: PLC0415

    with opened(home) as workspace:
        number, now = _found(workspace, key, kind), workspace.warehouse.clock.now()
        found = may(workspace.warehouse.state, number, channel, purpose, at=now)
    said = REASONS[found.reason]
    _line(f"{'yes 可以' if found.allowed else 'no 不可以'}: {said.en} {said.zh}")
    if not found.allowed:
        raise typer.Exit(1)


@suppress.command("add")
def suppress_add(
    source: Source,
    address: Annotated[str | None, typer.Option(help="The address; kept as a hash.")] = None,
    key: Annotated[str | None, typer.Option("--person", help="A key of the person, in place of an address.")] = None,
    channel: Channel = "*",
    topic: Annotated[str, typer.Option(help="Purpose that is stopped; * for all.")] = "*",
    kind: Kind = "",
    home: Home = None,
) -> None:
    """Suppress an address (with --channel) or a person."""
    from jingzhe.consent import suppressions  # noqa: PLC0415
    from jingzhe.consent.addresses import hash_of  # noqa: PLC0415

    if address is not None and channel == "*":
        raise SettingError("An address belongs to a channel", hint="Add --channel email, or sms.", option="--channel")
    with opened(home) as workspace:
        state, now = workspace.warehouse.state, workspace.warehouse.clock.now()
        hashed = None if address is None else hash_of(state, channel, address)
        number = None if key is None else _found(workspace, key, kind)
        one = suppressions.checked(
            suppressions.Suppression("by_hand", now, hashed, number, channel, topic, "all", source, MACHINE.label)
        )
        with state.writing() as connection:
            made = suppressions.add(connection, one, now)
            details = {"suppression": str(made.suppression_id), "reason": "by_hand"}
            subject = f"person:{number}" if number else ""
            audit.record(connection, now, MACHINE, "suppression.added", subject, details=details)
    OUT.print(f"Suppressed: {made.suppression_id}", highlight=False)


@suppress.command("list")
def suppress_list(home: Home = None) -> None:
    """List suppressions; addresses are shown as their hash."""
    from jingzhe.consent.suppressions import listed  # noqa: PLC0415

    with opened(home) as workspace:
        after, now = 0, workspace.warehouse.clock.now()
        while found := listed(workspace.warehouse.state, after=after, limit=500):
            for one in found:
                whom = one.address or f"person {one.person_id}"
                mark = "" if one.holds(now) else "  (over)"
                _line(f"{one.suppression_id}  {one.reason}  {one.channel}  {one.topic}  {whom}  {one.source}{mark}")
            after = found[-1].suppression_id or 0


@suppress.command("check")
def suppress_check(address: str, channel: Channel, home: Home = None) -> None:
    """List what stands against an address."""
    from jingzhe.consent.addresses import hash_of  # noqa: PLC0415
    from jingzhe.consent.suppressions import listed  # noqa: PLC0415

    with opened(home) as workspace:
        state, now = workspace.warehouse.state, workspace.warehouse.clock.now()
        found = [one for one in listed(state, address=hash_of(state, channel, address)) if one.holds(now)]
    for one in found:
        _line(f"{one.suppression_id}  {one.reason}  {one.channel}  {one.topic}  {one.begun_at:%Y-%m-%d}")
    if not found:
        OUT.print("Nothing stands against it.")


@suppress.command("lift")
def suppress_lift(number: int, why: Why, home: Home = None) -> None:
    """Lift a suppression; it stays in the list with the reason."""
    from jingzhe.consent.suppressions import lift  # noqa: PLC0415

    with opened(home) as workspace:
        now = workspace.warehouse.clock.now()
        with workspace.warehouse.state.writing() as connection:
            lift(connection, number, by=MACHINE.label, why=why, now=now)
            audit.record(connection, now, MACHINE, "suppression.lifted", "", details={"suppression": str(number)})
    OUT.print("Lifted.")


@person.command("export")
def person_export(
    key: KeyOf,
    out: Annotated[Path, typer.Option("--out", help="The zip file to write.")],
    kind: Kind = "",
    home: Home = None,
) -> None:
    """Write everything that is held of a person into one zip: JSON, and Parquet by table."""
    from jingzhe.app.privacy_jobs import export_to  # noqa: PLC0415

    with opened(home) as workspace:
        held, _ = export_to(workspace, _found(workspace, key, kind), out)
        with workspace.warehouse.state.writing() as connection:
            subject = f"person:{held.subject.person_id}"
            audit.record(connection, held.made_at, MACHINE, "person.exported", subject)
    rows = sum(table.num_rows for table in held.tables.values())
    OUT.print(f"Written: {out} ({rows:,} rows of the lake)", highlight=False, soft_wrap=True)


@person.command("erase")
def person_erase(
    key: KeyOf,
    why: Why,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the certificate as JSON.")] = None,
    kind: Kind = "",
    home: Home = None,
) -> None:
    """Erase a person, for good; prints the certificate. Nothing of them comes in again."""
    from jingzhe.app.certificates import certificate, certificate_text  # noqa: PLC0415
    from jingzhe.app.privacy import Erasures  # noqa: PLC0415

    with opened(home) as workspace:
        number = _found(workspace, key, kind)
        if not yes:
            typer.confirm(f"Erase person {number} for good?", abort=True)
        erasures = Erasures(workspace)
        done = erasures.run(erasures.ask(number, MACHINE, why).erasure_id)
    if out is not None:
        out.write_text(json.dumps(certificate(done), ensure_ascii=False, indent=2), encoding="utf-8")
    typer.echo(certificate_text(done), nl=False)


@person.command("erasures")
def person_erasures(
    home: Home = None,
    resume: Annotated[bool, typer.Option("--resume", help="Finish those that were interrupted.")] = False,
) -> None:
    """List erasures, the latest first."""
    from jingzhe.app.privacy import Erasures  # noqa: PLC0415

    with opened(home) as workspace:
        erasures = Erasures(workspace)
        if resume:
            erasures.take_up()
        found = erasures.all()
    for one in found:
        state = f"whole since {one.done_at:%Y-%m-%d %H:%M}" if one.done_at else f"under way: {one.stage}"
        _line(f"{one.erasure_id}  person {one.person_id}  {one.asked_at:%Y-%m-%d %H:%M}  {state}  {one.why}")


@person.command("certificate")
def person_certificate(
    erasure_id: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    home: Home = None,
) -> None:
    """Print the certificate of an erasure."""
    from jingzhe.app.certificates import certificate, certificate_text  # noqa: PLC0415
    from jingzhe.app.privacy import Erasures  # noqa: PLC0415

    with opened(home) as workspace:
        found = Erasures(workspace).get(erasure_id)
    typer.echo(json.dumps(certificate(found), ensure_ascii=False) if as_json else certificate_text(found).rstrip())


@person.command("readmit")
def person_readmit(
    value: Annotated[str, typer.Argument(help="A key that the person had.")],
    kind: Annotated[str, typer.Option("--kind", help="Its kind: email, phone, login, customer …")],
    why: Why,
    home: Home = None,
) -> None:
    """Let somebody who was erased come in again, because they came back; what was erased stays gone."""
    from jingzhe.app.privacy import Erasures  # noqa: PLC0415

    with opened(home) as workspace:
        gone = Erasures(workspace).readmit(kind, value, MACHINE, why)
    OUT.print(f"{gone} tombstones taken down.")


def _line(text: str) -> None:
    OUT.print(text, markup=False, highlight=False, soft_wrap=True)
