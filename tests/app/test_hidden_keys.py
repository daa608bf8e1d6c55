"""Files whose customers are named by telephone or e-mail: behind the reading they are known by a hash."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from jingzhe.access.actor import MACHINE
from jingzhe.app.hiding import hide_filed
from jingzhe.app.holdings import find_person, holdings, write_export
from jingzhe.app.identities import Identities
from jingzhe.app.privacy import Erasures
from jingzhe.collect.importing import import_orders
from jingzhe.collect.report import ImportSummary
from jingzhe.core.clock import FixedClock
from jingzhe.core.errors import ImportRefusedError, NoDataError, SettingError
from jingzhe.identity import personal_keys
from jingzhe.identity.keys import Key, hash_filed
from jingzhe.identity.people import find
from jingzhe.store.facts import IDENTITIES
from jingzhe.store.query import one
from jingzhe.store.state import State
from jingzhe.store.state.identity_tables import personal_key
from jingzhe.store.state.tables import document
from tests.app.conftest import NOW
from tests.app.test_keys_of_files import brought, file_of, shop, small_shop, told
from tests.app.test_one_customer import Shop, asked, bought
from tests.app.test_privacy import found_in
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url", "shop", "small_shop"]

HEAD = "手机号,下单时间,实付金额"
PHONE, SPACED, ABROAD, OTHER, NONE = "13912345678", "139 1234 5678", "+8613912345678", "13712345678", "no telephone"
ROWS = (f"{PHONE},2026-03-01,5", f"{SPACED},2026-03-02,6", f"{OTHER},2026-03-02,7", f"{NONE},2026-03-03,8")
CLEAR = (PHONE, SPACED, ABROAD, OTHER, NONE)


def state_of(shop: Shop) -> State:
    return shop.workspace.warehouse.state


def home_of(shop: Shop) -> Path:
    return Path(shop.workspace.settings.home)


def filed(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.sql("SELECT kind, value FROM identities ORDER BY kind, value")


def stored(shop: Shop, value: str, kind: str = "phone") -> str:
    """Returns a key as the lake has it, from what the state store keeps of it."""
    with state_of(shop).reading() as connection:
        kept = {str(row.written): str(row.filed) for row in connection.execute(sa.select(personal_key))}
    assert kind in {row[0] for row in filed(shop)}
    return kept[value]


def told_of(done: ImportSummary) -> str:
    return json.dumps(done.document(), ensure_ascii=False)


def test_no_file_of_the_project_has_a_telephone_by_which_a_file_names_its_customers(shop: Shop) -> None:
    done = brought(shop, "till.csv", HEAD, *ROWS)
    assert (done.people, done.events, done.mappings[0].key_kind) == (3, 4, "phone"), "two ways of writing are one"
    assert shop.histories() == [(2, 11.0), (1, 8.0), (1, 7.0)]
    kinds, values = zip(*filed(shop), strict=True)
    assert set(kinds) == {"phone"}
    assert [hash_filed(value) is None for value in values] == [True, False, False], "what is no telephone is hashed too"
    shop.workspace.compact(keep_hours=0)
    assert found_in(home_of(shop), *CLEAR) == set()
    assert not any(value in told_of(done) for value in CLEAR)
    assert "99999999999" in told_of(done)
    with state_of(shop).reading() as connection:
        tables = [table for table in personal_key.metadata.sorted_tables if table is not personal_key]
        rest = str([connection.execute(sa.select(table)).all() for table in tables])
        raw = str(connection.exec_driver_sql("SELECT filed, written FROM personal_key").all())
    assert not any(value in rest + raw for value in CLEAR), "nor a table, the sealed one as it stands included"


def test_the_same_customers_come_again_in_whatever_way_they_are_written(shop: Shop) -> None:
    brought(shop, "till.csv", HEAD, *ROWS)
    again = brought(
        shop, "again.csv", "手机,order_id,下单时间,实付金额", f"{ABROAD},o1,2026-03-04,9", f"{OTHER},o2,2026-03-04,3"
    )
    assert (again.people, again.events) == (0, 2)
    first, other = stored(shop, PHONE), stored(shop, OTHER)
    listed = brought(
        shop, "listed.csv", "customer_id,order_id,date,amount", f"{first},o3,2026-03-04,1", key_kind="phone"
    )
    assert listed.people == 0, "a list says who is meant"
    shop.live(told("app-1", phone=SPACED), bought("app-1", 1, 20.0))
    assert shop.histories() == [(5, 41.0), (2, 10.0), (1, 8.0)]
    live = brought(shop, "more.csv", HEAD, f"{PHONE},2026-03-05,2", f"{NONE},2026-03-05,1")
    assert live.people == 0
    assert shop.histories() == [(6, 43.0), (2, 10.0), (2, 9.0)]
    person = shop.now("phone", PHONE)
    assert person == shop.now("login", "app-1") == shop.now("phone", first)
    with asked(shop) as people:
        for value in (PHONE, SPACED, ABROAD, first):
            assert people.find("phone", value) == [person]
        shown = [(key.kind, key.value) for key in people.person(person).identities]
        assert shown == [("login", "app-1"), ("phone", None)]
        assert len(people.find("phone", NONE)) == 1
    assert find_person(shop.workspace, OTHER) == find_person(shop.workspace, other) == shop.now("phone", OTHER)


def test_a_hash_in_a_live_event_is_no_telephone(small_shop: Shop) -> None:
    brought(small_shop, "till.csv", HEAD, *ROWS)
    small_shop.live(told("app-1", phone=stored(small_shop, PHONE)), bought("app-1", 1, 20.0))
    assert small_shop.histories() == [(1, 20.0), (2, 11.0), (1, 8.0), (1, 7.0)]


def test_people_are_found_before_the_graph_knows_them(small_shop: Shop) -> None:
    brought(small_shop, "till.csv", HEAD, *ROWS)
    small_shop.workspace.refresh()
    ((person,),) = small_shop.sql("SELECT person_id FROM profiles WHERE spend = 11.0")
    assert find(state_of(small_shop), Key("phone", PHONE)) is None
    with asked(small_shop) as people:
        assert people.find("phone", ABROAD) == [person]
        assert people.find("email", PHONE) == []
    assert find_person(small_shop.workspace, SPACED, "phone") == person
    assert small_shop.workspace.person(PHONE)["person_id"] == person
    with pytest.raises(NoDataError):
        find_person(small_shop.workspace, "13612345678")


def test_lists_show_hashes_and_the_telephones_to_those_who_ask(small_shop: Shop) -> None:
    days = [f"{PHONE},2025-{month:02}-01,50" for month in range(1, 9)]
    brought(small_shop, "till.csv", HEAD, *days, f"{OTHER},2026-03-01,9", f"{OTHER},2026-02-01,9")
    workspace = small_shop.workspace
    hidden = workspace.dormant(states=("dormant", "declining", "lost"))["customer_id"].to_pylist()
    assert hidden == [stored(small_shop, PHONE)]
    shown = workspace.dormant(states=("dormant", "declining", "lost"), personal=True)
    assert shown["customer_id"].to_pylist() == [PHONE]
    assert {PHONE, OTHER} == set(workspace.people(personal=True)["customer_id"].to_pylist())
    assert not {PHONE, OTHER} & set(workspace.people()["customer_id"].to_pylist())
    assert workspace.person(PHONE)["customer_id"] == hidden[0]
    assert workspace.person(hidden[0], personal=True)["customer_id"] == PHONE


def test_a_customer_with_a_number_is_listed_by_it(small_shop: Shop) -> None:
    brought(small_shop, "till.csv", "客户编号,手机号,下单时间,实付金额", f"zz-17,{PHONE},2026-03-01,5")
    brought(small_shop, "phone.csv", HEAD, f"{PHONE},2026-03-02,6")
    assert small_shop.workspace.people(personal=True)["customer_id"].to_pylist() == ["zz-17"]


def test_what_is_said_of_a_person_and_what_is_left_of_them(shop: Shop, tmp_path: Path) -> None:
    brought(shop, "till.csv", HEAD, *ROWS, f"{PHONE},not a day,5")
    shop.live(told("app-1", phone=PHONE), bought("app-1", 1, 20.0))
    shop.histories()
    person, key = find_person(shop.workspace, PHONE), stored(shop, PHONE)
    held = holdings(shop.workspace, person)
    assert held.state["written_keys"] == [{"kind": "phone", "value": PHONE}]
    assert held.tables["quarantine"].num_rows == 1
    write_export(held, tmp_path / "person.zip")
    with zipfile.ZipFile(tmp_path / "person.zip") as packed:
        assert PHONE in packed.read("person.json").decode()
    erasures = Erasures(shop.workspace)
    done = erasures.run(erasures.ask(person, MACHINE, "asked for it").erasure_id)
    assert done.is_whole
    assert found_in(home_of(shop), *CLEAR[:3], key) == set()
    assert set(personal_keys.opened(state_of(shop), [key, *(value for _, value in filed(shop))]).values()) == {
        OTHER,
        NONE,
    }
    for name, value in (("a.csv", PHONE), ("b.csv", ABROAD), ("c.csv", key)):
        back = brought(shop, name, "phone,order_id,date,amount", f"{value},{name},2026-03-04,9", key_kind="phone")
        assert dict(back.rejected) == {"erased": 1}, name
    assert shop.histories() == [(1, 8.0), (1, 7.0)]


def test_somebody_whose_telephone_is_none_can_be_erased_as_well(small_shop: Shop) -> None:
    brought(small_shop, "till.csv", HEAD, *ROWS)
    person, key = find_person(small_shop.workspace, NONE), stored(small_shop, NONE)
    assert holdings(small_shop.workspace, person).state["written_keys"] == [{"kind": "phone", "value": NONE}]
    erasures = Erasures(small_shop.workspace)
    erasures.run(erasures.ask(person, MACHINE, "asked for it").erasure_id)
    assert personal_keys.opened(state_of(small_shop), [key]) == {}
    assert found_in(home_of(small_shop), NONE, key) == set()
    back = brought(small_shop, "again.csv", HEAD, f"{NONE},2026-03-04,8", f"{OTHER},2026-03-04,4")
    assert dict(back.rejected) == {"erased": 1}
    assert small_shop.histories() == [(2, 11.0), (2, 11.0)]


def test_mails_and_kinds_of_ones_own(small_shop: Shop) -> None:
    mails = brought(
        small_shop, "mails.csv", "email,date,amount", " Ann@Example.CN,2026-03-01,5", "ann@example.cn,2026-03-02,6"
    )
    assert (mails.people, mails.mappings[0].key_kind) == (1, "email")
    given = brought(small_shop, "given.csv", "customer,date,amount", "ann@example.cn,2026-03-03,7", key_kind="email")
    assert given.people == 0
    Identities(small_shop.workspace).change_rules(MACHINE, {"kinds": {"id_card": {"personal": True}}}, "a clinic")
    row = "110101199003070134,2026-03-03,7"
    cards = brought(small_shop, "cards.csv", "customer,date,amount", row, key_kind="id_card")
    assert cards.people == 1
    assert [(kind, bool(hash_filed(value))) for kind, value in filed(small_shop)] == [
        ("email", True),
        ("id_card", True),
    ]
    assert found_in(home_of(small_shop), "nn@example.cn", "110101199003070134") == set()


def test_a_login_that_looks_like_a_mail_stays_the_id_of_the_account(small_shop: Shop) -> None:
    """Headers say what a column is: an account may be called like a telephone number."""
    done = brought(
        small_shop, "till.csv", "user_id,date,amount", "ann@example.cn,2026-03-01,5", f"{PHONE},2026-03-01,5"
    )
    assert done.mappings[0].key_kind == ""
    said = brought(small_shop, "said.csv", HEAD, f"{OTHER},2026-03-01,5", key_kind="customer")
    assert said.mappings[0].key_kind == "customer"
    assert filed(small_shop) == [("customer", OTHER), ("customer", PHONE), ("customer", "ann@example.cn")]
    no_phones = brought(small_shop, "ids.csv", HEAD, "K-1,2026-03-01,5", "K-2,2026-03-01,5")
    assert no_phones.mappings[0].key_kind == "", "the header alone does not say so"


def test_files_that_name_customers_differently_are_no_single_import(small_shop: Shop) -> None:
    folder = small_shop.folder / "both"
    folder.mkdir()
    (folder / "a.csv").write_text(f"{HEAD}\n{PHONE},2026-03-01,5\n", "utf-8")
    (folder / "b.csv").write_text("客户编号,下单时间,实付金额\nC1,2026-03-01,5\n", "utf-8")
    with pytest.raises(
        ImportRefusedError, match=r"several kinds \(phone: '手机号' of a.csv; customer: '客户编号' of b.csv\)"
    ):
        small_shop.workspace.import_(folder)
    done = small_shop.workspace.import_(folder, key_kind="customer")
    assert (done.people, filed(small_shop)) == (2, [("customer", PHONE), ("customer", "C1")])


def test_a_further_telephone_goes_before_the_guess(small_shop: Shop) -> None:
    done = brought(
        small_shop,
        "till.csv",
        "手机,会员手机,下单时间,实付金额",
        f"{PHONE},{OTHER},2026-03-01,5",
        keys={"phone": "会员手机"},
    )
    assert (done.mappings[0].key_kind, dict(done.keys)) == ("", {"phone": 1})


def test_mended_rows_complete_the_orders_of_hidden_customers(small_shop: Shop) -> None:
    head = "手机号,订单号,下单时间,数量,单价,商品"
    rows = (f"{PHONE},o1,2026-03-01,1,5,tea", f"{PHONE},o1,2026-03-01,x,7,rice", f"{OTHER},o2,2026-03-01,1,3,tea")
    brought(small_shop, "till.csv", head, *rows, source_name="till")
    mend = small_shop.folder / "mend.csv"
    assert small_shop.workspace.export_quarantine(mend) == 1
    assert PHONE in mend.read_text("utf-8"), "whoever mends sees the row as it stood"
    mend.write_text(mend.read_text("utf-8").replace(",x,", ",2,"), "utf-8")
    done = small_shop.workspace.import_(mend, source_name="till")
    assert (done.people, done.orders_replaced) == (0, 1)
    assert small_shop.histories() == [(1, 19.0), (1, 3.0)]
    assert found_in(home_of(small_shop), PHONE, OTHER) == set()


def test_without_keys_to_seal_with_nothing_is_kept(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path / 'state.db'}", clock=FixedClock(NOW)) as state:
        written = {"hashed:" + "0" * 32: PHONE}
        assert personal_keys.not_kept(state, written) == {}
        assert personal_keys.sealed(state, written) == []
        assert personal_keys.opened(state, written) == {}


def older(shop: Shop) -> None:
    """Makes of a project what it was when files' own keys stood in the lake as they came."""
    state, warehouse = state_of(shop), shop.workspace.warehouse
    kept = personal_keys.opened(state, [value for _, value in filed(shop)])
    people = dict(shop.sql("SELECT value, person_id FROM identities"))
    rows = [(people[key], "phone", written, 1) for key, written in kept.items()]
    rows.append((max(people.values()) + 1, "phone", ABROAD, 1))
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    with warehouse.writing("a test") as writing:
        writing.session.offer("raw", pa.table(columns, names=list(IDENTITIES.column_names)))
        writing.stage(IDENTITIES, writing.write(IDENTITIES, one("raw_rows", "SELECT * FROM raw")), replace=True)
        writing.publish("a test")
    with state.writing() as connection:
        connection.execute(sa.delete(personal_key))
        connection.execute(
            sa.delete(document).where(document.c.kind == "identity", document.c.name == "filed_as_hashes")
        )
        for row in connection.execute(sa.select(document).where(document.c.kind == "import")).all():
            row.body["mappings"][0]["matches"][0]["samples"] = [PHONE, "C7"]
            where = (document.c.kind == "import", document.c.name == row.name, document.c.version == row.version)
            connection.execute(sa.update(document).where(*where).values(body=row.body))


