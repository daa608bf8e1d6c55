from __future__ import annotations

from jingzhe.store.engine import Source
from jingzhe.store.engine.sql import final_sql, literal, quoted, stored_select, table_sql, text_list, with_steps
from jingzhe.store.facts import EVENTS
from jingzhe.store.query import Query, Step
from tests.store.small import SCORES


def test_quoting() -> None:
    assert literal("it's") == "'it''s'"
    assert quoted('a "b"') == '"a ""b"""'
    assert text_list(["a", "b'c"]) == "['a', 'b''c']"


def test_a_table_without_files_has_columns_but_no_rows() -> None:
    sql = table_sql(Source(EVENTS))
    assert "read_parquet" not in sql
    assert "WHERE false" in sql


def test_retracted_rows_are_left_out_only_where_there_are_retractions() -> None:
    assert "ANTI JOIN" not in table_sql(Source(EVENTS, ("/f.parquet",)))
    assert "ANTI JOIN retractions" in table_sql(Source(EVENTS, ("/f.parquet",), without="retractions"))


def test_the_overlay_comes_before_the_base() -> None:
    plain = table_sql(Source(SCORES, ("/b.parquet",)))
    assert "ANTI JOIN" not in plain
    layered = table_sql(Source(SCORES, ("/b.parquet",), ("/o.parquet",)))
    assert "WHERE NOT gone" in layered
    assert "USING (person_id)" in layered


def test_steps_become_common_table_expressions_but_for_those_kept() -> None:
    query = Query("q", (Step("a", "SELECT 1"), Step("b", "SELECT 2"), Step("c", "SELECT * FROM a, b")))
    assert "a AS NOT MATERIALIZED" not in final_sql(query, frozenset({"a"}))
    assert "b AS NOT MATERIALIZED" in final_sql(query, frozenset({"a"}))
    assert with_steps((), "SELECT 1") == "SELECT 1"
    assert stored_select(SCORES, "SELECT 1").count("CAST(") == 3
