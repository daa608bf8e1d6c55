"""``jingzhe code`` and ``jingzhe webhook``: short links with their QR images, and who is told what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jingzhe.access.actor import MACHINE
from jingzhe.cli.console import LOCAL_ADDRESS, OUT, Home, opened
from jingzhe.collect.wire.channels import CHANNELS
from jingzhe.core.days import day_given
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.app.workspace import Workspace
    from jingzhe.links.codes import Codes
    from jingzhe.outgoing.deliveries import Deliveries
    from jingzhe.outgoing.webhooks import Webhooks

code = typer.Typer(help="Trackable codes and short links.", no_args_is_help=True)
webhook = typer.Typer(help="Outgoing webhooks: third systems are told what happens.", no_args_is_help=True)
BaseUrl = Annotated[
    str, typer.Option("--base-url", help="Address of the links (else the settings links_url, public_url).")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(code, name="code")
    app.add_typer(webhook, name="webhook")


# ---- codes


@code.command("add")
def code_add(
    name: Annotated[str, typer.Argument(help="For people.")],
    target: Annotated[str, typer.Argument(help="https://…, or the page of a mini-program with --app-id.")],
    channel: Annotated[str, typer.Option(help=f"One of: {', '.join(CHANNELS)}.")] = "qr_code",
    placement: Annotated[str, typer.Option(help="Where it hangs: store poster, receipt …")] = "",
    campaign: Annotated[str, typer.Option(help="Name of the campaign.")] = "",
    member: Annotated[str, typer.Option(help="Of a referral: id of the member who recommends.")] = "",
    app_id: Annotated[str, typer.Option(help="Of a WeChat mini-program.")] = "",
    utm: Annotated[list[str] | None, typer.Option(help="Repeatable: source=poster, medium=qr …")] = None,
    carry_visitor: Annotated[bool, typer.Option(help="Hand the visitor's id to the target as ajs_aid.")] = False,
    expires: Annotated[str | None, typer.Option(help="Last day on which it works, YYYY-MM-DD, UTC.")] = None,
    base_url: BaseUrl = "",
    home: Home = None,
) -> None:
    """Make a code; prints its short link."""
    from jingzhe.links.codes import NewCode  # noqa: PLC0415 - loads the stores

    pairs = dict(_pair(one) for one in utm or ())
    wish = NewCode(name, target, channel, placement, campaign, member, app_id, pairs, carry_visitor, _until(expires))
    with opened(home) as workspace:
        made = _codes(workspace).add(MACHINE, wish)
        typer.echo(made.url(_base(workspace, base_url)))


@code.command("list")
def code_list(base_url: BaseUrl = "", home: Home = None) -> None:
    """List codes with what came of them, the latest first."""
    from jingzhe.links.figures import CodeFigures, figures  # noqa: PLC0415

    with opened(home) as workspace:
        found = _codes(workspace).all()
        base = _base(workspace, base_url)
        known = {one.code: one for one in figures(workspace.warehouse)}
    for one in found:
        came = known.get(one.slug, CodeFigures(one.slug))
        notes = [
            f"{came.scans:,} scans, {came.visitors:,} visitors, {came.identified:,} known, {came.purchases:,} orders"
        ]
        notes += [f"{came.bot_scans:,} by bots"] if came.bot_scans else []
        notes += [f"until {one.expires_at:%Y-%m-%d %H:%M} UTC"] if one.expires_at else []
        notes += ["disabled"] if one.disabled_at else []
        _line(f"{one.url(base)}  {one.name}  {one.channel}", notes)


@code.command("image")
def code_image(
    slug: Annotated[str, typer.Argument(help="Last part of the short link.")],
    out: Annotated[Path, typer.Argument(help="The file: .png or .svg.")],
    level: Annotated[str, typer.Option(help="How much may be damaged: L 7 %, M 15 %, Q 25 %, H 30 %.")] = "M",
    scale: Annotated[int, typer.Option(help="Pixels of a module.")] = 8,
    quiet: Annotated[int, typer.Option(help="Width of the quiet zone, modules.")] = 4,
    label: Annotated[str, typer.Option(help="Line under the code.")] = "",
    base_url: BaseUrl = "",
    home: Home = None,
) -> None:
    """Draw the QR code of a short link."""
    from jingzhe.links import images  # noqa: PLC0415 - loads drawing

    ending = out.suffix.lower()
    if ending not in {".png", ".svg"}:
        raise SettingError(f"No image ends with {ending!r}", hint="Name the file .png or .svg.")
    known = next((one for one in images.LEVELS if one == level.upper()), None)
    if known is None:
        raise SettingError(f"There is no level {level!r}", hint=f"One of: {', '.join(images.LEVELS)}.")
    look = images.Look(known, scale, quiet, label)
    with opened(home) as workspace:
        found = _codes(workspace).get(slug)
        url = found.url(_base(workspace, base_url))
    if ending == ".png":
        out.write_bytes(images.png(url, look))
    else:
        out.write_text(images.svg(url, look, title=found.name), encoding="utf-8")
    _line(f"{out}  {url}")


@code.command("disable")
def code_disable(slug: str, home: Home = None) -> None:
    """Let a code lead nowhere from now on; its scans stay."""
    with opened(home) as workspace:
        _codes(workspace).disable(MACHINE, slug)
    _line(f"{slug} leads nowhere any more.")


# ---- webhooks


@webhook.command("add")
def webhook_add(
    name: Annotated[str, typer.Argument(help="For people.")],
    url: Annotated[str, typer.Argument(help="Where messages go, https://…")],
    kind: Annotated[list[str], typer.Option(help="Repeatable: event.received, person.state_changed …")],
    activity: Annotated[list[str] | None, typer.Option(help="Repeatable: only events of this activity.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Repeatable: only changes into this state.")] = None,
    personal: Annotated[bool, typer.Option(help="Send what clients said of people too.")] = False,
    home: Home = None,
) -> None:
    """Make a webhook; prints its secret, once."""
    from jingzhe.outgoing.webhooks import NewWebhook  # noqa: PLC0415 - loads the stores

    wish = NewWebhook(name, url, tuple(kind), tuple(activity or ()), tuple(state or ()), personal)
    with opened(home) as workspace:
        made, secret = _webhooks(workspace).add(MACHINE, wish)
    _line(f"{made.webhook_id}  {' '.join(made.kinds)}")
    typer.echo(secret)
    OUT.print("Keep it now: it is not shown again.")


@webhook.command("list")
def webhook_list(home: Home = None) -> None:
    """List webhooks, disabled ones too."""
    with opened(home) as workspace:
        found = _webhooks(workspace).all()
        waiting = {one.webhook_id: _deliveries(workspace).waiting(one.webhook_id) for one in found}
    for one in found:
        notes = [f"{waiting[one.webhook_id]:,} waiting"] if waiting[one.webhook_id] else []
        notes += [f"last took a message {one.delivered_at:%Y-%m-%d %H:%M} UTC"] if one.delivered_at else []
        notes += [f"off: {one.disabled_why}"] if one.disabled_at else []
        _line(f"{one.webhook_id}  {one.name}  {one.url}  {' '.join(one.kinds)}", notes)


@webhook.command("test")
def webhook_test(webhook_id: str, home: Home = None) -> None:
    """Send a test message at once; exit code 1 where the receiver does not take it."""
    from jingzhe.core.log import log_to_stderr  # noqa: PLC0415
    from jingzhe.outgoing.courier import Courier  # noqa: PLC0415

    with opened(home) as workspace:
        courier = Courier(workspace.warehouse, log_to_stderr(), private=workspace.settings.webhook_private)
        try:
            reply = courier.ping(webhook_id)
        finally:
            courier.close()
    _line(f"{reply.status or 'no answer'}  {reply.text}")
    if not reply.took_it:
        raise typer.Exit(1)


@webhook.command("disable")
def webhook_disable(webhook_id: str, home: Home = None) -> None:
    """Have a webhook told nothing more; what waits for it waits on."""
    with opened(home) as workspace:
        _webhooks(workspace).disable(MACHINE, webhook_id)
    _line(f"{webhook_id} is told nothing more.")


@webhook.command("enable")
def webhook_enable(webhook_id: str, home: Home = None) -> None:
    """Have a webhook told again: what waits for it, and what happens from now on."""
    with opened(home) as workspace:
        _webhooks(workspace).enable(MACHINE, webhook_id)
    _line(f"{webhook_id} is told again.")


@webhook.command("rotate")
def webhook_rotate(webhook_id: str, home: Home = None) -> None:
    """Give a webhook a new secret, printed once; the old one signs too for 24 hours."""
    with opened(home) as workspace:
        _, secret = _webhooks(workspace).rotate(MACHINE, webhook_id)
    typer.echo(secret)
    OUT.print("Keep it now: it is not shown again.")


@webhook.command("log")
def webhook_log(
    webhook_id: str,
    status: Annotated[str, typer.Option(help="Only: waiting, delivered or failed.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    home: Home = None,
) -> None:
    """Show messages to a webhook with the receiver's last answers, the latest first."""
    with opened(home) as workspace:
        _webhooks(workspace).get(webhook_id)
        found = _deliveries(workspace).all(webhook_id, status=status, limit=limit)
    for one in found:
        told = f"{one.answer_status or '-'} {one.answer}".strip()
        notes = [f"{one.tries} tries"] + ([f"next {one.next_at:%Y-%m-%d %H:%M:%S}"] if one.next_at else [])
        _line(f"{one.delivery_id}  {one.created_at:%Y-%m-%d %H:%M:%S}  {one.kind}  {one.status}  {told}", notes)


