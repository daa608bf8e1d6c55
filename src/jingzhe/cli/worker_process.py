"""The worker as a process of its own, started and ended by the server, and started again where it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from jingzhe.cli.console import ASKED
from jingzhe.core.failures import told
from jingzhe.core.log import Log

PARENT = "JINGZHE_WORKER_OF"
"""Says in the worker's environment whose it is."""
_END_SECONDS = 30
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONG_ENOUGH = 300.0


class WorkerProcess:
    """One worker beside a server: its work does not delay answers.

    Args:
        home: folder of the project; None: as the environment says.
        log: is told when it has to be started again.
    """

    def __init__(self, home: Path | None, log: Log) -> None:
        engine = ASKED.get("engine")
        self._command = [
            sys.executable, "-m", "jingzhe.cli.main", *(["--engine", engine] if engine else []), "serve", "--role",
            "worker", *(["--home", str(home)] if home is not None else []),
        ]  # fmt: skip
        self._log = log
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="worker keeper", daemon=True)

    def start(self) -> None:
        """Starts it, unless the server is ending."""
        with self._lock:
            if self._process is None and not self._ending.is_set():
                self._process = self._started()
                self._keeper.start()

    def end(self) -> None:
        """Has it end after the piece of work under way; waits for that, but not for ever."""
        with self._lock:
            self._ending.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # Whatever it does is published whole or not at all.
            process.kill()
            process.wait()
        self._keeper.join()

    def _started(self) -> subprocess.Popen[bytes]:
        own = {**os.environ, PARENT: str(os.getpid())}
        return subprocess.Popen(self._command, env=own)  # noqa: S603 - our own

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while self._process is not None:
            code, lived = self._ended(self._process)
            if self._ending.is_set():
                return
            pause = _FIRST_PAUSE if lived else pause
            self._log.error("the worker ended and is started again", exit_code=code, pause_seconds=pause)
            if self._ending.wait(pause):
                return
            pause = min(_LONGEST_PAUSE, pause * 2)
            with self._lock:
                if self._ending.is_set():
                    return
                try:
                    self._process = self._started()
                except OSError as error:
                    # Too many processes, or no memory: the one that ended stays in its place, so it is tried again.
                    self._log.error("the worker cannot be started", error=told(error))

    def _ended(self, process: subprocess.Popen[bytes]) -> tuple[int, bool]:
        """Returns the exit code, when it has ended, and whether it had lived for long."""
        try:
            return process.wait(_LONG_ENOUGH), False
        except subprocess.TimeoutExpired:
            return process.wait(), True
