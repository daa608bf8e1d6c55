"""Charts of the pool: who stands where, and how they moved."""

from __future__ import annotations

from jingzhe.core.text import Text
from jingzhe.report.charts.sheet import GRID, INK, MUTED, Chart, Sheet, shade
from jingzhe.report.contents import ReportData, StateCount
from jingzhe.report.names import ABSENT, ABSENT_NAME, STATE_COLOURS, STATE_NAMES, STATES
from jingzhe.report.phrasing import count, day, joined, say, share_of
from jingzhe.report.sources import source_line

_ROW_PX = 32


def pool_chart(data: ReportData) -> Chart:
    """Returns people by state, with the earlier day as a mark."""
    whole = sum(state.people for state in data.states)
    compared = any(state.people_before is not None for state in data.states)
    title = Text("The pool by state", "各状态客户数")
    unit = Text("customers, and share of everybody", "客户数（位）及占比")
    if compared and data.frame.before:
        unit = say("{unit}; mark: on {day}", "{unit}；竖线：{day}", unit=unit, day=day(data.frame.before))
    alt = joined(
        tuple(
            say(
                "{name} {people} ({share})",
                "{name} {people} 位（{share}）",
                name=STATE_NAMES[state.state],
                people=count(state.people),
                share=share_of(state.people, whole),
            )
            for state in data.states
        )
    )
    height = _ROW_PX * len(data.states) + 4
    return Chart(
        "pool",
        title,
        unit,
        source_line(data),
        alt,
        lambda sheet: _draw_pool(sheet, data.states),
        (height, height),
    )


def _draw_pool(sheet: Sheet, states: tuple[StateCount, ...]) -> None:
    whole = sum(state.people for state in states)
    largest = max(max(state.people, state.people_before or 0) for state in states) or 1
    left, right = (74.0, 108.0) if sheet.narrow else (92.0, 130.0)
    room = sheet.width - left - right
    for row, state in enumerate(states):
        y = sheet.top + row * _ROW_PX + 4
        sheet.middle(left - 10, y + 12, STATE_NAMES[state.state], anchor="right")
        width = max(room * state.people / largest, 1.5 if state.people else 0)
        sheet.box(left, y, width, 24, STATE_COLOURS[state.state])
        reach = width
        if state.people_before is not None:
            mark = room * state.people_before / largest
            sheet.line(left + mark, y - 3, left + mark, y + 27, colour=INK, width=2)
            reach = max(width, mark)
        share = share_of(state.people, whole).en
        sheet.middle(left + reach + 8, y + 12, f"{state.people:,} · {share}")
    sheet.line(left, sheet.top, left, sheet.bottom, colour=MUTED)


def movement_chart(data: ReportData) -> Chart:
    """Returns how many moved from each state on the earlier day to each state now."""
    cells = {(move.before, move.now): move.people for move in data.moves}
    rows = tuple(state for state in (*STATES, ABSENT) if any(before == state for before, _ in cells))
    columns = tuple(state for state in STATES if any(now == state for _, now in cells))
    moved = sum(people for (before, now), people in cells.items() if before not in (now, ABSENT))
    known = sum(people for (before, _), people in cells.items() if before != ABSENT)
    alt = say(
        "{moved} of {known} customers known on the earlier day are in another state now",
        "较早日期已知的 {known} 位客户中，{moved} 位状态已改变",
        moved=count(moved),
        known=count(known),
    )
    return Chart(
        "movement",
        Text("How customers moved between states", "客户状态迁移"),
        say(
            "customers; row: state on {before}, column: state on {now}; framed: stayed",
            "客户数（位）；行：{before} 的状态，列：{now} 的状态；加框：未变",
            before=day(data.frame.before),
            now=day(data.frame.as_of),
        ),
        source_line(data),
        alt,
        lambda sheet: _draw_movement(sheet, rows, columns, cells),
        (28 + 34 * len(rows), 66 + 34 * len(rows)),
    )


def _draw_movement(
    sheet: Sheet, rows: tuple[str, ...], columns: tuple[str, ...], cells: dict[tuple[str, str], int]
) -> None:
    names = {**STATE_NAMES, ABSENT: ABSENT_NAME}
    left = 88.0 if sheet.narrow else 108.0
    head = sheet.top + (62 if sheet.narrow else 24)
    cell = (sheet.width - left - 2) / len(columns)
    changed = [people for (before, now), people in cells.items() if before not in (now, ABSENT)]
    largest = max(changed, default=0) or 1
    size = 10.0 if sheet.narrow else 12.0
    for column, state in enumerate(columns):
        x = left + cell * (column + 0.5)
        drop = 14 * (column % 2) if sheet.narrow else 0
        if sheet.narrow:
            sheet.line(x, head - 28 + drop, x, head - 3)
        sheet.words(x, head - (34 if sheet.narrow else 8) + drop, names[state], anchor="center", size=size)
    for row, before in enumerate(rows):
        y = head + row * 34
        sheet.middle(left - 8, y + 16, names[before], anchor="right", size=11.0 if sheet.narrow else 12.0)
        for column, now in enumerate(columns):
            people = cells.get((before, now), 0)
            stayed = before == now
            quiet = stayed or before == ABSENT
            fill, ink = ("none", MUTED) if quiet else shade((people / largest) ** 0.6)
            if people and not quiet:
                sheet.box(left + column * cell + 1, y + 1, cell - 2, 30, fill)
            elif stayed:
                sheet.box(left + column * cell + 1.5, y + 1.5, cell - 3, 29, "none", edge=MUTED)
            else:
                sheet.box(left + column * cell + 1, y + 1, cell - 2, 30, "none", edge=GRID)
            if people:
                sheet.middle(
                    left + (column + 0.5) * cell,
                    y + 16,
                    _fitted(people, cell),
                    anchor="center",
                    size=size,
                    colour=ink,
                )


def _fitted(people: int, width: float) -> str:
    """Returns a count that fits into a cell: in thousands where the digits would not."""
    full = f"{people:,}"
    if len(full) * 6.6 <= width:
        return full
    return f"{people / 1e6:.1f}M" if people >= 999_950 else f"{people / 1e3:.3g}k"
