from __future__ import annotations

from pathlib import Path

import pytest

from jingzhe.collect.write_keys import add_source, key_hash, list_sources, live_keys, revoke_keys
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import SettingError
from jingzhe.store.state import State
from tests.collect.live import NOON

CLOCK = FixedClock(NOON)


def test_a_key_is_shown_once_and_kept_nowhere(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK) as state:
        keys = [add_source(state, name, clock=CLOCK) for name in ("shop", "shop", "till")]
        assert len(set(keys)) == 3
        held = live_keys(state)
        assert [held[key_hash(key)].name for key in keys] == ["shop", "shop", "till"]
        assert [one.name for one in list_sources(state)] == ["shop", "till"]
        assert revoke_keys(state, "shop", clock=CLOCK, hint=keys[0][:4]) == 1
        assert key_hash(keys[0]) not in live_keys(state)
        assert revoke_keys(state, "shop", clock=CLOCK) == 1
        assert [one.keys for one in list_sources(state)] == [(), (keys[2][:4],)]
    for file in tmp_path.iterdir():
        assert not any(key.encode() in file.read_bytes() for key in keys)


def test_what_cannot_be(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK) as state:
        add_source(state, "till", clock=CLOCK, kind="till")
        for name, kind in ((" ", "any"), ("x" * 201, "any"), ("x", "moon"), ("till", "app")):
            with pytest.raises(SettingError):
                add_source(state, name, clock=CLOCK, kind=kind)
        with pytest.raises(SettingError, match="no source"):
            revoke_keys(state, "other", clock=CLOCK)
        revoke_keys(state, "till", clock=CLOCK)
        with pytest.raises(SettingError, match="no such key"):
            revoke_keys(state, "till", clock=CLOCK)