def test_an_older_project_is_carried_over_by_its_next_import(shop: Shop) -> None:
    brought(shop, "till.csv", HEAD, *ROWS)
    older(shop)
    assert found_in(home_of(shop), PHONE)
    again = brought(shop, "again.csv", HEAD, f"{PHONE},2026-03-04,9", f"{OTHER},2026-03-04,3", f"{NONE},2026-03-04,1")
    assert again.people == 0
    assert shop.histories() == [(3, 20.0), (2, 10.0), (2, 9.0)]
    assert [bool(hash_filed(value)) for _, value in filed(shop)] == [False, True, True]
    assert {PHONE, OTHER, NONE} <= set(shop.workspace.people(personal=True)["customer_id"].to_pylist()) | {NONE}
    samples = shop.workspace.imports()[-1].mappings[0].matches[0].samples
    assert samples == ("99999999999", "C7")
    assert hide_filed(shop.workspace.warehouse) == 0, "once"
    shop.workspace.compact(keep_hours=0)
    in_lake = {place for place, _ in found_in(home_of(shop), *CLEAR) if not place.startswith("state.db")}
    assert in_lake == set(), "pages of the past in the state store's file go with an erasure"


def test_an_older_project_is_carried_over_by_a_compaction(small_shop: Shop) -> None:
    brought(small_shop, "till.csv", HEAD, *ROWS)
    older(small_shop)
    small_shop.workspace.compact(keep_hours=0)
    assert {place for place, _ in found_in(home_of(small_shop), *CLEAR) if not place.startswith("state.db")} == set()
    assert find_person(small_shop.workspace, SPACED) == find_person(small_shop.workspace, ABROAD)


def test_other_kinds_need_the_graph(small_shop: Shop) -> None:
    path = file_of(small_shop, "till.csv", HEAD, *ROWS)
    with pytest.raises(SettingError, match="identity graph"):
        import_orders(small_shop.workspace.warehouse, path, key_kind="phone")
