"""``jingzhe serve`` and ``drain``: live events and the API."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jingzhe
from jingzhe.cli.console import ASKED, OUT, PORT, Home, opened
from jingzhe.cli.worker_process import PARENT, WorkerProcess
from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import SettingError
from jingzhe.core.progress import Silent

if TYPE_CHECKING:
    from jingzhe.core.settings import Settings
    from jingzhe.server.collector import Collector
    from jingzhe.store.state import State

ROLES = ("all", "collect", "api", "worker")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)
    app.command()(drain)


def serve(
    home: Home = None,
    role: Annotated[
        str, typer.Option(help="all: everything; else one part of it over the same stores: collect, api or worker.")
    ] = "all",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: one that is free.")] = PORT,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url", help="Address under which people reach it, for links (else the setting public_url)."
        ),
    ] = None,
) -> None:
    """Take events from SDKs, bring them into the project, and answer over REST, until it is told to end."""
    if role not in ROLES:
        raise SettingError(f"There is no role {role!r}", hint=f"One of: {', '.join(ROLES)}.", option="--role")
    if role == "worker":
        _work(home)
    else:
        _serve(home, role, host, port, base_url)


def drain(home: Home = None) -> None:
    """Bring what waits in the inbox into the lake, then stop."""
    from jingzhe.app.collecting import drain_of, open_inbox  # noqa: PLC0415 - loads the identity graph
    from jingzhe.app.tidying import tidy  # noqa: PLC0415

    events = duplicates = quarantined = 0
    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        work = drain_of(workspace, inbox)
        while (done := work.run()).rows:
            events, duplicates = events + done.calls, duplicates + done.duplicates
            quarantined += done.quarantined
        tidy(workspace)
    OUT.print(f"{events:,} events drained, {duplicates:,} known before, {quarantined:,} in quarantine.")


def _serve(home: Path | None, role: str, host: str, port: int, base_url: str | None) -> None:
    # Not the workspace: the API opens it when events are taken already.
    from jingzhe.app.tracing import start_tracing  # noqa: PLC0415 - a server loads more than other commands
    from jingzhe.core.log import log_to_stderr  # noqa: PLC0415
    from jingzhe.core.settings import load  # noqa: PLC0415
    from jingzhe.server.serving import Listen, site  # noqa: PLC0415
    from jingzhe.server.serving import serve as serve_app  # noqa: PLC0415
    from jingzhe.server.short_links import short_links  # noqa: PLC0415
    from jingzhe.store.state import State  # noqa: PLC0415
    from jingzhe.store.state.seal_record import seal_with  # noqa: PLC0415

    own, log, has_api = load(home, **ASKED), log_to_stderr(), role != "collect"
    listen = Listen(host, port).settled()
    worker = WorkerProcess(home, log) if role == "all" else None
    with ExitStack() as held:
        state = held.enter_context(State.open(own.resolved_state_url, clock=SystemClock()))
        seal_with(state, own.key_file)
        held.callback(start_tracing(own.trace_endpoint, log, role))
        collect = None if role == "api" else _collector(held, own, state, guarded=True)

        def started() -> None:
            if worker is not None:
                worker.start()
            log.info("server started", role=role, address=listen.url)
            if has_api:
                _welcome(state, base_url or own.public_url or listen.url)

        if worker is not None:
            held.callback(worker.end)
        workspace = (lambda: jingzhe.open(home, **ASKED)) if has_api else None
        links = short_links(collect, state, own, clock=SystemClock(), log=log) if collect else None
        app = site(
            collect=collect, workspace=workspace, log=log, started=started, links=links, works=worker is not None
        )
        serve_app(app, listen)


def _collector(held: ExitStack, own: Settings, state: State, **how: Any) -> Collector:
    from jingzhe.server.admission import Limits  # noqa: PLC0415
    from jingzhe.server.serving import collector  # noqa: PLC0415
    from jingzhe.store.state.inbox import Inbox  # noqa: PLC0415

    limits = Limits(
        requests_per_second=own.collect_requests_per_second,
        inbox_bytes=own.collect_inbox_mb * 10**6,
        free_bytes=own.collect_free_mb * 10**6,
    )
    inbox = held.enter_context(Inbox.open(own.resolved_inbox_url, state.sealer))
    return collector(state, inbox, clock=SystemClock(), limits=limits, **how)


def _welcome(state: State, base_url: str) -> None:
    """Makes the first owner where nobody has an account, and prints the link that lets them in."""
    from jingzhe.access.accounts import FIRST_EMAIL, Accounts  # noqa: PLC0415
    from jingzhe.access.actor import MACHINE  # noqa: PLC0415

    link = Accounts(state, SystemClock()).first_administrator(MACHINE)
    if link is None:
        return
    typer.echo(f"Nobody has an account yet. Set the password of {FIRST_EMAIL} here, once 首次使用,请设置所有者密码:")
    typer.echo(f"{base_url.rstrip('/')}/#/set-password?token={link.token}")
    typer.echo(
        f"It works until {link.expires_at:%Y-%m-%d %H:%M} UTC; another one: jingzhe account link {FIRST_EMAIL}",
    )


def _work(home: Path | None) -> None:
    from jingzhe.app.collecting import drain_of, open_inbox  # noqa: PLC0415 - loads the identity graph
    from jingzhe.app.privacy_jobs import take_up  # noqa: PLC0415
    from jingzhe.app.tracing import start_tracing  # noqa: PLC0415
    from jingzhe.core.log import log_to_stderr  # noqa: PLC0415
    from jingzhe.outgoing.courier import Courier  # noqa: PLC0415
    from jingzhe.worker.loop import Worker  # noqa: PLC0415

    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=_end_with_parent, args=(ending,), daemon=True).start()
    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        workspace.progress = Silent()
        log = log_to_stderr()
        courier = Courier(workspace.warehouse, log, private=workspace.settings.webhook_private)
        beside = (courier.run, partial(take_up, workspace, log))
        end_tracing = start_tracing(workspace.settings.trace_endpoint, log, "worker")
        try:
            Worker(workspace, drain_of(workspace, inbox), log, ending=ending, beside=beside).run()
        finally:
            end_tracing()


def _end_with_parent(ending: threading.Event) -> None:
    """Ends a worker whose server was killed, were it before it had begun: nobody would end it otherwise."""
    server = os.environ.get(PARENT)
    while server is not None and not ending.wait(1.0):
        if str(os.getppid()) != server:
            ending.set()
