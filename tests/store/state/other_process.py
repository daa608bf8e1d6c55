"""Another process on the same store: told what to do line by line, it answers line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

_SECONDS = 120


class Other:
    """The near end of the other process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def __enter__(self) -> Other:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing its input ends it.
        self.process.communicate(timeout=_SECONDS)

    def tell(self, *words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the other process has ended"
        return json.loads(line)

    def ask(self, *words: str) -> Any:
        self.tell(*words)
        return self.answer()

    def leave(self) -> None:
        """Has it close its store; answers that a failed test has not read are passed over."""
        self.tell("close")
        while self.answer() != "closed":
            pass

    def kill(self) -> None:
        """Kills it as the kernel would, and leaves it unburied, as a busy parent would."""
        self.process.kill()
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)


def _serve() -> None:
    from jingzhe.core.clock import SystemClock  # noqa: PLC0415 - the tests import this module without the package
    from jingzhe.core.errors import JingzheError  # noqa: PLC0415
    from jingzhe.store.state import Lease, State  # noqa: PLC0415

    state: State | None = None
    held: list[Lease] = []

    def act(verb: str, *words: str) -> Any:
        nonlocal state
        if verb == "open":
            moment = float(words[1]) if len(words) > 1 else 0.0
            time.sleep(max(0.0, moment - time.time()))
            state = State.open(words[0], clock=SystemClock())
        if verb == "close":
            if state is not None:
                state.close()
            state = None
            return "closed"
        assert state is not None
        if verb == "hold":
            held.append(state.lease(words[0], wait_seconds=float(words[1]), purpose="the other's work"))
        elif verb == "release":
            held.pop().release()
        elif verb == "put":
            return [state.put_document(words[0], words[1], {"by": os.getpid()}) for _ in range(int(words[2]))]
        return "done"

    for line in sys.stdin:
        try:
            reply = act(*json.loads(line))
        except JingzheError as error:
            reply = [error.code, str(error)]
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
    act("close")


if __name__ == "__main__":
    _serve()
