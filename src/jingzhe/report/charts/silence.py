"""Chart of silence: how long people have been quiet, measured by their own rhythm."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import MUTED, PAPER, Chart, Sheet, text_width
from jingzhe.report.contents import ReportData
from jingzhe.report.names import SILENCE_BINS, SILENCE_NAMES, STATE_COLOURS, STATE_NAMES, STATES
from jingzhe.report.phrasing import count, joined, say
from jingzhe.report.sources import source_line

_ROW_PX = 34


def silence_chart(data: ReportData) -> Chart:
    """Returns buyers by silence over own cycle, each bar split by state."""
    totals = {name: sum(part.people for part in data.silence if part.bin == name) for name in SILENCE_BINS}
    bins = tuple(name for name in SILENCE_BINS if totals[name])
    alt = joined(
        tuple(
            say(
                "{name}: {people}",
                "{name}：{people} 位",
                name=SILENCE_NAMES[name],
                people=count(totals[name]),
            )
            for name in bins
        )
    )
    height = 30 + _ROW_PX * len(bins)
    return Chart(
        "silence",
        Text("How long quiet, by the customer's own rhythm", "以客户自身节奏衡量的沉默时长"),
        Text(
            "customers by silence as a multiple of their median gap between purchase days",
            "客户数（位），按沉默时长相当于自身购买间隔中位数的倍数",
        ),
        source_line(data),
        alt,
        lambda sheet: _draw(sheet, data, bins, totals),
        (height, height + 18),
    )


def _draw(sheet: Sheet, data: ReportData, bins: tuple[str, ...], totals: dict[str, int]) -> None:
    present = [state for state in STATES if any(part.state == state for part in data.silence)]
    x, y, size = 1.0, sheet.top + 11, sheet.size - 1
    for state in present:
        name = STATE_NAMES[state].of(sheet.language)
        needed = 16 + text_width(name, size) + 15
        if x + needed > sheet.width:
            x, y = 1.0, y + 18
        sheet.box(x, y - 10, 11, 11, STATE_COLOURS[state])
        sheet.words(x + 16, y, name, size=size)
        x += needed
    left, right = (104.0, 56.0) if sheet.narrow else (124.0, 70.0)
    room = sheet.width - left - right
    largest = max(totals.values()) or 1
    start = sheet.bottom - _ROW_PX * len(bins)
    for row, name in enumerate(bins):
        top = start + row * _ROW_PX + 3
        sheet.middle(left - 10, top + 13, SILENCE_NAMES[name], anchor="right", size=sheet.size - 0.5)
        at = left
        for state in present:
            people = sum(part.people for part in data.silence if part.bin == name and part.state == state)
            width = room * people / largest
            sheet.box(at, top, width, 26, STATE_COLOURS[state], edge=PAPER if width > 4 else None)
            at += width
        sheet.middle(at + 7, top + 13, count(totals[name]))
    sheet.line(left, start, left, sheet.bottom, colour=MUTED)
