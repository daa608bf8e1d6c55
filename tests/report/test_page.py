from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import jingzhe.report
from jingzhe.core.text import Text
from jingzhe.report import ReportData, page_html, write_report
from jingzhe.report.charts.pictures import cjk_font
from jingzhe.report.page import Page
from tests.report.business import AS_OF, backtest, frame
from tests.report.conftest import Gather
from tests.report.reading import lacks_translation, read, texts_in


@pytest.fixture(scope="module")
def small(full: ReportData) -> ReportData:
    """The same with two charts only, quick to draw."""
    return replace(
        full,
        frame=replace(full.frame, backtest=None),
        totals=replace(full.totals, scored=0),
        moves=(),
        rfm_cells=(),
        silence=(),
        tiers=(),
    )


@pytest.fixture(scope="module")
def html(full: ReportData) -> str:
    return page_html(full, "zh")


def visible(html: str) -> str:
    return " ".join(" ".join(read(html).words).split())


def test_elements_nest_and_ids_are_unique(html: str) -> None:
    page = read(html)
    assert len(page.ids) == len(set(page.ids))
    linked = {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"}
    assert linked <= set(page.ids)
    assert len(linked) == 9


def test_nothing_outside_is_asked_for(html: str) -> None:
    assert not re.search(r"(?:https?:)?//[a-z]", html.replace("http://www.w3.org/", ""), re.IGNORECASE)
    page = read(html)
    assert not {"script", "iframe", "object", "img", "form"} & {tag for tag, _ in page.tags}
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "url(" not in html
    assert "@import" not in html


def test_charts_and_tables_can_be_heard(html: str) -> None:
    page = read(html)
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 40
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 20 for attrs in drawings)
    headings = [attrs for tag, attrs in page.tags if tag == "th"]
    assert all(attrs["scope"] in {"col", "row"} for attrs in headings)
    tables = [tag for tag, _ in page.tags if tag in {"table", "caption"}]
    assert tables.count("table") == tables.count("caption")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_language_asked_for_is_shown_first(small: ReportData, language: Any) -> None:
    page = read(page_html(small, language))
    chosen = [attrs["id"] for tag, attrs in page.tags if tag == "input" and "checked" in attrs]
    assert chosen == [f"show-{language}"]
    assert next(attrs["lang"] for tag, attrs in page.tags if tag == "html") == {"zh": "zh-CN", "en": "en"}[language]


def modules() -> list[Any]:
    found = pkgutil.walk_packages(jingzhe.report.__path__, "jingzhe.report.")
    return [importlib.import_module(module.name) for module in found]


def test_every_constant_text_stands_in_both_languages() -> None:
    texts = [
        (module.__name__, name, text)
        for module in modules()
        for name, value in vars(module).items()
        if not name.startswith("__")
        for text in texts_in(value)
    ]
    assert len(texts) > 60
    assert [entry for entry in texts if lacks_translation(entry[2])] == []


def test_every_text_of_a_page_stands_in_both_languages(full: ReportData) -> None:
    anonymous = replace(full, frame=replace(full.frame, project="Shop", sources=("orders",)))
    page = Page(anonymous)
    texts = [*texts_in(page.sections), *texts_in(page.tiles), *texts_in(page.facts), *texts_in(page.headlines)]
    texts += [page.title, page.short, page.closing]
    assert len(texts) > 400
    assert [text for text in texts if lacks_translation(text)] == []


def test_the_template_holds_no_words_of_its_own() -> None:
    template = (files("jingzhe.report") / "templates" / "page.html").read_text("utf-8")
    template = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>", "", template, flags=re.DOTALL)
    words = set(re.findall(r"\w{2,}", re.sub(r"<[^>]*>", " ", template)))
    assert words == {"中文", "English"}


