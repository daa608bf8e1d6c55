"""What the worker did, for Prometheus: read from the state store when somebody asks, for the worker has no port.

Labels name sources, outcomes and reasons, never people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from jingzhe.app import worker_counts
from jingzhe.app.worker_counts import read_counts
from jingzhe.core.errors import JingzheError
from jingzhe.store.state import State
from jingzhe.store.state.inbox import Inbox

QUARANTINED = "quarantined"
_COUNTS = (
    ("jingzhe_drains", "Drains that brought events", worker_counts.DRAINS),
    ("jingzhe_drain_failures", "Rounds of the worker that failed and were tried again", worker_counts.DRAIN_FAILURES),
    ("jingzhe_refreshes", "Refreshes of the profiles", worker_counts.REFRESHES),
    ("jingzhe_compactions", "Compactions of the lake", worker_counts.COMPACTIONS),
)
_AGES = (
    ("jingzhe_drain_age_seconds", "Time since the last drain that brought events", worker_counts.DRAINED_AT),
    ("jingzhe_refresh_age_seconds", "Time since the last refresh of the profiles", worker_counts.REFRESHED_AT),
    ("jingzhe_compaction_age_seconds", "Time since the last compaction of the lake", worker_counts.COMPACTED_AT),
)


@dataclass(frozen=True)
class WorkerMetrics:
    """A collector of measurements, as Prometheus' client calls it; to be registered.

    Args:
        state: what is counted there.
        inbox: what waits; None where somebody else shows that.
    """

    state: State
    inbox: Inbox | None = None

    def collect(self) -> Iterator[Metric]:
        """Reads the figures; where a store is away it says so, and other measurements are shown all the same."""
        try:
            found = list(self._read())
        except JingzheError:
            found = []
        yield GaugeMetricFamily("jingzhe_stores_up", "1 where state store and inbox answer", value=bool(found))
        yield from found

    def _read(self) -> Iterator[Metric]:
        from jingzhe.collect.counting import REFUSED, totals  # noqa: PLC0415 - loads NumPy, which a collector needs not

        counts, now = read_counts(self.state), self.state.now().timestamp()
        events = CounterMetricFamily(
            "jingzhe_drained_events", "Events out of the inbox, by what became of them", labels=["source", "outcome"]
        )
        refused = CounterMetricFamily("jingzhe_quarantined_events", "Events refused by the drain", labels=["reason"])
        by_reason: dict[str, int] = {}
        by_outcome: dict[tuple[str, str], int] = {}
        for source, outcome, count in totals(self.state):
            kind = QUARANTINED if outcome.startswith(REFUSED) else outcome
            by_outcome[source, kind] = by_outcome.get((source, kind), 0) + count
            if kind == QUARANTINED:
                reason = outcome.removeprefix(REFUSED)
                by_reason[reason] = by_reason.get(reason, 0) + count
        for (source, kind), count in by_outcome.items():
            events.add_metric([source, kind], count)
        for reason, count in by_reason.items():
            refused.add_metric([reason], count)
        yield events
        yield refused
        for name, doc, key in _COUNTS:
            yield CounterMetricFamily(name, doc, value=counts.get(key, 0))
        for name, doc, key in _AGES:
            if key in counts:
                yield GaugeMetricFamily(name, doc, value=max(0.0, now - counts[key]))
        if self.inbox is not None:
            yield from _waiting(self.inbox, now)


def _waiting(inbox: Inbox, now: float) -> Iterator[Metric]:
    depth = inbox.depth()
    oldest = 0.0 if depth.oldest_us is None else max(0.0, now - depth.oldest_us / 1e6)
    yield GaugeMetricFamily("jingzhe_inbox_bytes", "Bytes that wait for the drain", value=depth.size_bytes)
    yield GaugeMetricFamily("jingzhe_inbox_events", "Events that wait for the drain", value=depth.events)
    yield GaugeMetricFamily("jingzhe_inbox_oldest_seconds", "Age of the oldest row", value=oldest)
