"""What goes in and out, as pydantic models; rows of tables take their columns from the catalogue."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from jingzhe.store.catalogue import SqlType, Table

Row = TypeVar("Row")
_PYTHON: dict[SqlType, type] = {
    "BIGINT": int, "INTEGER": int, "DOUBLE": float, "VARCHAR": str, "BOOLEAN": bool, "DATE": date,
    "TIMESTAMPTZ": datetime,
}  # fmt: skip

Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))]
"""A moment with its zone, of a time that every store can hold."""


class Given(BaseModel):
    """What a caller sends: nothing but what is known."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000, hide_input_in_errors=True)


class Shown(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(from_attributes=True)


class Page(Shown, Generic[Row]):
    """Some rows of a list."""

    items: list[Row]
    next_cursor: str | None = Field(default=None, description="for the next page; null on the last one")


def row_model(name: str, table: Table, *, as_text: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> Any:
    """Returns the model of a table's rows, each column with the meaning that the catalogue gives it.

    Args:
        name: of the model.
        table: whose columns.
        as_text: numbers that may be larger than a browser's numbers are exact (2^53).
        leave: columns that are not shown.
    """
    fields: dict[str, Any] = {
        column.name: (
            (str if column.name in as_text else _PYTHON[column.type]) | None,
            Field(default=None, description=column.doc),
        )
        for column in table.columns
        if column.name not in leave
    }
    return create_model(name, __base__=Shown, **fields)


PersonId = Annotated[int, Path(ge=1, lt=2**63, description="number of the person", examples=[17])]
Role = Literal["owner", "operator", "analyst", "integrator", "auditor"]
Language = Literal["en", "zh"]