def test_hostile_names_are_shown_and_never_run(full: ReportData, small: ReportData) -> None:
    evil = "<script>alert(1)</script>"
    attack = '"><img src=x onerror=alert(1)>'
    named = replace(
        small,
        totals=full.totals,
        frame=replace(small.frame, project=evil, sources=(attack,), currency="<b>"),
        edge=tuple(replace(person, key=evil) for person in full.edge),
        quality=replace(full.quality, rejected=tuple(replace(r, field=attack) for r in full.quality.rejected)),
    )
    html = page_html(named)
    page = read(html)
    tags = {tag for tag, _ in page.tags}
    assert not {"script", "img", "b"} & tags
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert evil in visible(html)


def test_nothing_in_the_contents_grows_with_people(full: ReportData) -> None:
    assert len(full.edge) == full.frame.top
    sizes = {field.name: len(value) for field in fields(full) if isinstance(value := getattr(full, field.name), tuple)}
    assert max(sizes.values()) <= 64


SAID = {
    "nothing": ({}, "There are no orders up to this day"),
    "prospects": (
        {"people": [{"person_id": 1, "state": "prospect", "purchases": 0}]},
        "There are no orders up to this day",
    ),
    "unscored": (
        {
            "people": [
                {"person_id": 1, "state": "active", "purchases": 2, "spend": 10.0, "monetary": 10.0, "recency_days": 3}
            ]
        },
        "There are no scores yet",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_empty_states_are_put_into_words(gather: Gather, name: str) -> None:
    rows, said = SAID[name]
    html = page_html(gather(frame(before=None, backtest=None, imports=None), **rows))
    assert said in visible(html)
    assert "No row was rejected." in visible(html)


def test_one_customer_nobody_quiet_and_nobody_at_the_edge(gather: Gather) -> None:
    one = {"person_id": 1, "purchases": 2, "spend": 10.0, "monetary": 10.0, "recency_days": 3, "cycle_days": 5.0}
    data = gather(
        frame(before=None, backtest=None, imports=None, currency="", sources=()),
        people=[{**one, "state": "active", "gaps": 1, "rfm_class": "general_value"}],
        scores=[{"person_id": 1, "p_return": 0.9, "risk": 0.1, "expected_value": 4.0, "value_tier": "high"}],
        person_days=[{"person_id": 1, "day": AS_OF, "purchases": 1, "spend": 10.0}],
    )
    words = visible(page_html(data))
    for said in (
        "There is one customer only",
        "Nobody is dormant or lost.",
        "Nobody stands at the edge",
        "No earlier day was given",
        "The models have not been tested",
        "currency as in the source",
    ):
        assert said in words
    assert "nan" not in words.split()


def test_a_fallback_is_told_on_the_page(small: ReportData) -> None:
    lost = backtest(-0.01, 0.004, chosen="pareto_nbd")
    words = visible(page_html(replace(small, frame=replace(small.frame, backtest=lost))))
    assert words.count("did not beat “Pareto/NBD”") == 2


def test_a_page_is_the_same_every_time(small: ReportData) -> None:
    assert page_html(small) == page_html(small)


def test_files_are_written_where_asked(small: ReportData, tmp_path: Path) -> None:
    written = write_report(small, tmp_path / "a" / "report.html", tmp_path / "charts", "en")
    assert written.page.read_text("utf-8") == page_html(small, "en")
    languages = ("en", "zh") if cjk_font() else ("en",)
    expected = [f"{key}.{language}.png" for key in ("pool", "rfm_classes") for language in languages]
    assert [path.name for path in written.charts] == expected
    assert all(path.stat().st_size > 3_000 for path in written.charts)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["report.html"]


def test_without_a_chinese_font_pictures_are_english_only(
    small: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jingzhe.report.page.cjk_font", lambda: None)
    monkeypatch.setattr("jingzhe.report.charts.pictures.cjk_font", lambda: None)
    written = write_report(small, tmp_path / "report.html", tmp_path)
    assert {path.suffixes[0] for path in written.charts} == {".en"}


def test_texts_are_a_pair() -> None:
    assert lacks_translation(Text("two words", "two words"))
    assert not lacks_translation(Text("BG/NBD", "BG/NBD"))
