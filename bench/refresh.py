"""Full and incremental refresh of profiles and states, 20 M events of 1 M people, against the bare query."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bench.lakes import line, median, peak_mb, simulated, timed
from jingzhe.app.demo import write_chunk
from jingzhe.app.workspace import Workspace
from jingzhe.simulate import Business, append_day
from jingzhe.store.facts import EVENTS, ITEMS
from jingzhe.store.query import Step, one

PEOPLE, EVENTS_PER_PERSON = 1_000_000, 20.0
ROUNDS = 3
BARE = (
    "SELECT person_id, count(*) AS n, min(ts) AS first, max(ts) AS last, sum(revenue) AS revenue "
    "FROM events GROUP BY person_id"
)


def order_by_arrival(workspace: Workspace) -> None:
    """Rewrites the simulated facts in the order in which a live business produces them; the drawing is by person."""
    with workspace.warehouse.writing("bench: order of arrival") as writing:
        for table in (EVENTS, ITEMS):
            by_time = replace(table, sort_by=("ts",))
            query = one("by_time", f"SELECT * FROM {table.name}")
            files = tuple(writing.session.write(query, by_time, workspace.warehouse.lake.folder(table), ordered=True))
            writing.stage(table, files, replace=True)
        writing.publish("bench: order of arrival")


def bare(workspace: Workspace) -> None:
    """Runs the bare query over the same files, with its result kept as ours is."""
    with workspace.warehouse.reading() as session:
        session.keep(Step("bare", BARE))


def measure(workspace: Workspace, order: str) -> float:
    """Measures the full refresh against the bare query; returns its seconds."""
    bare(workspace)
    pairs = [(timed(lambda: bare(workspace)), timed(lambda: workspace.refresh(full=True))) for _ in range(ROUNDS)]
    full = median([pair[1] for pair in pairs])
    line(
        bench="full refresh", events=20_000_000, people=PEOPLE, order=order, ours_s=full,
        bare_s=median([pair[0] for pair in pairs]), ratio=median([pair[1] / pair[0] for pair in pairs]), target=8.0,
        peak_mb=peak_mb(), peak_target_mb=4000,
    )  # fmt: skip
    return full


def measure_days(workspace: Workspace, full_seconds: float) -> None:
    """Appends one day after another and measures the refresh of each."""
    business = Business(people=PEOPLE, seed=1, events_per_person=EVENTS_PER_PERSON)
    seconds = []
    for number in range(ROUNDS):
        on = business.end + timedelta(days=number)
        with workspace.warehouse.writing("bench: one more day") as writing:
            write_chunk(writing, append_day(business, on, events=60_000, seed=number, batch=writing.batch))
            writing.publish("bench: one more day")
        seconds.append(timed(workspace.refresh))
    line(
        bench="refresh after one more day", events=60_000, ours_s=median(seconds), full_s=full_seconds,
        ratio=median(seconds) / full_seconds, target=0.25, aim=0.08, peak_mb=peak_mb(),
    )  # fmt: skip


def main() -> None:
    """Runs the bench."""
    with simulated(PEOPLE, EVENTS_PER_PERSON) as workspace:
        measure(workspace, "by person, as after compaction")
        order_by_arrival(workspace)
        measure_days(workspace, measure(workspace, "by time, as events arrive"))


if __name__ == "__main__":
    main()
