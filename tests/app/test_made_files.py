"""Files that are made while somebody is erased: however the two meet, the person is in none of them afterwards."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.exporting import Exports
from jingzhe.app.figures import Figures
from jingzhe.app.holdings import find_person, holdings, write_export
from jingzhe.app.made_files import LEASE, placed
from jingzhe.app.privacy import Erasures
from jingzhe.app.privacy_jobs import export_to
from jingzhe.core.errors import BusyError, NoDataError
from tests.app.test_privacy import CUSTOMER, EMAIL, LOGIN, NAME, PHONE, PRODUCT, Shop, found_in, shop

__all__ = ["shop"]

THEIRS = (EMAIL, PHONE, LOGIN, NAME)


def erase(shop: Shop, key: str = LOGIN, kind: str = "login") -> None:
    erasures = Erasures(shop.workspace)
    erasures.run(erasures.ask(find_person(shop.workspace, key, kind), MACHINE, "request").erasure_id)


def test_what_was_read_before_an_erasure_is_not_put_in_place_after_it(shop: Shop) -> None:
    person, path = find_person(shop.workspace, LOGIN, "login"), shop.home / "person-exports" / "late.zip"
    made = []

    def make(part: Path) -> None:
        held = holdings(shop.workspace, person)
        made.append(part)
        if len(made) == 1:
            erase(shop)
        write_export(held, part)

    with pytest.raises(NoDataError, match="no such person"):
        placed(shop.workspace.warehouse, path, make)
    assert len(made) == 1
    assert found_in(shop.home, *THEIRS) == set()


def test_what_is_made_of_everybody_is_made_again_without_the_erased_one(shop: Shop) -> None:
    path, tries = shop.home / "reports" / "page.txt", []

    def make(part: Path) -> int:
        values = shop.workspace.sql("SELECT value FROM identities ORDER BY value")["value"].to_pylist()
        tries.append(values)
        if len(tries) == 1:
            erase(shop, CUSTOMER, "customer")
        part.parent.mkdir(exist_ok=True)
        part.write_text("\n".join(values), encoding="utf-8")
        return len(tries)

    assert placed(shop.workspace.warehouse, path, make) == 2
    assert CUSTOMER in tries[0]
    assert path.read_text("utf-8").splitlines() == tries[1]
    assert found_in(shop.home, CUSTOMER) == set()
    assert [one.name for one in path.parent.iterdir()] == ["page.txt"]


def test_somebody_who_is_erased_again_and_again_ends_the_tries(shop: Shop) -> None:
    path = shop.home / "reports" / "page.txt"

    def make(part: Path) -> None:
        number = len(Erasures(shop.workspace).all())
        shop.put({"type": "identify", "userId": f"login-again-{number}", "traits": {}, "messageId": f"again{number}"})
        shop.drain()
        erase(shop, f"login-again-{number}")
        part.parent.mkdir(exist_ok=True)
        part.write_text("page", encoding="utf-8")

    with pytest.raises(BusyError, match="erased while this was made"):
        placed(shop.workspace.warehouse, path, make)
    assert list(path.parent.iterdir()) == []


def test_an_export_and_an_erasure_that_wait_for_each_other(shop: Shop) -> None:
    person, path = find_person(shop.workspace, LOGIN, "login"), shop.home / "person-exports" / "beside.zip"
    state = shop.state
    with ThreadPoolExecutor(2) as threads:
        with state.lease(LEASE, wait_seconds=1, purpose="test"):
            exported = threads.submit(export_to, shop.workspace, person, path)
            while not path.with_name(f"{path.name}.part").is_file() and not exported.done():
                time.sleep(0.01)
            erased = threads.submit(erase, shop)
            erasures = Erasures(shop.workspace)
            while (not (found := erasures.all()) or found[0].stage != "forgotten") and not erased.done():
                time.sleep(0.01)
        erased.result()
        with contextlib.suppress(NoDataError):  # where the erasure was first
            exported.result()
    assert found_in(shop.home, *THEIRS) == set()


def test_exports_of_tables_stand_until_an_erasure_and_no_longer(shop: Shop) -> None:
    figures = Figures(shop.workspace)
    exports = Exports(shop.workspace, figures)
    try:
        made = [exports.start(table, "csv", "test") for table in ("identities", "items")]
        give_up = time.monotonic() + 120
        while any(exports.get(one.export_id).status != "done" for one in made):
            assert time.monotonic() < give_up, exports.all()
            time.sleep(0.05)
        assert CUSTOMER in exports.file(made[0].export_id)[1].read_text("utf-8")
        erase(shop, CUSTOMER, "customer")
        erase(shop)
        assert {exports.get(one.export_id).status for one in made} == {"removed"}
    finally:
        exports.close()
        figures.close()
    assert found_in(shop.home, CUSTOMER, PRODUCT) == set()
