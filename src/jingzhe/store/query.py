"""Queries as named steps, in DuckDB's dialect.

A query is a list of steps, each a name and a SELECT that may read the lake's tables and the steps before it.
Steps are common table expressions; one marked ``kept`` is computed once and stands for the rest of the session.
Values are bound by name (``$as_of``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jingzhe.store.catalogue import identifier

PARAMETER = re.compile(r"\$([a-z][a-z0-9_]*)")
"""How a step names a value."""


@dataclass(frozen=True)
class Step:
    """One named SELECT.

    Args:
        name: what later steps call it.
        sql: a SELECT (or WITH … SELECT) without a semicolon.
        kept: True to compute it once, as a temporary table of the session.
    """

    name: str
    sql: str
    kept: bool = False

    def __post_init__(self) -> None:
        identifier(self.name)


@dataclass(frozen=True)
class Query:
    """Named steps; the last one is the answer.

    Args:
        name: what the query is called in errors, logs and tests.
        steps: in order; a step sees those before it.
        doc: what one row of the answer is.
    """

    name: str
    steps: tuple[Step, ...]
    doc: str = ""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"query {self.name} has no steps")

    @property
    def parameters(self) -> frozenset[str]:
        """Returns the names of the bound values."""
        return frozenset(name for step in self.steps for name in parameters_of(step.sql))


def parameters_of(sql: str) -> frozenset[str]:
    """Returns the names bound in ``sql``."""
    return frozenset(PARAMETER.findall(sql))


def bound(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of ``values`` that ``sql`` asks for; raises KeyError naming one that is missing."""
    return {name: values[name] for name in parameters_of(sql)}


def one(name: str, sql: str, doc: str = "") -> Query:
    """Returns a query of a single step."""
    return Query(name, (Step(name, sql),), doc)
