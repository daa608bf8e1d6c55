"""From contents to one HTML file, and to pictures of its charts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jingzhe.core.text import Language, Text
from jingzhe.report.blocks import Section, Tile
from jingzhe.report.charts.pictures import cjk_font, svg_of, write_png
from jingzhe.report.charts.sheet import Chart
from jingzhe.report.contents import ReportData
from jingzhe.report.headlines import headlines
from jingzhe.report.names import STATE_COLOURS
from jingzhe.report.phrasing import (
    LANGUAGES,
    count,
    currency_unit,
    day,
    moment,
    same,
    say,
    share_of,
    short_money,
)
from jingzhe.report.sections import sections_of
from jingzhe.report.sources import source_names

_TEMPLATES = Environment(
    loader=PackageLoader("jingzhe.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_AT_STAKE = "#d55e00"
_NEUTRAL = "#6b7785"


class Written(NamedTuple):
    """Where a report was written."""

    page: Path
    charts: tuple[Path, ...]


@dataclass(frozen=True)
class Drawing:
    """One chart in one language and width."""

    lang: str
    width: str
    svg: Markup


@dataclass(frozen=True)
class Page:
    """Everything the template shows, in both languages.

    Args:
        data: the contents.
    """

    data: ReportData

    brand = Text("惊蛰 Jingzhe · report on dormant customers", "惊蛰 Jingzhe · 沉睡客户报告")
    short = Text("In short", "摘要")

    @property
    def title(self) -> Text:
        """Returns the heading of the page."""
        return say("Dormant customers: {project}", "沉睡客户：{project}", project=self.data.frame.project)

    @property
    def facts(self) -> tuple[Text, ...]:
        """Returns what the page is about: day, range, sources, size."""
        frame, totals = self.data.frame, self.data.totals
        facts = [say("As of {day}", "截至 {day}", day=day(frame.as_of))]
        if totals.first_day and totals.last_day:
            facts.append(
                say(
                    "Orders from {first} to {last}",
                    "订单 {first} 至 {last}",
                    first=day(totals.first_day),
                    last=day(totals.last_day),
                )
            )
            facts.append(
                say(
                    "{orders} orders, {spend}",
                    "{orders} 笔订单，{spend}",
                    orders=count(totals.orders),
                    spend=short_money(totals.spend, frame.currency),
                )
            )
        facts.append(say("Amounts: {unit}", "金额单位：{unit}", unit=currency_unit(frame.currency)))
        if frame.sources:
            facts.append(say("Source: {names}", "来源：{names}", names=source_names(self.data)))
        facts.append(say("Written {moment}", "生成于 {moment}", moment=moment(frame.generated_at)))
        return tuple(facts)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Returns the numbers at the head; none without orders."""
        totals, currency = self.data.totals, self.data.frame.currency
        if not totals.buyers:
            return ()
        quiet = self.data.state_people("dormant", "lost")
        edge = self.data.stake("edge")
        at_stake = sum(self.data.stake(group).spend_year for group in ("edge", "dormant", "lost"))
        year = say(
            "{spend} in the last 365 days",
            "近 365 天收入 {spend}",
            spend=short_money(totals.spend_year, currency),
        )
        return (
            Tile(Text("Customers with an order", "有订单的客户"), count(totals.buyers), year, _NEUTRAL),
            Tile(
                Text("Dormant or lost", "沉睡或流失"),
                count(quiet),
                _of_buyers(quiet, totals.buyers),
                STATE_COLOURS["dormant"],
            ),
            Tile(
                Text("At the edge", "沉睡边缘"),
                count(edge.people) if totals.scored else Text("not scored", "尚未评分"),
                _of_buyers(edge.people, totals.buyers) if totals.scored else same(""),
                STATE_COLOURS["declining"],
            ),
            Tile(
                Text("Revenue of these, last 365 days", "这两类客户近 365 天收入"),
                short_money(at_stake, currency),
                say(
                    "{share} of all revenue",
                    "占全部收入 {share}",
                    share=share_of(at_stake, totals.spend_year),
                ),
                _AT_STAKE,
            ),
        )

    @property
    def headlines(self) -> tuple[Text, ...]:
        """Returns the sentences of the summary."""
        return headlines(self.data)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Returns the sections."""
        return sections_of(self.data)

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Returns all charts in order."""
        return tuple(chart for section in self.sections for chart in section.charts)

    @cached_property
    def drawings(self) -> dict[str, tuple[Drawing, ...]]:
        """Returns each chart drawn in both languages, for a desk and for a phone."""
        return {
            chart.key: tuple(
                Drawing(
                    "zh-CN" if language == "zh" else "en",
                    "narrow" if narrow else "wide",
                    svg_of(chart, language, narrow=narrow),
                )
                for language in LANGUAGES
                for narrow in (False, True)
            )
            for chart in self.charts
        }

    @property
    def closing(self) -> Text:
        """Returns the last line."""
        return Text(
            "Written by Jingzhe on the company's own machine; this file contacts nobody.",
            "由惊蛰在企业自有机器上生成；本文件不与外界通信。",
        )


def _of_buyers(part: int, buyers: int) -> Text:
    return say("{share} of buyers", "占购买客户 {share}", share=share_of(part, buyers))


def page_html(data: ReportData, language: Language = "zh") -> str:
    """Returns the page.

    Args:
        data: the contents.
        language: shown first; the reader can switch.
    """
    return _TEMPLATES.get_template("page.html").render(page=Page(data), language=language)


def write_report(
    data: ReportData, out_path: str | Path, charts_folder: str | Path | None = None, language: Language = "zh"
) -> Written:
    """Writes the page, and pictures of its charts.

    Args:
        data: the contents.
        out_path: of the HTML file; what stood there is replaced at once.
        charts_folder: where ``<chart>.<language>.png`` go; None: no pictures. Chinese ones need a font of
            this machine that has the characters and are left out without one.
        language: shown first.

    Returns:
        the paths written.
    """
    page = Page(data)
    html = _TEMPLATES.get_template("page.html").render(page=page, language=language)
    target = Path(out_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    unfinished.write_text(html, encoding="utf-8")
    unfinished.replace(target)
    return Written(target, _pictures(page, Path(charts_folder)) if charts_folder is not None else ())


def _pictures(page: Page, folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    languages: tuple[Language, ...] = LANGUAGES if cjk_font() else ("en",)
    return tuple(
        write_png(chart, language, folder / f"{chart.key}.{language}.png")
        for chart in page.charts
        for language in languages
    )
