"""Which process this is, and whether another one of the same machine still lives."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process of one machine.

    Args:
        host: name of the machine, for people.
        machine: whose numbering this is: equal only where the same number means the same process.
        pid: its number.
        started: when it started, in the machine's own terms; empty where that cannot be told.
    """

    host: str
    machine: str
    pid: int
    started: str


def this_process() -> Process:
    """Returns the process that calls."""
    pid = os.getpid()
    return Process(host=socket.gethostname(), machine=_machine(), pid=pid, started=_stat(pid)[1])


def is_gone(process: Process) -> bool:
    """Tells whether ``process`` has certainly ended; False when that cannot be known from here."""
    # Signal 0 asks without doing harm, except on Windows, where it would end the other process.
    if sys.platform == "win32" or process.machine != _machine():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    condition, started = _stat(process.pid)
    # A killed process stays in the table as Z until its parent has asked for it: it does no more work.
    if condition in {"Z", "X"}:
        return True
    return bool(process.started and started and started != process.started)


def _machine() -> str:
    """Returns the machine's name, boot and space of process numbers.

    Two containers may carry one host name and yet number their processes apart; taking the neighbour's live
    process for a dead one would let two writers in.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"
    return f"{socket.gethostname()} {boot} {space}"


def _stat(pid: int) -> tuple[str, str]:
    """Returns condition and start (clock ticks since boot) of a process, empty where unknown; see proc(5)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return "", ""
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
