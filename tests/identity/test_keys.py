from __future__ import annotations

import hashlib
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingzhe.core.errors import SettingError
from jingzhe.identity.keys import NEVER, NORMALISERS, Key, hidden, is_junk
from jingzhe.identity.normalising import junk_of, written_all
from jingzhe.identity.numbering import numbered
from jingzhe.identity.observations import Coder, KeyColumn, Observations
from jingzhe.identity.rules import Rules, known_salt, load_rules, project_salt, rules_from, save_rules
from jingzhe.store.state import State

SALT = b"0" * 32


@pytest.mark.parametrize(
    ("normaliser", "region", "raw", "written"),
    [
        ("phone", "CN", "13912345678", "+8613912345678"),
        ("phone", "CN", " 139 1234 5678 ", "+8613912345678"),
        ("phone", "CN", "+86 139-1234-5678", "+8613912345678"),
        ("phone", "CN", "008613912345678", "+8613912345678"),
        ("phone", "CN", "１３９１２３４５６７８", "+8613912345678"),
        ("phone", "GB", "020 7946 0018", "+442079460018"),
        ("phone", "GB", "+86 139 1234 5678", "+8613912345678"),
        ("phone", "CN", "12", None),
        ("phone", "CN", "call me", None),
        ("email", "CN", " Ann.Lee@Example.COM ", "ann.lee@example.com"),
        ("email", "CN", "mailto:ann@example.com", "ann@example.com"),
        ("email", "CN", "ａｎｎ@example.com", "ann@example.com"),
        ("email", "CN", "ann at example.com", None),
        ("email", "CN", "ann@localhost", None),
        ("plain", "CN", "  User-7 ", "User-7"),
        ("plain", "CN", "   ", None),
        ("folded", "CN", "A1B2-C3", "a1b2-c3"),
    ],
)
def test_one_way_of_writing(normaliser: str, region: str, raw: str, written: str | None) -> None:
    assert NORMALISERS[normaliser](raw, region) == written
    found = written_all(normaliser, pa.array([raw]), region)[0].as_py()
    assert (found or None) == written


@pytest.mark.parametrize(
    "value",
    ["", "0", "000", "null", "NULL", "undefined", "Unknown", "00000000-0000-0000-0000-000000000000",
     "ffffffff-ffff-ffff-ffff-ffffffffffff", "11111111", "-", "未知"],
)  # fmt: skip
def test_junk_is_no_key(value: str) -> None:
    assert is_junk(value, NEVER)
    assert junk_of(pa.array([value]), NEVER).tolist() == [True]


@pytest.mark.parametrize("value", ["7777", "1", "10", "0x7", "ann", "100000000", "00000001", "aab"])
def test_keys_that_only_look_odd_are_kept(value: str) -> None:
    assert not is_junk(value, NEVER)
    assert junk_of(pa.array([value]), NEVER).tolist() == [False]


