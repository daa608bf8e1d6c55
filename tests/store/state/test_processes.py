from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from jingzhe.store.state.processes import is_gone, this_process


def test_this_process_lives() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert not is_gone(me)


def test_an_ended_process_is_gone_before_and_after_its_parent_looks() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ended = replace(this_process(), pid=child.pid, started="")
    assert is_gone(ended)
    child.wait()
    assert is_gone(ended)


def test_a_number_used_again_is_another_process() -> None:
    assert is_gone(replace(this_process(), started="1"))


def test_of_another_machine_nothing_is_known() -> None:
    assert not is_gone(replace(this_process(), machine="elsewhere", pid=2**22 - 1))


def test_without_a_start_only_the_number_counts() -> None:
    assert not is_gone(replace(this_process(), started=""))