@webhook.command("replay")
def webhook_replay(
    webhook_id: str,
    delivery: Annotated[str, typer.Option(help="One message, msg_…")] = "",
    since: Annotated[str | None, typer.Option(help="Messages of this day and later, YYYY-MM-DD, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day of the messages, YYYY-MM-DD, UTC.")] = None,
    home: Home = None,
) -> None:
    """Send messages once more, under their own ids."""
    first, last = day_given(since, "--since"), _until(until, "--until")
    begun = None if first is None else datetime.combine(first, time(), UTC)
    with opened(home) as workspace:
        _webhooks(workspace).get(webhook_id)
        count = _deliveries(workspace).replay(MACHINE, webhook_id, delivery_id=delivery, since=begun, until=last)
    _line(f"{count:,} messages are sent once more.")


def _codes(workspace: Workspace) -> Codes:
    from jingzhe.links.codes import Codes  # noqa: PLC0415 - loads the stores

    own = workspace.warehouse
    return Codes(own.state, own.clock, private=workspace.settings.links_private)


def _webhooks(workspace: Workspace) -> Webhooks:
    from jingzhe.outgoing.webhooks import Webhooks  # noqa: PLC0415

    own = workspace.warehouse
    return Webhooks(own.state, own.clock, private=workspace.settings.webhook_private)


def _deliveries(workspace: Workspace) -> Deliveries:
    from jingzhe.outgoing.deliveries import Deliveries  # noqa: PLC0415

    return Deliveries(workspace.warehouse.state, workspace.warehouse.clock)


def _base(workspace: Workspace, given: str) -> str:
    return given or workspace.settings.resolved_links_url or LOCAL_ADDRESS


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise SettingError(f"{text!r} is no UTM parameter", hint="Write it as source=poster.", option="--utm")
    return name.removeprefix("utm_"), value


def _until(text: str | None, option: str = "--expires") -> datetime | None:
    day = day_given(text, option)
    return None if day is None else datetime.combine(day + timedelta(days=1), time(), UTC)


def _line(text: str, notes: Sequence[str] = ()) -> None:
    OUT.print(text + (f"  ({', '.join(notes)})" if notes else ""), markup=False, highlight=False, soft_wrap=True)
