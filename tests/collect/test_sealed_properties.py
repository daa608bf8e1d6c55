"""Personal values in the properties of events: sealed wherever a client may put them, opened in their event only."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingzhe.collect.masking import masked
from jingzhe.collect.personal import DEFAULTS, PEOPLE, PersonalNames, names_of, plain, set_name
from jingzhe.collect.sealed_properties import PropertySeal, opened, seal_of
from jingzhe.core.errors import SettingError
from jingzhe.core.seal_keys import Key, KeyFile
from jingzhe.core.sealing import TEXT, Sealer
from jingzhe.store.state.seal_record import seal_with
from jingzhe.store.warehouse import Warehouse
from tests.collect.live import live, track

SEALER = Sealer((Key("2026", bytes(32)),))
SEAL = PropertySeal(SEALER, PersonalNames())


def sealed(properties: Any, *, person: bool = False, escape: bool = False) -> str:
    """Seals one event's properties as the drain does: in a column, among others."""
    text = properties if isinstance(properties, str) else json.dumps(properties, ensure_ascii=escape)
    column = pa.array(['{"price":1}', text, "{}"], pa.string())
    made = SEAL.column(column, [1, 2, 3], np.array([False, person, False])).to_pylist()
    assert (made[0], made[2]) == ('{"price":1}', "{}")
    assert opened(SEALER, made[1], 2).closed == 0
    assert json.loads(opened(SEALER, made[1], 2).text) == json.loads(text)
    return str(made[1])


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize(
    "name",
    ["email", "E-Mail", "passport_no", "e_mail", "$email", "customer_email", "phone", "Mobile Phone", "tel",
     "手机号", "会员手机", "邮箱", "姓名", "身份证号", "shipping_address", "birthday", "dateOfBirth", "first_name"],
)  # fmt: skip
def test_personal_fields_are_sealed_however_they_are_written(name: str, escape: bool) -> None:
    made = sealed({"price": 1.50, name: "geheim-4711", "tea": "green"}, escape=escape)
    assert "geheim" not in made
    read = json.loads(made)
    assert read[name].startswith(TEXT)
    assert (read["price"], read["tea"]) == (1.5, "green")


def test_names_that_are_escaped_sign_by_sign_are_found() -> None:
    assert "geheim" not in sealed(r'{"\u0065mail": "geheim"}')
    assert "geheim" not in sealed('{"email"\n : "geheim"}')


def test_values_are_found_in_objects_and_lists_of_any_kind() -> None:
    made = sealed({
        "order": {
            "customer": {"name": "geheim", "note": "tea"}, "lines": [{"name": "tea"}, {"recipient_name": "geheim"}],
        },
        "phones": 1, "mobile": 13712345678, "address": {"street": "geheim"}, "billing_address": {"any": ["geheim", 1]},
    })  # fmt: skip
    read = json.loads(made)
    assert "geheim" not in made
    assert "13712345678" not in made
    assert read["order"]["lines"][0]["name"] == "tea"  # of a product, not of a person
    assert read["order"]["customer"]["note"] == "tea"
    assert read["billing_address"].startswith(TEXT)


def test_of_a_person_more_is_personal_than_of_an_event() -> None:
    said = {"name": "geheim", "age": 42, "colour": "red", "email_opt_in": True, "phone": True, "nickname": None}
    assert sealed(said) == json.dumps(said)
    made = json.loads(sealed(said, person=True))
    assert made["name"].startswith(TEXT)
    assert made["age"].startswith(TEXT)
    assert {name: made[name] for name in ("colour", "email_opt_in", "phone", "nickname")} == {
        "colour": "red", "email_opt_in": True, "phone": True, "nickname": None,
    }  # fmt: skip


def test_every_other_value_stays_byte_for_byte() -> None:
    made = sealed('{"a": 1.50, "big": 123456789012345678901234567890, "email": "x", "b": "\\u00fc", "c": [1.0,  2e5]}')
    for kept in ("1.50", "123456789012345678901234567890", '"\\u00fc"', "[1.0,  2e5]"):
        assert kept in made


def test_what_is_no_object_is_sealed_as_a_whole() -> None:
    made = SEAL.sealed('{"email": "geheim', 7, of_person=False)
    assert json.loads(made).startswith(TEXT)
    assert opened(SEALER, made, 7).text == '{"email": "geheim'


