from __future__ import annotations

import pytest

from jingzhe.store.query import Query, Step, bound, one, parameters_of


def test_parameters_are_found_by_name() -> None:
    query = Query("q", (Step("a", "SELECT $as_of AS d"), Step("b", "SELECT * FROM a WHERE x > $low AND y > $low")))
    assert query.parameters == {"as_of", "low"}
    assert parameters_of("SELECT 1, '$' || 'x', a$b") == {"b"}
    assert bound("SELECT $low", {"low": 1, "high": 2}) == {"low": 1}
    with pytest.raises(KeyError, match="low"):
        bound("SELECT $low", {})


def test_a_query_has_steps_with_names() -> None:
    with pytest.raises(ValueError, match="no steps"):
        Query("q", ())
    with pytest.raises(ValueError, match="no identifier"):
        Step("no name", "SELECT 1")
    assert one("n", "SELECT 1", "a row").steps == (Step("n", "SELECT 1"),)
