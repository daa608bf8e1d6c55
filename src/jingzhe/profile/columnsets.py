"""Columns computed from other columns of the same row; a part declares them and the refresh adds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jingzhe.store.catalogue import Column


@dataclass(frozen=True)
class ColumnSet:
    """Derived columns of a person.

    Args:
        name: of the step that computes them.
        columns: what they are.
        expressions: SQL per column, over the columns that stand before (facts and earlier sets); may bind values.
        values: what the expressions bind, besides ``$as_of``.
    """

    name: str
    columns: tuple[Column, ...]
    expressions: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        declared = {column.name for column in self.columns}
        if declared != set(self.expressions):
            raise ValueError(f"column set {self.name}: columns and expressions differ")

    def select(self, source: str) -> str:
        """Returns the SELECT that adds the columns to every row of ``source``."""
        added = ", ".join(f"{self.expressions[column.name]} AS {column.name}" for column in self.columns)
        return f"SELECT *, {added} FROM {source}"