def test_a_value_opens_in_its_own_event_only() -> None:
    mine = json.loads(SEAL.sealed('{"email": "li@example.com"}', 7, of_person=False))["email"]
    sent_in = json.dumps({"note": mine})
    assert json.loads(opened(SEALER, sent_in, 8).text) == {"note": mine}
    assert opened(SEALER, sent_in, 8).closed == 1
    # Who sends something that looks like a seal under a personal name gets that back, not what is in it.
    again = SEAL.sealed(json.dumps({"email": mine}), 8, of_person=False)
    assert json.loads(opened(SEALER, again, 8).text) == {"email": mine}
    assert opened(Sealer((Key("2027", b"x" * 32),)), sent_in, 7).closed == 1
    assert opened(None, sent_in, 7).closed == 1
    assert opened(None, None, 7).text == ""


NAMES = sorted(DEFAULTS) + sorted(PEOPLE) + ["price", "tea", "intel", "hotel"]
WRITTEN = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from(
        [name.strip("*"), f"my_{name.strip('*')}", name.strip("*").upper(), f"${name.strip('*')}"]
    )
)
TREES = st.recursive(
    st.just("geheim-4711") | st.integers(10_000, 10**9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WRITTEN, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(WRITTEN, TREES, max_size=4), st.booleans(), st.booleans())
def test_whatever_is_sealed_opens_and_no_personal_field_is_missed(
    said: dict[str, Any], person: bool, escape: bool
) -> None:
    read = json.loads(sealed(said, person=person, escape=escape))

    def left_open(value: Any, of_person: bool) -> list[str]:
        if isinstance(value, dict):
            found = [
                name for name, inner in value.items()
                if SEAL.names.holds(name, of_person=of_person) and re.search("geheim|[0-9]{5}", json.dumps(inner))
                and not str(inner).startswith(TEXT)
            ]  # fmt: skip
            return found + [
                one
                for name, inner in value.items()
                if not str(inner).startswith(TEXT)
                for one in left_open(inner, of_person or plain(name) in PEOPLE)
            ]
        return [one for inner in value for one in left_open(inner, of_person)] if isinstance(value, list) else []

    assert left_open(read, person) == []


def test_a_project_says_which_of_its_fields_are_personal(warehouse: Warehouse) -> None:
    state = warehouse.state
    assert names_of(state).holds("loyaltyNo", of_person=True) is False
    assert set_name(state, "Loyalty_No", "anywhere") == "loyaltyno"
    assert set_name(state, "*email", "nowhere") == "*email"
    assert set_name(state, " * Fax-Number", "person") == "*faxnumber"
    names = names_of(state)
    assert names.holds("loyaltyNo", of_person=False)
    assert not names.holds("customer_email", of_person=True)
    assert (names.holds("my fax number", of_person=True), names.holds("my fax number", of_person=False)) == (
        True,
        False,
    )
    with pytest.raises(SettingError, match="needs a name"):
        set_name(state, " * ", "anywhere")
    with pytest.raises(SettingError, match="is no place"):
        set_name(state, "x", "elsewhere")  # type: ignore[arg-type]


def test_the_drain_seals_what_it_brings_into_the_lake(tmp_path: Path) -> None:
    with live(tmp_path) as shop:
        seal_with(shop.warehouse.state, KeyFile(tmp_path / "seal.keys", own=True))
        traits = {"email": "li@example.com", "phone": "13712345678", "name": "Li Lei", "email_opt_in": True}
        shop.segment(
            {"type": "identify", "userId": "u1", "messageId": "i", "traits": traits},
            track("Lead", properties={"e_mail": "li@example.com", "plan": "gold"}),
            track("Viewed", properties={"product_id": "tea"}),
        )
        shop.sensors({
            "type": "profile_set", "distinct_id": "d", "time": 1772712000000, "properties": {"手机号": "13712345678"},
        })  # fmt: skip
        assert shop.drain.run().calls == 4
        rows = shop.rows("SELECT event_id, properties FROM event_details ORDER BY event_id")
        assert not any(secret in str(rows) for secret in ("li@example", "13712345678", "Li Lei"))
        sealer = shop.warehouse.state.sealer
        found = [json.loads(opened(sealer, row["properties"], row["event_id"]).text) for row in rows]
        for one in (
            traits,
            {"e_mail": "li@example.com", "plan": "gold"},
            {"product_id": "tea"},
            {"手机号": "13712345678"},
        ):
            assert one in found
        assert {"product_id": "tea"} in [json.loads(row["properties"]) for row in rows if TEXT not in row["properties"]]


def test_without_keys_nothing_is_sealed(warehouse: Warehouse) -> None:
    assert seal_of(warehouse.state) is None


def test_masking_hides_what_is_sealed_by_the_same_names() -> None:
    said = {"type": "identify", "traits": {"age": 42, "生日": 19850305, "visits": 42, "children": [1], "phone": [1234]}}
    assert masked(said) == {
        "type": "identify",
        "traits": {"age": "99", "生日": "99999999", "visits": 42, "children": [1], "phone": ["9999"]},
    }  # fmt: skip
