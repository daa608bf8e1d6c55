"""Files with more than one key a row: telephone, e-mail, card beside the customer; they join as live events do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jingzhe.access.actor import MACHINE
from jingzhe.app.collecting import open_inbox
from jingzhe.app.privacy import Erasures
from jingzhe.app.workspace import open_workspace
from jingzhe.collect.report import ImportSummary
from jingzhe.collect.write_keys import add_source
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import ImportRefusedError, NoDataError, SettingError
from jingzhe.identity.keys import Key
from jingzhe.identity.merges import undo
from jingzhe.identity.overrides import overrides
from jingzhe.identity.people import explain, find
from tests.app.test_one_customer import ANN, Shop, asked, bought
from tests.collect.live import NOON
from tests.collect.workbooks import Cell, write_workbook
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

ORDERS = "客户编号,手机号,邮箱,订单号,下单时间,实付金额"
MEMBERS = "会员编号,姓名,手机号,邮箱,会员卡号,注册时间"


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else ""
    with opened(tmp_path, state_url=url) as found:
        yield found


@pytest.fixture
def small_shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as found:
        yield found


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Shop]:
    clock = FixedClock(NOON)
    with ExitStack() as stack:
        workspace = open_workspace(folder / "project", clock=clock, memory_limit_mb=300, threads=1, **settings)
        inbox = stack.enter_context(open_inbox(stack.enter_context(workspace).settings))
        add_source(workspace.warehouse.state, "shop", clock=clock)
        yield Shop(workspace, inbox, folder)


def told(user: str, **traits: str) -> dict[str, Any]:
    """Returns the live event by which an app says what is known of somebody."""
    mark, at = f"told-{user}", "2026-03-05T11:00:00Z"
    return {"type": "identify", "userId": user, "messageId": mark, "timestamp": at, "traits": traits}


def file_of(shop: Shop, name: str, *lines: str) -> Path:
    path = shop.folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def brought(shop: Shop, name: str, *lines: str, **wishes: Any) -> ImportSummary:
    return shop.workspace.import_(file_of(shop, name, *lines), **wishes)


def test_a_telephone_joins_till_and_app_and_an_undo_gives_everybody_their_own(shop: Shop) -> None:
    shop.live(told("app-1", phone="139 1234 5678"), bought("app-1", 1, 20.0), bought("app-2", 2, 30.0))
    done = brought(
        shop, "till.csv", ORDERS,
        "C1,13912345678,a@b.cn,o1,2026-03-01,5", "C1,13912345678,a@b.cn,o2,2026-03-02,6",
        "C2,,,o3,2026-03-02,7",
        key_kind="member",
    )  # fmt: skip
    assert dict(done.keys) == {"phone": 1, "email": 1}
    assert (done.people, done.people_joined, dict(done.keys_unusable)) == (2, 1, {})
    assert shop.histories() == [(3, 31.0), (1, 30.0), (1, 7.0)]
    person = shop.now("login", "app-1")
    state = shop.workspace.warehouse.state
    assert find(state, Key("email", "A@b.cn")) == find(state, Key("member", "C1")) == person
    (join,) = [join for join in explain(state, person) if join.outcome == "merged"]
    assert (join.event, join.rule, {join.a.kind, join.b.kind}) == (
        "till.csv, line 2", "same row of a file", {"member", "phone"},
    )  # fmt: skip
    undo(state, [join.numbers], ANN, clock=FixedClock(NOON))
    assert shop.histories() == [(1, 30.0), (1, 20.0), (2, 11.0), (1, 7.0)]
    again = brought(shop, "till-again.csv", ORDERS, "C1,13912345678,a@b.cn,o1,2026-03-01,5", key_kind="member")
    assert again.people_joined == 0, "what was undone stays undone"


def test_whoever_comes_later_is_joined_to_the_file(shop: Shop) -> None:
    brought(shop, "till.csv", ORDERS, "C1,13912345678,a@b.cn,o1,2026-03-01,5", key_kind="member")
    shop.live(told("app-1", email="A@B.cn "), bought("app-1", 1, 20.0))
    assert shop.histories() == [(2, 25.0)]
    with asked(shop) as people:
        (person,) = people.find("member", "C1")
        assert {row["order_id"] for row in people.timeline(person)} == {"o1", "live1"}


def test_the_same_again_changes_nothing(shop: Shop) -> None:
    rows = [ORDERS, "C1,13912345678,a@b.cn,o1,2026-03-01,5", "C2,13912345678,c@d.cn,o2,2026-03-02,7"]
    first = brought(shop, "till.csv", *rows, key_kind="till_card")
    assert (first.people, first.people_joined) == (2, 1)
    state = shop.workspace.warehouse.state
    known = (overrides(state), explain(state, shop.now("till_card", "C1")), shop.histories())
    assert brought(shop, "till.csv", *rows, key_kind="till_card").repeated == first.import_id
    renamed = brought(shop, "renamed.csv", *rows, key_kind="till_card")
    assert (renamed.people, renamed.people_joined, renamed.events, renamed.orders_unchanged) == (0, 0, 0, 2)
    assert (overrides(state), explain(state, shop.now("till_card", "C1")), shop.histories()) == known


def test_a_list_of_members_and_their_orders(shop: Shop) -> None:
    done = brought(
        shop, "members.csv", MEMBERS,
        "M1,李雷,13912345678,li@example.cn,K1,2020-01-01", "M2,韩梅梅,13712345678,,K2,2021-01-01",
        "0,nobody,13612345678,,K3,2021-01-01",
    )  # fmt: skip
    (mapping,) = done.mappings
    assert (mapping.shape, mapping.unused) == ("people", ("姓名", "注册时间"))
    assert mapping.columns == {
        "customer_id": "会员编号", "key.email": "邮箱", "key.phone": "手机号", "key.till_card": "会员卡号",
    }  # fmt: skip
    assert (done.people, done.events, dict(done.rejected), done.first_day) == (2, 0, {"junk-customer": 1}, None)
    assert shop.now("phone", "+86 137 1234 5678") == shop.now("till_card", "K2") == shop.now("login", "M2")
    assert find(shop.workspace.warehouse.state, Key("till_card", "K3")) is None, "a refused row joins nobody"
    shop.live(told("app-1", till_card="K1"), bought("app-1", 1, 20.0))
    brought(shop, "orders.csv", "customer_id,order_id,date,amount", "M1,o1,2026-03-01,5", "M3,o2,2026-03-01,7")
    assert shop.histories() == [(1, 20.0), (1, 7.0), (1, 5.0)], "M1 has a login already: K1 stays with M1 alone"
    assert shop.sql("SELECT value FROM identities WHERE kind = 'customer' ORDER BY 1") == [("M1",), ("M2",), ("M3",)]
    with asked(shop) as people:
        page = people.person(shop.now("login", "M2"))
        assert (page.profile, page.scores) == (None, None), "who never came"
        shown = [(key.kind, key.value) for key in page.identities]
        assert shown == [("customer", "M2"), ("phone", None), ("till_card", "K2")]
        with pytest.raises(NoDataError):
            people.person(424_242)


def test_a_workbook_names_its_rows_and_numbers_are_telephones(small_shop: Shop) -> None:
    path = small_shop.folder / "members.xlsx"
    rows: list[list[Cell]] = [
        ["客户编号", "手机号", "email"],
        ["C1", 13912345678.0, "a@b.cn"],
        ["C2", 13712345678.0, "no address"],
    ]
    write_workbook(path, {"Members": rows})
    done = small_shop.workspace.import_(path, key_kind="member", keys={"email": "email"})
    assert (dict(done.keys), dict(done.keys_unusable)) == ({"email": 1, "phone": 2}, {"email": 1})
    person = small_shop.now("phone", "13712345678")
    assert person == small_shop.now("member", "C2")
    assert [join.event for join in explain(small_shop.workspace.warehouse.state, person)] == ["members.xlsx, row 3"]


def test_the_rules_of_live_events_hold(small_shop: Shop) -> None:
    head = "customer_id,phone,order_id,date,amount"
    shared = [f"C{n},13900000001,o{n},2026-03-01,1" for n in range(60)]
    junk = [f"J{n},13800138000,j{n},2026-03-01,1" for n in range(3)]
    own = [f"D{n},not a number,d{n},2026-03-01,1" for n in range(2)]
    done = brought(small_shop, "till.csv", head, *shared, *junk, *own, key_kind="record", keys={"phone": "phone"})
    assert (done.people, dict(done.keys), dict(done.keys_unusable)) == (65, {"phone": 60}, {"phone": 5})
    assert done.rows_rejected == 0, "a bad key refuses no row"
    state = small_shop.workspace.warehouse.state
    assert find(state, Key("phone", "13900000001")) is None, "seen with more than 50: it is nobody's"
    with pytest.raises(SettingError, match="fax"):
        brought(small_shop, "till.csv", head, *own, keys={"fax": "phone"})
    with pytest.raises(SettingError, match="of the kind 'login' already"):
        brought(small_shop, "till.csv", head, *own, keys={"login": "phone"})
    with pytest.raises(ImportRefusedError, match="'fon', given for the key phone"):
        brought(small_shop, "till.csv", head, *own, keys={"phone": "fon"})


def test_two_customers_with_one_telephone_stay_two(small_shop: Shop) -> None:
    done = brought(small_shop, "till.csv", ORDERS, "C1,13912345678,,o1,2026-03-01,5", "C2,13912345678,,o2,2026-03-02,7")
    assert (done.people, done.people_joined) == (2, 0)
    assert small_shop.histories() == [(1, 7.0), (1, 5.0)]
    assert small_shop.now("phone", "13912345678") == small_shop.now("login", "C1")


def test_the_mail_of_somebody_erased_does_not_come_back(small_shop: Shop) -> None:
    rows = [ORDERS, "C1,13912345678,gone@example.cn,o1,2026-03-01,5", "C2,13712345678,here@example.cn,o2,2026-03-01,7"]
    brought(small_shop, "till.csv", *rows)
    small_shop.histories()
    erasures = Erasures(small_shop.workspace)
    erasures.run(erasures.ask(small_shop.now("login", "C1"), MACHINE, "asked for it").erasure_id)
    done = brought(
        small_shop, "new.csv", ORDERS, "C9,,Gone@Example.cn,o8,2026-03-02,5", "C3,13612345678,,o9,2026-03-02,9"
    )
    assert dict(done.rejected) == {"erased": 1}
    state = small_shop.workspace.warehouse.state
    assert find(state, Key("email", "gone@example.cn")) is None
    assert find(state, Key("login", "C9")) is None
    assert small_shop.histories() == [(1, 9.0), (1, 7.0)]


def test_what_an_import_says_of_itself_names_nobody(small_shop: Shop) -> None:
    done = brought(small_shop, "till.csv", ORDERS, "C1,13912345678,zhang@example.cn,o1,2026-03-01,5")
    told = json.dumps(done.document(), ensure_ascii=False)
    assert "99999999999" in told
    assert "13912345678" not in told
    assert "zhang" not in told
    (known,) = small_shop.workspace.imports()
    assert known == done


def test_a_folder_of_members_and_orders_is_one_import(small_shop: Shop) -> None:
    folder = small_shop.folder / "both"
    folder.mkdir()
    for name, lines in {
        "a-members.csv": ["客户编号,手机号", "C1,13912345678", "C2,13712345678"],
        "b-orders.csv": ["客户编号,下单时间,实付金额", "C1,2026-03-01,5", "C3,2026-03-02,7", "C1,2026-03-03,9"],
    }.items():
        shutil.move(file_of(small_shop, name, *lines), folder / name)
    done = small_shop.workspace.import_(folder)
    assert (done.people, done.events, done.rows, [one.shape for one in done.mappings]) == (
        3,
        3,
        5,
        ["people", "orders"],
    )
    assert small_shop.histories() == [(2, 14.0), (1, 7.0)]
    assert small_shop.now("phone", "13712345678") == small_shop.now("login", "C2")


def test_a_list_of_people_can_be_asked_for_and_saved_as_a_preset(small_shop: Shop) -> None:
    head = "客户编号,联系人电话,累计消费金额,最近消费时间"
    done = brought(
        small_shop, "a.csv", head, "C1,13912345678,99.5,2026-01-01", people=True, keys={"phone": "联系人电话"}
    )
    assert (done.people, done.events) == (1, 0)
    small_shop.workspace.save_preset("list", done)
    again = brought(small_shop, "b.csv", head, "C2,13712345678,1.5,2026-01-02", people=True, preset="list")
    assert (again.people, dict(again.keys)) == (1, {"phone": 1})
    assert small_shop.workspace.rows()["events"] == 0


def test_an_import_that_dies_before_it_is_published_is_done_again(
    small_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ORDERS, "C1,13912345678,a@b.cn,o1,2026-03-01,5", "C2,13712345678,,o2,2026-03-02,7"]
    state = small_shop.workspace.warehouse.state

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "publish", dies)
    with pytest.raises(KeyboardInterrupt):
        brought(small_shop, "till.csv", *rows)
    monkeypatch.undo()
    told = find(state, Key("phone", "13912345678"))
    done = brought(small_shop, "till.csv", *rows)
    assert (done.events, done.rows_accepted) == (2, 2)
    assert small_shop.now("login", "C1") == told
    assert small_shop.histories() == [(1, 7.0), (1, 5.0)]
    assert small_shop.workspace.rows()["identities"] == 2
