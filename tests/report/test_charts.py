from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from jingzhe.core.text import Language
from jingzhe.report import Backtest, ReportData
from jingzhe.report.charts.pictures import PNG_MARGIN_PX, PNG_SCALE, cjk_font, svg_of, write_png
from jingzhe.report.charts.sheet import NARROW_PX, WIDE_PX, Chart, Sheet, shade, text_width, wrapped
from jingzhe.report.page import Page

KEYS = (
    "pool", "movement", "stake", "tiers", "weeks", "rfm_classes", "rfm_grid", "silence", "calibration", "ranking",
)  # fmt: skip


def words_of(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("text")]  # noqa: S314


@pytest.fixture(scope="module")
def charts(full: ReportData) -> dict[str, Chart]:
    return {chart.key: chart for chart in Page(full).charts}


def test_a_full_report_has_every_chart(charts: dict[str, Chart]) -> None:
    assert sorted(charts) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("narrow", [False, True])
def test_title_unit_and_source_stand_on_every_chart(
    charts: dict[str, Chart], key: str, language: Language, narrow: bool
) -> None:
    chart = charts[key]
    svg = svg_of(chart, language, narrow=narrow)
    shown = "".join(words_of(svg)).replace(" ", "")
    for part in (chart.title, chart.unit, chart.source):
        assert part.of(language).strip()
        assert part.of(language).replace(" ", "") in shown
    assert chart.source.of(language).startswith("Source: " if language == "en" else "来源：")
    assert len(svg) < 20_000


@pytest.mark.parametrize("key", KEYS)
def test_words_stay_on_the_sheet_and_the_drawing_harms_nothing_around_it(charts: dict[str, Chart], key: str) -> None:
    for language, narrow in (("en", False), ("en", True), ("zh", True)):
        svg = ET.fromstring(svg_of(charts[key], language, narrow=narrow))  # type: ignore[arg-type]  # noqa: S314
        width = NARROW_PX if narrow else WIDE_PX
        assert svg.get("viewBox", "").startswith(f"0 0 {width} ")
        assert {element.tag for element in svg.iter()} == {"svg", "path", "text"}
        assert not [element for element in svg.iter() if element.get("id") or element.get("style")]
        for text in svg.iter("text"):
            x, size = float(text.get("x", 0)), float(text.get("font-size", 0))
            reach = text_width(text.text or "", size) * 0.95
            left = x - {"end": reach, "middle": reach / 2}.get(text.get("text-anchor", ""), 0.0)
            assert left >= -2, (text.text, left)
            assert left + reach <= width + 3, (text.text, left + reach)
            assert size >= 9


def test_drawings_are_the_same_every_time(charts: dict[str, Chart]) -> None:
    for chart in charts.values():
        assert svg_of(chart, "zh") == svg_of(chart, "zh")


def test_hostile_and_mathematical_names_stay_words(full: ReportData) -> None:
    named = replace(full, frame=replace(full.frame, sources=("<script>$x$</script>", "a" * 200, "b", "c")))
    chart = Page(named).charts[0]
    shown = " ".join(words_of(svg_of(chart, "en")))
    assert "<script>$x$</script>" in shown
    assert "and 2 more" in shown


def test_pictures_have_their_size_and_both_languages(
    charts: dict[str, Chart], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = charts["calibration"]
    languages: tuple[Language, ...] = ("en", "zh") if cjk_font() else ("en",)
    for language in languages:
        path = write_png(chart, language, tmp_path / f"{language}.png")
        sheet = Sheet(chart, language)
        with Image.open(path) as picture:
            assert picture.width == (WIDE_PX + 2 * PNG_MARGIN_PX) * PNG_SCALE
            assert abs(picture.height - (sheet.height + 2 * PNG_MARGIN_PX) * PNG_SCALE) <= 1
            assert len(set(picture.convert("L").resize((60, 60)).tobytes())) > 5
        assert path.read_bytes() == write_png(chart, language, tmp_path / "again.png").read_bytes()


def test_wrapping_breaks_at_spaces_and_between_characters() -> None:
    assert wrapped("one two three", 60, 12) == ["one two", "three"]
    assert wrapped("来源：订单数据，截至今日", 84, 12) == ["来源：订单数", "据，截至今日"]
    assert wrapped("", 60, 12) == [""]
    assert all(text_width(line, 12) <= 200 for line in wrapped("x" * 300, 200, 12))


def test_words_on_a_heat_cell_can_be_read() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for step in range(101):
        fill, ink = (luminance(colour) for colour in shade(step / 100))
        assert (max(fill, ink) + 0.05) / (min(fill, ink) + 0.05) >= 4.5, step


Change = Callable[[ReportData], ReportData]


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("pool", lambda data: replace(data, states=data.states[:1])),
        ("weeks", lambda data: replace(data, edge_weeks=data.edge_weeks[:1])),
        ("silence", lambda data: replace(data, silence=data.silence[:1])),
        ("rfm_grid", lambda data: replace(data, rfm_cells=data.rfm_cells[:1])),
        ("stake", lambda data: replace(data, stakes=tuple(replace(s, spend_year=0.0) for s in data.stakes))),
        ("tiers", lambda data: replace(data, tiers=tuple(replace(t, spend=-5.0) for t in data.tiers))),
        ("movement", lambda data: replace(data, moves=tuple(replace(m, people=10**9) for m in data.moves))),
        ("ranking", lambda data: replace(data, frame=replace(data.frame, backtest=coin(data.frame.backtest)))),
    ],
)
def test_odd_numbers_are_drawn_too(full: ReportData, key: str, change: Change) -> None:
    chart = next(chart for chart in Page(change(full)).charts if chart.key == key)
    svg = svg_of(chart, "en", narrow=True)
    assert not re.search(r"\b(nan|inf)\b", svg, re.IGNORECASE)
    assert len(words_of(svg)) > 4


def coin(backtest: Backtest) -> Backtest:
    return replace(backtest, models=tuple(replace(model, auc=0.5, auc_se=None) for model in backtest.models))
