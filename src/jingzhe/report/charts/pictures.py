"""Drawn charts: as SVG for the page, as PNG for slides and mail."""

from __future__ import annotations

import io
import re
import warnings
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.font_manager import fontManager

from jingzhe.core.text import Language
from jingzhe.report.charts.sheet import GRID, INK, MUTED, PAPER, Chart, Sheet

CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Noto Sans CJK JP", "PingFang SC",
    "Microsoft YaHei", "Heiti SC", "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei",
    "Arial Unicode MS",
)  # fmt: skip
"""Fonts with Chinese characters, the best first."""

PNG_SCALE = 2
PNG_MARGIN_PX = 20
_SVG = "http://www.w3.org/2000/svg"
_THEMED = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}
_NUMBER = re.compile(r"-?\d+\.\d+")


def svg_of(chart: Chart, language: Language, *, narrow: bool = False) -> Markup:
    """Returns the chart as an SVG element to stand in a page.

    It has neither ids nor styles that reach beyond it, leaves the choice of fonts to the page, and takes the
    colours of ink, grid and paper from the page's ``--ink``, ``--muted``, ``--grid`` and ``--paper``.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": chart.key, "path.simplify": False}):
        sheet = Sheet(chart, language, narrow=narrow)
        buffer = io.StringIO()
        FigureCanvasSVG(sheet.figure)
        with warnings.catch_warnings():
            # The browser draws the words with its own fonts; matplotlib's need not have the glyphs.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            sheet.figure.savefig(
                buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
            )
    root = ET.fromstring(buffer.getvalue())  # noqa: S314 - our own drawing
    _clean(root)
    drawn = ET.Element("svg")
    drawn.set("viewBox", f"0 0 {sheet.width:g} {sheet.height:g}")
    drawn.set("role", "img")
    drawn.set("aria-label", f"{chart.title.of(language)}. {chart.alt.of(language)}")
    drawn.extend(_leaves(root))
    return Markup(ET.tostring(drawn, encoding="unicode"))  # noqa: S704 - escaped by the serialiser


def _leaves(root: ET.Element) -> list[ET.Element]:
    """Returns what is drawn, without the groups around it."""
    return [element for element in root.iter() if element.tag in {"path", "text"}]


def _clean(root: ET.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}") if isinstance(element.tag, str) else "comment"
        element.tail = None
        element.attrib.pop("id", None)
        element.attrib.pop("clip-path", None)
        style = _declarations(element.attrib.pop("style", ""))
        if element.tag == "text":
            _place(element, style)
        for name in ("fill", "stroke"):
            if style.get(name) in _THEMED:
                element.set("class", f"{element.get('class', '')} {name}-{_THEMED[style.pop(name)]}".strip())
        for name, value in style.items():
            if name in {
                "fill",
                "stroke",
                "stroke-width",
                "stroke-dasharray",
                "text-anchor",
                "font-size",
                "font-weight",
            }:
                element.set(name, value)
        if element.tag == "path":
            element.set("d", _NUMBER.sub(_shortened, " ".join(element.get("d", "").split())))
            if "fill" not in style and "fill-" not in element.get("class", ""):
                element.set("fill", "none")


def _place(element: ET.Element, style: dict[str, str]) -> None:
    """Keeps of a text its place, size and weight; the font is the page's."""
    font = style.pop("font", "")
    size = re.search(r"([\d.]+)px", font)
    if size:
        style["font-size"] = size.group(1)
    if re.search(r"\b(700|bold)\b", font) or style.get("font-weight") in {"700", "bold"}:
        style["font-weight"] = "600"
    style["font-size"] = style.get("font-size", "12").removesuffix("px")
    moved = re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", element.attrib.pop("transform", ""))
    if moved:
        element.set("x", moved.group(1))
        element.set("y", moved.group(2))
    for name in ("x", "y"):
        element.set(name, _NUMBER.sub(_shortened, element.get(name, "0")))


def _declarations(style: str) -> dict[str, str]:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return {name.strip(): value.strip() for name, value in pairs}


def _shortened(match: re.Match[str]) -> str:
    return f"{float(match.group()):.1f}".removesuffix(".0")


@lru_cache(maxsize=1)
def cjk_font() -> str | None:
    """Returns a font of this machine that has Chinese characters, or None."""
    known = {font.name for font in fontManager.ttflist}
    return next((name for name in CJK_FONTS if name in known), None)


def write_png(chart: Chart, language: Language, path: Path) -> Path:
    """Writes the chart as a picture with a margin, twice as large as on the page.

    Args:
        chart: what to draw.
        language: Chinese needs a font that has it, see :func:`cjk_font`.
        path: of the file.
    """
    font = cjk_font()
    family = (font, "DejaVu Sans") if font else ("DejaVu Sans",)
    with rc_context({"path.simplify": False}):
        sheet = Sheet(chart, language, family=family, margin=PNG_MARGIN_PX)
        sheet.figure.set_facecolor(PAPER)
        FigureCanvasAgg(sheet.figure)
        sheet.figure.savefig(path, format="png", dpi=72 * PNG_SCALE, metadata={"Software": None})
    return path
