from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from jingzhe.report import ReportData, write_report

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists() and not os.environ.get("CI"), reason=f"no browser at {CHROMIUM}; apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(full: ReportData, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(full, tmp_path_factory.mktemp("page") / "report.html").page.as_uri()


@pytest.mark.parametrize("width", [1280, 820, 390, 320])
def test_the_page_fits_switches_language_and_asks_for_nothing(browser: Browser, address: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 850}, offline=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    for language, heading, other in (("zh", "沉睡边缘", "How sure we are"), ("en", "How sure we are", "有多可信")):
        page.locator(f"label[for=show-{language}]").click()
        assert page.get_by_role("heading", name=heading).is_visible()
        assert page.get_by_role("heading", name=other).count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        charts = page.evaluate(
            "[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect()).filter(r => r.width)"
            ".map(r => [r.left, r.right])"
        )
        assert len(charts) == 10
        assert all(left >= 0 and right <= width for left, right in charts)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_words_on_charts_are_large_enough_and_do_not_overlap(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 850})
    page.goto(address)
    for language in ("zh", "en"):
        page.locator(f"label[for=show-{language}]").click()
        found = page.evaluate(
            """() => [...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width)
              .map(svg => {
                const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
                const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect(),
                  parseFloat(getComputedStyle(t).fontSize) * scale]);
                const clashes = [];
                boxes.forEach(([a, r], i) => boxes.slice(i + 1).forEach(([b, s]) => {
                  const across = Math.min(r.right, s.right) - Math.max(r.left, s.left);
                  const down = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
                  if (across > 2 && down > 5) clashes.push(a + ' | ' + b);
                }));
                return {clashes, smallest: Math.min(...boxes.map(b => b[2]))};
              })"""
        )
        assert [chart["clashes"] for chart in found if chart["clashes"]] == []
        assert min(chart["smallest"] for chart in found) >= 8.5
    page.close()


def test_the_toggle_works_from_the_keyboard(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("#show-en").is_checked()
    assert page.get_by_role("heading", name="In short").is_visible()
    page.close()
