"""A sheet of paper measured in pixels: title, unit and source stand on every chart in the same places.

matplotlib draws it through its object interface; no global state is touched. Widths of words are estimated,
not measured, so that a drawing is the same on every machine whatever fonts it has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text as Words
from matplotlib.transforms import Affine2D

from jingzhe.core.text import Language, Text

INK, MUTED, GRID, PAPER = "#1d2733", "#566370", "#d7dde3", "#ffffff"
ON_LIGHT, ON_DARK = "#010203", "#fffffe"
BLUE, AMBER, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#8a97a4"
_RAMP = ((0xE9, 0xF2, 0xF9), (0x7F, 0xB5, 0xDB), (0x0B, 0x4F, 0x86))

WIDE_PX, NARROW_PX = 540, 352
Anchor = Literal["left", "center", "right"]


@dataclass(frozen=True)
class Chart:
    """One chart, not drawn yet.

    Args:
        key: name of its file and of its place in the page.
        title: what it shows.
        unit: what is measured, in which unit.
        source: where the data come from and as of when.
        alt: its message in words, for those who do not see it.
        body: draws what stands between unit and source.
        heights: height of the body on a wide and on a narrow sheet, px.
    """

    key: str
    title: Text
    unit: Text
    source: Text
    alt: Text
    body: Callable[[Sheet], None]
    heights: tuple[int, int]


class Sheet:
    """The drawing surface of one chart in one language and width; y grows downwards.

    Args:
        chart: what to draw.
        language: of all words on it.
        narrow: True for the width of a phone.
        family: fonts to draw with; only a picture needs them, a browser brings its own.
        margin: empty space around everything, px.
    """

    def __init__(
        self,
        chart: Chart,
        language: Language,
        *,
        narrow: bool = False,
        family: Sequence[str] = ("DejaVu Sans",),
        margin: float = 0,
    ) -> None:
        self.language: Language = language
        self.narrow = narrow
        self.width = NARROW_PX if narrow else WIDE_PX
        self.size = 12.0 if narrow else 12.5
        self._family = list(family)
        title = wrapped(chart.title.of(language), self.width - 4, self.size + 2.5)
        unit = wrapped(chart.unit.of(language), self.width - 4, self.size - 0.5)
        source = wrapped(chart.source.of(language), self.width - 4, self.size - 1.5)
        self.top = 20.0 * len(title) + 17.0 * len(unit) + 12
        self.bottom = self.top + chart.heights[1 if narrow else 0]
        self.height = self.bottom + 14 + 15.0 * len(source)
        size = ((self.width + 2 * margin) / 72, (self.height + 2 * margin) / 72)
        self.figure = Figure(figsize=size, dpi=72, facecolor="none")
        pixels = Affine2D().scale(1 / 72, -1 / 72).translate(margin / 72, (self.height + margin) / 72)
        self._place = pixels + self.figure.dpi_scale_trans
        y = 16.0
        for line in title:
            self.words(1, y, line, size=self.size + 2.5, bold=True)
            y += 20
        for line in unit:
            self.words(1, y, line, size=self.size - 0.5, colour=MUTED)
            y += 17
        y = self.bottom + 18
        for line in source:
            self.words(1, y, line, size=self.size - 1.5, colour=MUTED)
            y += 15
        chart.body(self)

    def words(
        self,
        x: float,
        y: float,
        text: Text | str,
        *,
        anchor: Anchor = "left",
        size: float | None = None,
        colour: str = INK,
        bold: bool = False,
    ) -> None:
        """Writes words with their baseline at ``y``."""
        shown = text.of(self.language) if isinstance(text, Text) else text
        self.figure.add_artist(
            Words(
                x,
                y,
                shown,
                horizontalalignment=anchor,
                verticalalignment="baseline",
                fontsize=size or self.size,
                color=colour,
                fontweight="bold" if bold else "normal",
                fontfamily=self._family,
                parse_math=False,
                transform=self._place,
            )
        )

    def middle(self, x: float, y: float, text: Text | str, **style: object) -> None:
        """Writes words whose middle is at height ``y``."""
        size = style.get("size")
        height = size if isinstance(size, float) else self.size
        self.words(x, y + 0.36 * height, text, **style)  # type: ignore[arg-type]

    def box(self, x: float, y: float, width: float, height: float, colour: str, *, edge: str | None = None) -> None:
        """Fills a rectangle whose upper left corner is at (x, y)."""
        if width <= 0 or height <= 0:
            return
        stroke = edge or "none"
        self.figure.add_artist(
            Rectangle((x, y), width, height, facecolor=colour, edgecolor=stroke, linewidth=1, transform=self._place)
        )

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        colour: str = GRID,
        width: float = 1,
        dashed: bool = False,
    ) -> None:
        """Draws a straight line."""
        drawn = Line2D([x1, x2], [y1, y2], color=colour, linewidth=width, transform=self._place)
        if dashed:
            drawn.set_linestyle((0, (4, 3)))
        self.figure.add_artist(drawn)

    def dot(self, x: float, y: float, radius: float, colour: str, *, edge: str = PAPER) -> None:
        """Draws a filled circle."""
        self.figure.add_artist(
            Circle((x, y), radius, facecolor=colour, edgecolor=edge, linewidth=1, transform=self._place)
        )


def text_width(words: str, size: float) -> float:
    """Returns an estimate of the width of ``words`` at ``size``, px."""
    return sum(size if unicodedata.east_asian_width(letter) in "WF" else 0.56 * size for letter in words)


def wrapped(words: str, width: float, size: float) -> list[str]:
    """Returns ``words`` in lines no wider than ``width``: at spaces, and between Chinese characters."""
    lines, line = [], ""
    for piece in _pieces(words):
        if line and text_width((line + piece).rstrip(), size) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line else lines or [""]


def _pieces(words: str) -> list[str]:
    """Returns the parts between which a line may break; closing marks stay with what they close."""
    pieces: list[str] = []
    for letter in words:
        wide = unicodedata.east_asian_width(letter) in "WF"
        closing = wide and unicodedata.category(letter) in {"Po", "Pe", "Pf"}
        starts = not pieces or pieces[-1].endswith(" ") or len(pieces[-1]) >= 24
        after_wide = bool(pieces) and unicodedata.east_asian_width(pieces[-1][-1]) in "WF"
        if starts or ((wide or after_wide) and not closing and letter != " "):
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


def shade(share: float) -> tuple[str, str]:
    """Returns the fill for a share from 0 to 1 on the blue ramp, and the colour of words on it."""
    at = min(max(share, 0.0), 1.0) * 2
    low, high = (_RAMP[0], _RAMP[1]) if at < 1 else (_RAMP[1], _RAMP[2])
    part = at if at < 1 else at - 1
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}", ON_DARK if at > 1.57 else ON_LIGHT
