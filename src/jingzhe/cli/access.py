"""``jingzhe account``, ``key`` and ``audit``: who may come in, and what they did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jingzhe.access import audit as trail
from jingzhe.access.accounts import Accounts, Link
from jingzhe.access.actor import MACHINE
from jingzhe.access.keys import Keys
from jingzhe.access.permissions import PERMISSIONS, ROLES
from jingzhe.cli.console import LOCAL_ADDRESS, OUT, Home, opened
from jingzhe.core.days import day_given
from jingzhe.core.errors import SettingError

if TYPE_CHECKING:
    from jingzhe.app.workspace import Workspace

account = typer.Typer(help="Who may sign in: add, list, disable, link.", no_args_is_help=True)
key = typer.Typer(help="API keys of programs: add, list, revoke.", no_args_is_help=True)
audit = typer.Typer(help="The audit trail: list, verify.", no_args_is_help=True)

BaseUrl = Annotated[
    str, typer.Option("--base-url", help="Address under which people reach the server (else the setting public_url).")
]


def register(app: typer.Typer) -> None:
    """Adds the groups of commands."""
    app.add_typer(account, name="account")
    app.add_typer(key, name="key")
    app.add_typer(audit, name="audit")


def _accounts(workspace: Workspace) -> Accounts:
    return Accounts(workspace.warehouse.state, workspace.warehouse.clock)


def _keys(workspace: Workspace) -> Keys:
    return Keys(workspace.warehouse.state, workspace.warehouse.clock)


@account.command("add")
def account_add(
    email: str,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")],
    name: Annotated[str | None, typer.Option(help="What to call them; else the address.")] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="zh or en.")] = "en",
    base_url: BaseUrl = "",
    home: Home = None,
) -> None:
    """Make an account; prints the link by which its owner sets a password, once."""
    with opened(home) as workspace:
        made, link = _accounts(workspace).invite(MACHINE, email, name=name or email, role=role, language=language)
        base = _base(workspace, base_url)
    OUT.print(f"{made.account_id}  {made.email}  {made.role}", markup=False, highlight=False)
    _tell(link, base)


@account.command("list")
def account_list(home: Home = None) -> None:
    """List accounts."""
    with opened(home) as workspace:
        found = _accounts(workspace).all()
    for one in found:
        notes = [] if one.has_password else ["no password yet"]
        notes += ["disabled"] if one.disabled_at else []
        _line(f"{one.account_id}  {one.email}  {one.role}  {one.name}", notes)


@account.command("disable")
def account_disable(
    email: str,
    enable: Annotated[bool, typer.Option("--enable", help="Open it again instead.")] = False,
    home: Home = None,
) -> None:
    """Shut an account; its sessions end. Keys that it made go on working: see jingzhe key list."""
    with opened(home) as workspace:
        accounts, keys = _accounts(workspace), _keys(workspace)
        changed = accounts.change(MACHINE, accounts.by_email(email).account_id, disabled=not enable)
        working = [one for one in keys.all() if one.made_by == f"account:{changed.account_id}" and not one.revoked_at]
    OUT.print(f"{changed.email} is {'disabled' if changed.disabled_at else 'enabled'}", markup=False, highlight=False)
    if working and changed.disabled_at:
        OUT.print(f"Keys of theirs that go on working: {', '.join(one.key_id for one in working)}", markup=False)


@account.command("link")
def account_link(email: str, base_url: BaseUrl = "", home: Home = None) -> None:
    """Make a link by which an account's owner sets a new password; earlier links no longer work."""
    with opened(home) as workspace:
        accounts = _accounts(workspace)
        link = accounts.link(MACHINE, accounts.by_email(email).account_id)
        base = _base(workspace, base_url)
    _tell(link, base)


