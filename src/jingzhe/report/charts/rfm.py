"""Charts of RFM: the 8 classes, and the grid of recency by frequency."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import BLUE, GRID, MUTED, Chart, Sheet, shade
from jingzhe.report.contents import ReportData, RfmCell, RfmClass
from jingzhe.report.names import RFM_NAMES
from jingzhe.report.phrasing import count, joined, percent, say, share_of
from jingzhe.report.sources import source_line

_CLASS_PX = 38
_SPEND = "#c77d0a"


def classes_chart(data: ReportData) -> Chart:
    """Returns each class's share of buyers and of spend."""
    classes = data.rfm_classes
    people = sum(rfm.people for rfm in classes)
    spend = sum(rfm.spend for rfm in classes)
    alt = joined(
        tuple(
            say(
                "{name}: {people} of buyers, {spend} of spend",
                "{name}：人数占 {people}，消费占 {spend}",
                name=RFM_NAMES[rfm.key],
                people=share_of(rfm.people, people),
                spend=share_of(rfm.spend, spend),
            )
            for rfm in classes
        )
    )
    height = 24 + _CLASS_PX * len(classes)
    return Chart(
        "rfm_classes",
        Text("RFM classes: share of buyers and share of spend", "RFM 八类：人数占比与消费占比"),
        say(
            "% of {n} buyers; % of their spend so far, net of refunds",
            "占 {n} 位购买客户的 %；占其累计净消费的 %",
            n=count(people),
        ),
        source_line(data),
        alt,
        lambda sheet: _draw_classes(sheet, classes),
        (height, height),
    )


def _draw_classes(sheet: Sheet, classes: tuple[RfmClass, ...]) -> None:
    people = sum(rfm.people for rfm in classes) or 1
    spend = sum(rfm.spend for rfm in classes) or 1
    left, right = (126.0, 50.0) if sheet.narrow else (150.0, 60.0)
    room = sheet.width - left - right
    largest = max(max(rfm.people / people, rfm.spend / spend) for rfm in classes) or 1
    sheet.box(left, sheet.top + 1, 11, 11, BLUE)
    sheet.words(left + 17, sheet.top + 11, Text("buyers", "人数"), size=sheet.size - 1)
    sheet.box(left + 92, sheet.top + 1, 11, 11, _SPEND)
    sheet.words(left + 109, sheet.top + 11, Text("spend", "消费"), size=sheet.size - 1)
    for row, rfm in enumerate(classes):
        y = sheet.top + 24 + row * _CLASS_PX
        sheet.middle(left - 8, y + 15, RFM_NAMES[rfm.key], anchor="right", size=sheet.size - 0.5)
        for line, (share, colour) in enumerate(((rfm.people / people, BLUE), (rfm.spend / spend, _SPEND))):
            width = max(room * max(share, 0) / largest, 1)
            sheet.box(left, y + 15 * line, width, 13, colour)
            sheet.middle(left + width + 6, y + 15 * line + 6.5, percent(share), size=sheet.size - 1.5)
    sheet.line(left, sheet.top + 20, left, sheet.bottom, colour=MUTED)


def grid_chart(data: ReportData) -> Chart:
    """Returns recency by frequency, once in people and once in spend."""
    cells = data.rfm_cells
    people = sum(cell.people for cell in cells)
    best = next((cell for cell in cells if cell.recency == 5 and cell.frequency == 5), None)
    alt = say(
        "{n} buyers by recency and frequency score; {best} stand in the best cell (5, 5)",
        "{n} 位购买客户的近度与频度评分；{best} 位处于最佳格（5，5）",
        n=count(people),
        best=count(best.people if best else 0),
    )
    return Chart(
        "rfm_grid",
        Text("Recency by frequency", "近度 × 频度"),
        Text(
            "% of buyers (left or above) and % of spend; scores 1 to 5, 5 is best",
            "人数占比（左或上）与消费占比（%）；评分 1–5，5 最佳",
        ),
        source_line(data),
        alt,
        lambda sheet: _draw_grids(sheet, cells),
        (246, 500),
    )


def _draw_grids(sheet: Sheet, cells: tuple[RfmCell, ...]) -> None:
    people = sum(cell.people for cell in cells) or 1
    spend = sum(cell.spend for cell in cells) or 1
    of_people = {(cell.recency, cell.frequency): cell.people / people for cell in cells}
    of_spend = {(cell.recency, cell.frequency): cell.spend / spend for cell in cells}
    width = sheet.width if sheet.narrow else sheet.width / 2 - 8
    second = (0.0, sheet.top + 252) if sheet.narrow else (sheet.width / 2 + 8, sheet.top)
    _draw_grid(sheet, (0, sheet.top), width, Text("% of buyers", "人数占比 %"), of_people)
    _draw_grid(sheet, second, width, Text("% of spend", "消费占比 %"), of_spend)


def _draw_grid(
    sheet: Sheet, corner: tuple[float, float], width: float, name: Text, shares: dict[tuple[int, int], float]
) -> None:
    x, y = corner
    sheet.words(x + 44, y + 11, name, bold=True, size=sheet.size - 0.5)
    cell = (width - 46) / 5
    largest = max(shares.values(), default=0) or 1
    small = sheet.size - 1.5
    for recency in range(5, 0, -1):
        top = y + 20 + (5 - recency) * 36
        sheet.middle(x + 38, top + 17, f"R{recency}", anchor="right", size=small)
        for frequency in range(1, 6):
            at = x + 44 + (frequency - 1) * cell
            share = shares.get((recency, frequency), 0.0)
            if share <= 0:
                sheet.box(at + 1, top + 1, cell - 2, 33, "none", edge=GRID)
                continue
            fill, ink = shade((share / largest) ** 0.6)
            sheet.box(at + 1, top + 1, cell - 2, 33, fill)
            sheet.middle(at + cell / 2, top + 17, percent(share), anchor="center", size=small, colour=ink)
    for frequency in range(1, 6):
        sheet.words(x + 44 + (frequency - 0.5) * cell, y + 216, f"F{frequency}", anchor="center", size=small)
    caption = Text("R: how recently, F: how often", "R：最近购买，F：购买频次")
    sheet.words(x + 44, y + 234, caption, size=small, colour=MUTED)