@given(st.lists(st.text(alphabet="0aA1-: ", max_size=12), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_column_is_judged_as_its_values_are(values: list[str]) -> None:
    written = written_all("plain", pa.array(values), "CN")
    alone = [NORMALISERS["plain"](value, "CN") for value in values]
    assert [value or None for value in written.to_pylist()] == alone
    assert junk_of(written, NEVER).tolist() == [value is None or is_junk(value, NEVER) for value in alone]


def test_the_lake_has_personal_values_as_marked_hashes() -> None:
    never = hidden("phone", "+8613700000000", SALT)
    coder = Coder(Rules(never_hashed={"phone": frozenset({never})}), SALT)
    given = pa.array(["139 1234 5678", "+8613912345678", "none", "13800138000", "13700000000", "", f"hashed:{never}"])
    filed = coder.filed("phone", given)
    assert filed is not None
    one, same, *others = filed.to_pylist()
    assert one == same == "hashed:" + hidden("phone", "+8613912345678", SALT)
    assert all(re.fullmatch(r"hashed-text:[0-9a-f]{32}", other) for other in others)
    assert len(set(others)) == len(others), "what is no value still tells one customer from another"
    assert coder.filed("phone", filed) == filed, "the same again"
    assert coder.filed("login", given) is None
    for text in (one, "139 1234 5678"):
        assert coder.stored(Key("phone", text), filed=True) == coder.stored(Key("phone", "13912345678"))
    assert [coder.stored(Key("phone", text), filed=True) for text in others] == [None] * len(others)
    assert coder.stored(Key("phone", one)) is None, "a live event says the telephone, not its hash"
    assert coder.stored(Key("login", one), filed=True) == coder.stored(Key("login", one)), "an account may be called so"


@given(st.lists(st.text(max_size=20) | st.from_regex(r"1[3-9]\d{9}", fullmatch=True), min_size=1, max_size=8))
@settings(deadline=None)
def test_filed_keys_lead_where_the_written_ones_do(values: list[str]) -> None:
    coder, written = Coder(Rules(), SALT), pa.array(values, pa.string())
    filed = coder.filed("phone", written)
    assert filed is not None
    moments = np.zeros(len(values), np.int64)
    made = [
        coder.encode(Observations((KeyColumn("phone", column, filed=True),), moments, [""] * len(values)))
        for column in (written, filed)
    ]
    assert made[0].values == made[1].values
    assert (made[0].matrix == made[1].matrix).all()
    for value, one in zip(values, filed.to_pylist(), strict=True):
        assert value not in one or not re.search(r"\d{6}", value)


def test_a_personal_value_is_stored_as_a_keyed_hash_only() -> None:
    coder = Coder(Rules(), SALT)
    found = coder.stored(Key("phone", "139 1234 5678"))
    assert found is not None
    value, _ = found
    assert value == hidden("phone", "+8613912345678", SALT)
    assert "1391" not in value
    assert len(value) == 32
    other = Coder(Rules(), b"1" * 32).stored(Key("phone", "13912345678"))
    assert other is not None
    assert other[0] != value, "another project's hashes cannot be compared"
    plain = coder.stored(Key("login", " User-7"))
    assert plain is not None
    assert plain[0] == "User-7"


def test_the_hash_is_hmac_as_rfc_2104_writes_it() -> None:
    block = SALT.ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    wanted = hashlib.sha256(outer + hashlib.sha256(inner + b"email\0a@b.cd").digest()).hexdigest()[:32]
    assert hidden("email", "a@b.cd", SALT) == wanted


def test_the_salt_is_made_once(state: State) -> None:
    with state.writing() as connection:
        first = project_salt(state, connection)
    with state.writing() as connection:
        assert project_salt(state, connection) == first
    assert len(first) == 32


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=90), unique=True, max_size=30))
@settings(deadline=None)
def test_numbers_depend_on_the_text_alone(texts: list[str]) -> None:
    together = numbered(pa.array(texts, pa.string()), b"s")
    alone = [int(numbered(pa.array([text], pa.string()), b"s")[0]) for text in texts]
    assert together.tolist() == alone
    assert numbered(pa.array(["x", *texts], pa.string())[1:], b"s").tolist() == alone
    assert len(set(alone)) == len(texts)
    assert all(0 <= number < 2**63 for number in alone)


def test_numbers_are_spread_evenly() -> None:
    texts = pa.array([f"identity-{n:07d}" for n in range(100_000)])
    numbers = numbered(texts, b"s")
    assert len(np.unique(numbers)) == 100_000
    in_each = np.bincount(numbers >> 57, minlength=64)
    # 64 classes of 1562.5 on average, standard deviation 39.
    assert in_each.min() > 1562 - 6 * 39
    assert in_each.max() < 1562 + 6 * 39


def test_rules_are_data(state: State) -> None:
    assert load_rules(state) == Rules()
    document = {"kinds": {"phone": {"single": 1}, "badge": {"strength": 65, "personal": True}}, "region": "GB",
                "never_of": {"phone": ["020 7946 0018"]}}  # fmt: skip
    rules = rules_from(document)
    assert save_rules(state, rules) == 1
    found = load_rules(state)
    assert found.never_of == {}, "no telephone number is kept in plain"
    assert len(found.never_hashed["phone"]) == 1
    assert (found.kinds, found.never, found.region) == (rules.kinds, rules.never, rules.region)
    assert found.kind("phone").single == 1
    assert found.kind("phone").personal, "what the document does not mention is as it ships"
    assert found.kind("badge").strength == 65
    with state.reading() as connection:
        coder = Coder(found, known_salt(connection) or b"")
    assert coder.stored(Key("phone", "+44 20 7946 0018")) is None, "a shop's own number, however it is written"
    assert coder.stored(Key("phone", "+44 20 7946 0019")) is not None


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"kind": {}}, "no field 'kind'"),
        ({"kinds": {"phone": {"colour": 1}}}, "means nothing"),
        ({"kinds": {"phone": {"single": 0}}}, "single must be 1 or more"),
        ({"kinds": {"phone": {"normaliser": "loud"}}}, "no way of writing"),
        ({"kinds": {"Phone Number": {}}}, "no kind of key"),
    ],
)
def test_rules_that_mean_nothing_are_refused(document: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        rules_from(document)


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(SettingError, match="no kind of key called 'fax'"):
        Coder(Rules(), SALT).stored(Key("fax", "1"))
