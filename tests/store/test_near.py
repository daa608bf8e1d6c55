"""Copies of an object store's files: fetched once, shared, bounded, gone with the people who were erased."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from jingzhe.core.errors import EngineError, LakeError
from jingzhe.store.bucket import Bucket, bucket_at
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.lake.erase import erase
from jingzhe.store.near import Cache, Direct
from jingzhe.store.warehouse import Warehouse
from tests.s3 import Place, bucket, s3_server, serving
from tests.store.small import Elsewhere, append, event, ids, live_in, opened, published, url_in
from tests.store.worker import processes

__all__ = ["bucket", "s3_server"]
LARGE = 40 * 2**20
"""More than one range of a download."""


@pytest.fixture
def place(bucket: Place) -> Bucket:
    return bucket_at(bucket.url, bucket.options)


@pytest.fixture
def afar(tmp_path: Path, bucket: Place) -> Iterator[Warehouse]:
    with opened(tmp_path, elsewhere=Elsewhere(bucket.url, bucket.options)) as found:
        yield found


def sent(place: Bucket, folder: Path, name: str, size: int) -> str:
    """Puts an object of random bytes there; returns its path."""
    (folder / "given").write_bytes(os.urandom(size))
    path = f"{place.root}/t/{name}"
    place.put(folder / "given", path)
    return path


def copies(cache: Cache) -> set[str]:
    return {path.name for path in cache.shared.rglob("*") if path.is_file()}


def test_files_of_a_folder_are_read_where_they_stand() -> None:
    with Direct().session() as reach:
        assert reach.at_hand(["/a/b"])
        assert reach.local("/a/b") == "/a/b"
        assert reach.far("/a/b") is None


def test_a_large_object_arrives_whole_and_is_fetched_once(place: Bucket, tmp_path: Path) -> None:
    path = sent(place, tmp_path, "large", LARGE)
    cache = Cache(place, tmp_path / "cache", 10**9)
    with cache.session() as reach:
        assert not reach.at_hand([path])
        reach.fetch([path])
        assert reach.at_hand([path])
        assert Path(reach.local(path)).read_bytes() == (tmp_path / "given").read_bytes()
    place.remove([path])
    with cache.session() as reach:
        reach.fetch([path])
        assert Path(reach.local(path)).stat().st_size == LARGE
    assert [one.name for one in cache.folder.iterdir()] == [cache.shared.name]


def test_what_was_not_used_for_longest_goes_first_and_what_is_read_stays(place: Bucket, tmp_path: Path) -> None:
    paths = [sent(place, tmp_path, name, 1000) for name in ("a", "b", "c")]
    cache = Cache(place, tmp_path / "cache", 2000)
    with cache.session() as reach:
        reach.fetch(paths[:2])
        os.utime(cache.copy(paths[0]), (1, 1))
        os.utime(cache.copy(paths[1]), (2, 2))
    with cache.session() as reach:
        reach.fetch(paths[:1])  # is used again: now the other one has waited longest
        reach.fetch(paths[2:])
        assert copies(cache) == {"a", "c"}
        with Cache(place, tmp_path / "cache", 0).session() as other:
            other.fetch(paths[1:2])
            assert copies(cache) == set()
            assert Path(other.local(paths[1])).stat().st_size == 1000
        assert reach.at_hand([paths[0], paths[2]])


def test_a_fetch_that_fails_leaves_no_copy(place: Bucket, tmp_path: Path) -> None:
    path = sent(place, tmp_path, "there", 1000)
    cache = Cache(place, tmp_path / "cache", 10**9)
    with cache.session() as reach:
        with pytest.raises(LakeError, match="an object is not there"):
            reach.fetch([path, f"{place.root}/t/gone"])
        assert copies(cache) == set()
        assert not reach.at_hand([path])
    assert not list(cache.folder.rglob("*.part"))


def test_a_folder_that_cannot_hold_copies(place: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be used"), Cache(place, tmp_path / "file" / "x", 1).session():
        pass
    cache = Cache(place, tmp_path / "cache", 10**9)
    path = sent(place, tmp_path, "there", 1000)
    with cache.session() as reach:
        cache.shared.write_text("not a folder")
        with pytest.raises(LakeError, match="Copies of the lake's files cannot be kept"):
            reach.fetch([path])


def fetch_often(url: str, options: dict[str, str], folder: Path, barrier: Barrier, times: int) -> None:
    """Fetches the same objects in a cache too small for them, and looks at what it gets."""
    cache = Cache(bucket_at(url, options), folder, 300_000)
    paths = [f"{cache.bucket.root}/t/{number}" for number in range(4)]
    barrier.wait(120)
    for number in range(times):
        with cache.session() as reach:
            some = paths[number % 3 : number % 3 + 2]
            reach.fetch(some)
            assert [Path(reach.local(path)).stat().st_size for path in some] == [100_000] * 2


def fetch_and_hang(url: str, options: dict[str, str], folder: Path, path: str, begun: Event) -> None:
    """Is killed while it reads."""
    with Cache(bucket_at(url, options), folder, 10**9).session() as reach:
        reach.fetch([path])
        begun.set()
        time.sleep(60)


def test_processes_share_copies(place: Bucket, bucket: Place, tmp_path: Path) -> None:
    for number in range(4):
        sent(place, tmp_path, str(number), 100_000)
    with processes() as context:
        barrier = context.Barrier(2)
        given = (bucket.url, bucket.options, tmp_path / "cache", barrier, 20)
        both = [context.Process(target=fetch_often, args=given) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join(180)
            assert one.exitcode == 0


def test_a_killed_process_leaves_copies_and_no_litter(place: Bucket, bucket: Place, tmp_path: Path) -> None:
    path = sent(place, tmp_path, "a", 1000)
    with processes() as context:
        begun = context.Event()
        doomed = context.Process(target=fetch_and_hang, args=(bucket.url, bucket.options, tmp_path / "c", path, begun))
        doomed.start()
        assert begun.wait(120)
        doomed.kill()
        doomed.join()
    cache = Cache(place, tmp_path / "c", 10**9)
    with cache.session():
        assert copies(cache) == {"a"}
    assert [one.name for one in cache.folder.iterdir()] == [cache.shared.name]


def test_erased_people_go_from_the_copies_of_every_machine(afar: Warehouse, bucket: Place, tmp_path: Path) -> None:
    published(afar, [event(1, 1, name="erase me"), event(2, 2)])
    machine = tmp_path / "other"
    with opened(machine, url_in(tmp_path), elsewhere=Elsewhere(bucket.url, bucket.options)) as other:
        with other.reading() as session:
            assert ids(session) == ids(session, "items") == [1, 2]
        erase(afar, [1])
        with other.reading() as session:
            assert ids(session) == [2]
    for folder in (tmp_path / "cache", machine / "cache"):
        names = {path.name for path in folder.rglob("*.parquet")}
        assert names <= {path.rsplit("/", 1)[1] for path in live_in(afar)}
        assert names


def test_a_store_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    with serving() as server:
        server.ask("bucket")
        options = {**server.options, "retry_timeout": "1s", "max_retries": "1"}
        with opened(tmp_path, elsewhere=Elsewhere("s3://bucket/lake", options)) as warehouse:
            published(warehouse, [event(1, 1)])
            with warehouse.writing("fails") as writing:
                append(writing, EVENTS, [event(2, 2)])
                server.process.kill()
                server.process.wait()
                begun = time.monotonic()
                with pytest.raises(LakeError, match="nothing listens"):
                    append(writing, ITEMS, [event(2, 2)])
            assert time.monotonic() - begun < 30
            latest = warehouse.state.latest()
            assert latest is not None
            assert latest.seq == 1
            with warehouse.reading() as session:  # what is at hand can still be read
                assert ids(session) == [1]
