"""Two processes that resolve at once give the people that one after another would."""

from __future__ import annotations

import subprocess
import sys

from jingzhe.core.clock import FixedClock
from jingzhe.store.state import State
from tests.identity.stories import groups, tell

_OTHER = """
import sys
from jingzhe.store.state import State
from tests.identity.stories import CLOCK, tell
with State.open(sys.argv[1], clock=CLOCK) as state:
    for n in range(12):
        number = int(sys.argv[2]) + n * 2
        tell(state, [f"login=L{k} member=m{k + number}" for k in range(number, number + 9)], begin=number * 100)
"""


def lines(number: int) -> list[str]:
    return [f"login=L{k} member=m{k + number}" for k in range(number, number + 9)]


def test_two_processes_at_once_equal_one_after_another(state_url: str, clock: FixedClock) -> None:
    with State.open(state_url, clock=clock):
        pass
    command = [sys.executable, "-W", "error", "-c", _OTHER, state_url]
    running = [subprocess.Popen([*command, str(first)], env=_environment()) for first in (0, 1)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    with State.open(state_url, clock=clock) as state:
        together = groups(state)
        # Every batch again: each was resolved exactly once.
        assert all(tell(state, lines(number), begin=number * 100).replayed for number in range(24))
        people = sorted({key for keys in together for key in keys})
    keys = {word for number in range(24) for line in lines(number) for word in line.split()}
    assert people == sorted(keys)
    assert all(len([key for key in found if key.startswith("login")]) <= 1 for found in together)
    assert all(len([key for key in found if key.startswith("member")]) <= 1 for found in together)


def _environment() -> dict[str, str]:
    import os  # noqa: PLC0415

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
