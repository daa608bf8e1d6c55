"""Counters of the collector for Prometheus; labels name protocols, sources and codes, never people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Waiting(NamedTuple):
    """What waits in the inbox: bytes, events, and the age of the oldest row in seconds."""

    size_bytes: int
    events: int
    oldest_seconds: float


class _Counted:
    """What is counted with every request: plain numbers, for a labelled counter costs as much as the request."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.events: Counter[str] = Counter()

    def collect(self) -> Iterator[Metric]:
        """Gives the counters as Prometheus has them."""
        answers = CounterMetricFamily(
            "jingzhe_collect_answers", "Answers by protocol and status", labels=["protocol", "status"]
        )
        for (protocol, status), count in list(self.answers.items()):
            answers.add_metric([protocol, str(status)], count)
        events = CounterMetricFamily("jingzhe_collect_events", "Events acknowledged, by source", labels=["source"])
        for source, count in list(self.events.items()):
            events.add_metric([source], count)
        yield answers
        yield events


class Metrics:
    """What one collector counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counted = _Counted()
        self.registry.register(self._counted)
        self._commits = Histogram(
            "jingzhe_inbox_commit_seconds", "Time of a group commit", buckets=_SECONDS, registry=self.registry
        )
        self._groups = Histogram(
            "jingzhe_inbox_group_requests", "Requests of a group commit", buckets=_SIZES, registry=self.registry
        )
        self._waiting = {
            name: Gauge(f"jingzhe_inbox_{name}", doc, registry=self.registry)
            for name, doc in (
                ("bytes", "Bytes that wait for the drain"), ("events", "Events that wait for the drain"),
                ("oldest_seconds", "Age of the oldest row"),
            )
        }  # fmt: skip

    def watch(self, waiting: Callable[[], Waiting]) -> None:
        """Says where to look, whenever somebody asks, for what waits in the inbox."""
        self._waiting["bytes"].set_function(lambda: waiting().size_bytes)
        self._waiting["events"].set_function(lambda: waiting().events)
        self._waiting["oldest_seconds"].set_function(lambda: waiting().oldest_seconds)

    def answered(self, protocol: str, status: int) -> None:
        """Counts an answer."""
        self._counted.answers[protocol, status] += 1

    def accepted(self, source: str, events: int) -> None:
        """Counts events that were acknowledged."""
        self._counted.events[source] += events

    def committed(self, requests: int, _events: int, seconds: float) -> None:
        """Counts a group commit."""
        self._commits.observe(seconds)
        self._groups.observe(requests)

    def text(self) -> bytes:
        """Returns everything as Prometheus reads it."""
        return generate_latest(self.registry)
