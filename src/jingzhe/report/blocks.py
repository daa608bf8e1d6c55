"""What a page is made of: sections of words, charts and tables, before they become HTML."""

from __future__ import annotations

from dataclasses import dataclass

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import Chart


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        main: what stands in it.
        small: a second line in small print.
        colour: of a swatch before the words; empty for none.
    """

    main: Text
    small: Text | None = None
    colour: str = ""


@dataclass(frozen=True)
class Heading:
    """The head of a column.

    Args:
        name: what the column holds.
        number: True where it holds numbers, which stand to the right.
    """

    name: Text
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Args:
        caption: what one row is.
        headings: of the columns.
        rows: the cells.
        stacked: True to put the cells of a row below each other on a phone; False to let the table scroll.
    """

    caption: Text
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    stacked: bool = False


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Args:
        key: its anchor.
        title: its heading.
        lead: what it says, in paragraphs.
        charts: next to each other where there is room.
        tables: below the charts.
        notes: small print.
    """

    key: str
    title: Text
    lead: tuple[Text, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def aside(self) -> bool:
        """Returns whether the only chart stands beside the lead."""
        return len(self.charts) == 1 and not self.beside

    @property
    def beside(self) -> bool:
        """Returns whether the only chart and the first table, a small one, share a row."""
        return len(self.charts) == 1 and bool(self.tables) and not self.tables[0].stacked


@dataclass(frozen=True)
class Tile:
    """One number at the head of the page."""

    label: Text
    value: Text
    small: Text
    colour: str


def row(*cells: Cell | Text) -> tuple[Cell, ...]:
    """Returns the cells of a row; plain texts become cells."""
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
