from __future__ import annotations

import pyarrow as pa
import pytest

from jingzhe.store.catalogue import ARROW, Catalogue, Column, Table, identifier
from jingzhe.store.facts import FACTS
from tests.store.small import SCORES

NUMBER = Column("number", "BIGINT", "a number")


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a b", "a;drop", 'a"', "a\n", "名"])
def test_names_that_need_quoting_are_no_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="no identifier"):
        identifier(name)
    with pytest.raises(ValueError, match="no identifier"):
        Column(name, "BIGINT", "")


def test_a_table_checks_its_declaration() -> None:
    with pytest.raises(ValueError, match="twice"):
        Table("t", (NUMBER, NUMBER), key=())
    with pytest.raises(ValueError, match=r"no column \['ts'\]"):
        Table("t", (NUMBER,), key=("number",), sort_by=("ts",))
    with pytest.raises(ValueError, match="declared twice"):
        Catalogue.of(SCORES, SCORES)
    with pytest.raises(KeyError, match="no column 'age'"):
        SCORES["age"]


def test_a_layered_table_stores_a_marker() -> None:
    assert [column.name for column in SCORES.stored_columns] == ["person_id", "score", "gone"]
    assert SCORES.arrow_schema.names == ["person_id", "score"]
    wider = SCORES.with_columns([NUMBER])
    assert wider.column_names == ("person_id", "score", "number")
    assert wider.layered


def test_every_fact_is_described_and_typed() -> None:
    for table in FACTS:
        assert table.doc
        for column in table.columns:
            assert column.doc
            assert isinstance(ARROW[column.type], pa.DataType)
