"""``jingzhe serve``, ``drain``, ``source``: live events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from jingzhe.cli.console import OUT, Home, opened
from jingzhe.collect.write_keys import GUESSED, KINDS, add_source, list_sources, revoke_keys
from jingzhe.core.clock import SystemClock
from jingzhe.core.errors import SettingError
from jingzhe.core.progress import Silent

ROLES = ("all", "collect", "worker")
_END_SECONDS = 30
_sources = typer.Typer(help="Sources of live events and their write keys.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)
    app.command()(drain)
    _sources.command("add")(source_add)
    _sources.command("list")(source_list)
    _sources.command("revoke")(source_revoke)
    app.add_typer(_sources, name="source")


def serve(
    home: Home = None,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "all",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8090,
) -> None:
    """Take events from SDKs and bring them into the project, until it is told to end."""
    if role not in ROLES:
        raise SettingError(f"There is no role {role!r}", hint=f"One of: {', '.join(ROLES)}.")
    if role == "worker":
        _work(home)
        return
    worker = _start_worker(home) if role == "all" else None
    try:
        _collect(home, host, port)
    finally:
        if worker is not None:
            _end(worker)


def drain(home: Home = None) -> None:
    """Bring what waits in the inbox into the lake, then stop."""
    from jingzhe.app.collecting import drain_of, open_inbox  # noqa: PLC0415 - loads the identity graph

    events = duplicates = quarantined = 0
    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        work = drain_of(workspace, inbox)
        while (done := work.run()).rows:
            events, duplicates = events + done.calls, duplicates + done.duplicates
            quarantined += done.quarantined
    OUT.print(f"{events:,} events drained, {duplicates:,} known before, {quarantined:,} in quarantine.")


def source_add(
    name: Annotated[str, typer.Argument(help="What its events carry as their source.")],
    home: Home = None,
    kind: Annotated[str, typer.Option(help=f"Its channel: {', '.join(KINDS)}.")] = GUESSED,
) -> None:
    """Make a source, or another key for one; the write key is shown this once."""
    with opened(home) as workspace:
        key = add_source(workspace.warehouse.state, name, clock=SystemClock(), kind=kind)
    OUT.print(key, highlight=False, soft_wrap=True)


def source_list(home: Home = None) -> None:
    """List the sources, with the first signs of their write keys."""
    with opened(home) as workspace:
        found = list_sources(workspace.warehouse.state)
    for one in found:
        keys = ", ".join(f"{hint}…" for hint in one.keys) or "no key"
        OUT.print(f"{one.name:30} {one.kind:18} {keys}", highlight=False, markup=False)


def source_revoke(
    name: Annotated[str, typer.Argument(help="The source.")],
    home: Home = None,
    key: Annotated[str, typer.Option(help="The first four signs of the key; none: all keys.")] = "",
) -> None:
    """Make write keys hold no longer; what they brought stays."""
    with opened(home) as workspace:
        count = revoke_keys(workspace.warehouse.state, name, clock=SystemClock(), hint=key)
    OUT.print(f"{count} keys revoked.")


def _collect(home: Path | None, host: str, port: int) -> None:
    # Not the workspace: a collector needs no models, and without them it is there at once.
    from jingzhe.core.settings import load  # noqa: PLC0415 - a server loads more than other commands
    from jingzhe.server.admission import Limits  # noqa: PLC0415
    from jingzhe.server.serving import Listen, collector  # noqa: PLC0415
    from jingzhe.server.serving import serve as serve_app  # noqa: PLC0415
    from jingzhe.store.state import State  # noqa: PLC0415
    from jingzhe.store.state.inbox import Inbox  # noqa: PLC0415

    own, clock = load(home), SystemClock()
    with State.open(own.resolved_state_url, clock=clock) as state, Inbox.open(own.resolved_inbox_url) as inbox:
        limits = Limits(
            requests_per_second=own.collect_requests_per_second,
            inbox_bytes=own.collect_inbox_mb * 10**6,
            free_bytes=own.collect_free_mb * 10**6,
        )
        serve_app(collector(state, inbox, clock=clock, limits=limits), Listen(host, port))


def _work(home: Path | None) -> None:
    from jingzhe.app.collecting import drain_of, open_inbox  # noqa: PLC0415 - loads the identity graph
    from jingzhe.core.log import log_to_stderr  # noqa: PLC0415
    from jingzhe.worker.loop import Worker  # noqa: PLC0415

    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=_end_with_parent, args=(os.getppid(), ending), daemon=True).start()
    with opened(home) as workspace, open_inbox(workspace.settings) as inbox:
        workspace.progress = Silent()
        Worker(workspace, drain_of(workspace, inbox), log_to_stderr(), ending=ending).run()


def _end_with_parent(parent: int, ending: threading.Event) -> None:
    """Ends a worker whose collector was killed: nobody would end it otherwise."""
    while os.environ.get("JINGZHE_WORKER_OF") == str(parent) and not ending.wait(1.0):
        if os.getppid() != parent:
            ending.set()


def _start_worker(home: Path | None) -> subprocess.Popen[bytes]:
    """Starts the worker in a process of its own, so that its work does not delay answers."""
    command = [sys.executable, "-m", "jingzhe.cli.main", "serve", "--role", "worker"]
    if home is not None:
        command += ["--home", str(home)]
    return subprocess.Popen(command, env={**os.environ, "JINGZHE_WORKER_OF": str(os.getpid())})  # noqa: S603 - our own


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
