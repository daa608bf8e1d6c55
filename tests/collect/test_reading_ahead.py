"""Reading ahead in a process of its own: nothing is lost or read otherwise, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jingzhe.collect.draining import Drain
from jingzhe.collect.naming import Names, set_meaning
from jingzhe.collect.normalise import Normaliser
from jingzhe.collect.reading_process import Contents, Reader
from jingzhe.collect.received import Received, packed
from jingzhe.collect.write_keys import Source
from tests.collect.live import live, track


def test_what_is_read_ahead_is_taken_only_where_it_still_holds(tmp_path: Path) -> None:
    with live(tmp_path, events_at_once=2, ahead=True) as shop:
        for number in range(8):
            shop.segment(track("Door Opened", messageId=f"m{number}"))
        assert shop.drain.run().events == 2
        read = shop.drain._next
        assert read is not None
        waited = read.wait()
        assert waited is not None
        assert waited.numbers == (3, 4)
        # Two who drain: the other one takes what was read ahead, and a name means something now.
        assert Drain(shop.warehouse, shop.inbox, shop.drain.resolve, events_at_once=2).run().events == 2
        set_meaning(shop.warehouse.state, "Door Opened", "door_opened", "visit")
        while shop.drain.run().rows:
            pass
        shop.drain.close()
        rows = shop.rows("SELECT count(*) AS meant FROM events WHERE activity = 'visit'")
        details = shop.rows("SELECT count(*) AS calls, count(DISTINCT event_id) AS once FROM event_details")
    assert rows == [{"meant": 4}]
    assert details == [{"calls": 8, "once": 8}]


def test_a_reader_that_dies_costs_nothing_but_time(tmp_path: Path) -> None:
    with live(tmp_path, events_at_once=2, ahead=True) as shop:
        for number in range(8):
            shop.segment(track("Door Opened", messageId=f"m{number}"))
        assert shop.drain.run().events == 2
        first = shop.drain._reader
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        while shop.drain.run().rows:
            pass
        second = shop.drain._reader
        assert second is not None
        assert second.pid != first.pid
        shop.drain.close()
        details = shop.rows("SELECT count(*) AS calls, count(DISTINCT event_id) AS once FROM event_details")
    assert details == [{"calls": 8, "once": 8}]


def test_a_reader_ends_with_whoever_made_it() -> None:
    script = (
        "import os\nfrom jingzhe.collect.reading_process import Reader\n"
        "print(Reader().pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    pid = int(subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False).stdout)
    give_up = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < give_up, "the reader outlived its drain"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"


def test_what_a_reader_reads_is_what_the_drain_would_have_read() -> None:
    source = Source(3, "shop", "web", (), datetime(2026, 1, 1, tzinfo=UTC))
    normaliser = Normaliser({3: source}, Names(), ZoneInfo("Asia/Shanghai"), "CNY")
    events = [
        track("Order Completed", userId="u1", properties={"total": 3.5, "products": [{"sku": "a", "price": 3.5}]}),
        track("Door Opened", timestamp="1950-01-01T00:00:00Z"),
        {"type": "identify", "userId": "u2", "traits": {"email": "li@example.com"}},
        {"type": "nonsense"},
    ]
    body = json.dumps({"batch": events}).encode()
    payload = packed([Received(3, "segment", "batch", 1_790_000_000_000_000, "", "agent", "public", 4, body)])
    reader = Reader()
    found = reader.read([payload, payload], normaliser)
    again = reader.read([payload], normaliser)
    none = reader.read([b"no payload"], normaliser)
    reader.close()
    assert found == Contents.of([payload, payload], normaliser)
    assert again == Contents.of([payload], normaliser)
    assert (len(again.found), len(again.found.refused)) == (2, 2)
    assert none is None
