"""Traces: how long the large pieces of work take and what they belong to, for a keeper's collector (OpenTelemetry).

Nobody listens unless a keeper names a collector (:mod:`jingzhe.app.tracing`); :func:`span` then costs a look at a
variable. There is a span for each request to the API, drain, refresh, compaction, job and webhook delivery. There is
none for an event that is collected: a span costs about as much as taking the whole event does. Attributes are counts,
codes and patterns of routes, never a value or a number of a person.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client", "consumer"]
Value = str | int | float | bool


class Span(Protocol):
    """One piece of work under way."""

    def set(self, **values: Value) -> None:
        """Adds attributes; ``__`` in a name stands for a dot."""
        ...

    def name(self, name: str) -> None:
        """Says what it is called, where that is known late."""
        ...

    def failed(self, code: str) -> None:
        """Says that it failed, by a code; messages may hold values."""
        ...

    def drop(self) -> None:
        """Says that there was nothing to do: nobody is told of it."""
        ...


class Tracer(Protocol):
    """Whoever is told of spans."""

    def span(self, name: str, kind: Kind, traceparent: str) -> AbstractContextManager[Span]:
        """Opens a span; spans opened within it, in the same thread or task, are its children.

        Args:
            name: of the piece of work.
            kind: its part in a conversation.
            traceparent: the caller's place in a trace (W3C Trace Context), empty where it names none.
        """
        ...


class _Unheard:
    """A span that nobody hears of."""

    def set(self, **values: Value) -> None:
        """Hears attributes."""

    def name(self, name: str) -> None:
        """Hears a name."""

    def failed(self, code: str) -> None:
        """Hears of a failure."""

    def drop(self) -> None:
        """Hears that there was nothing to do."""


_UNHEARD: AbstractContextManager[Span] = nullcontext(_Unheard())
_listening: list[Tracer] = []


def listen(tracer: Tracer | None) -> None:
    """Says who is told of spans from now on in this process; None: nobody."""
    _listening[:] = [tracer] if tracer is not None else []


def span(name: str, kind: Kind = "internal", traceparent: str = "") -> AbstractContextManager[Span]:
    """Opens a span around a piece of work.

    Args:
        name: such as ``jingzhe.drain``.
        kind: its part in a conversation: ``server`` answers a request, ``client`` sends one.
        traceparent: the caller's place in a trace (W3C Trace Context), empty where it names none.

    Example:
        >>> with span("jingzhe.refresh") as told:
        ...     told.set(jingzhe__profiles=7)
    """
    return _listening[0].span(name, kind, traceparent) if _listening else _UNHEARD