@key.command("add")
def key_add(
    name: str,
    scope: Annotated[list[str], typer.Option(help=f"Repeatable: {', '.join(sorted(PERMISSIONS))}.")],
    expires: Annotated[str | None, typer.Option(help="Last day on which it works, YYYY-MM-DD, UTC.")] = None,
    home: Home = None,
) -> None:
    """Make an API key; prints it, once."""
    day = day_given(expires, "--expires")
    until = None if day is None else datetime.combine(day + timedelta(days=1), time(), UTC)
    with opened(home) as workspace:
        made, secret = _keys(workspace).make(MACHINE, name, scope, expires_at=until)
    OUT.print(f"{made.key_id}  {', '.join(made.scopes)}", markup=False, highlight=False)
    typer.echo(secret)
    OUT.print("Keep it now: it is not shown again.")


@key.command("list")
def key_list(home: Home = None) -> None:
    """List API keys, revoked ones too."""
    with opened(home) as workspace:
        found = _keys(workspace).all()
    for one in found:
        notes = [f"last used {one.last_used_day}" if one.last_used_day else "never used", f"made by {one.made_by}"]
        notes += [f"until {one.expires_at:%Y-%m-%d %H:%M} UTC"] if one.expires_at else []
        notes += ["revoked"] if one.revoked_at else []
        _line(f"{one.key_id}  {one.name}  {' '.join(one.scopes)}", notes)


@key.command("revoke")
def key_revoke(key_id: str, home: Home = None) -> None:
    """Revoke an API key, at once and for ever."""
    with opened(home) as workspace:
        _keys(workspace).revoke(MACHINE, key_id)
    OUT.print(f"{key_id} no longer works.", markup=False, highlight=False)


@audit.command("list")
def audit_list(
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this one did: account:…, key:…, machine:cli.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as key.made.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    home: Home = None,
) -> None:
    """Show the audit trail, newest first."""
    with opened(home) as workspace:
        found = trail.rows(workspace.warehouse.state, limit=limit, actor=actor, action=action)
    if as_json:
        for row in found:
            body = {**row.__dict__, "at": row.at.isoformat(), "details": json.loads(row.details)}
            typer.echo(json.dumps(body, ensure_ascii=False))
        return
    for row in found:
        _line(f"{row.number}  {row.at:%Y-%m-%d %H:%M:%S}  {row.actor}  {row.action}  {row.subject}  {row.details}")


@audit.command("verify")
def audit_verify(
    noted: Annotated[str | None, typer.Option(help="NUMBER:HASH of a row, written down elsewhere earlier.")] = None,
    home: Home = None,
) -> None:
    """Follow the whole chain; exit code 1 where a row is not as it was written."""
    number, _, digest = (noted or "").partition(":")
    if noted is not None and not (number.isdecimal() and digest):
        raise SettingError(f"{noted!r} is no row", hint="Write it as 12:3c9f….", option="--noted")
    with opened(home) as workspace:
        found = trail.verify(workspace.warehouse.state, noted=(int(number), digest) if noted else None)
    if found.whole:
        OUT.print(f"The trail is whole 审计记录完整: {found.rows:,} rows.", highlight=False)
        OUT.print(f"Note its end elsewhere: {found.rows}:{found.end}", highlight=False, soft_wrap=True)
        return
    why = f"{found.why.en} {found.why.zh}" if found.why else ""
    OUT.print(f"The trail is broken 审计记录已被破坏 at row {found.broken_at}: {why}", markup=False, highlight=False)
    raise typer.Exit(1)


def _base(workspace: Workspace, given: str) -> str:
    return given or workspace.settings.public_url or LOCAL_ADDRESS


def _tell(link: Link, base_url: str) -> None:
    typer.echo(f"{base_url.rstrip('/')}/#/set-password?token={link.token}")
    OUT.print(f"It works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC. Give it to its owner only.")


def _line(text: str, notes: Sequence[str] = ()) -> None:
    OUT.print(text + (f"  ({', '.join(notes)})" if notes else ""), markup=False, highlight=False, soft_wrap=True)
