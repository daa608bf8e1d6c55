"""Sends spans to the collector that a keeper names, by OTLP over HTTP; the extra ``trace`` brings OpenTelemetry.

Spans wait in a bounded queue and leave from a thread of their own. A collector that cannot be reached slows nothing
down: what does not fit into the queue is lost, and the log says so once, until it takes some again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jingzhe import __version__
from jingzhe.core import tracing
from jingzhe.core.errors import JingzheError, SettingError
from jingzhe.core.log import Log
from jingzhe.core.tracing import Kind, Value

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_PATH = "/v1/traces"
_ANSWER_SECONDS = 3.0
_WAITING_SPANS = 2048
_EVERY_MS = 2000.0


def start_tracing(endpoint: str, log: Log, role: str) -> Callable[[], None]:
    """Begins to send spans; does nothing, and imports nothing, where no endpoint is named.

    Args:
        endpoint: URL of the collector, such as ``http://otel:4318``; empty: nobody is told of spans.
        log: is told once when the collector cannot be reached.
        role: what this process does, for ``service.instance.id``.

    Returns:
        what ends it, within seconds: spans that wait are sent, or lost.

    Raises:
        SettingError: the URL is none, or the extra is not installed.
    """
    if not endpoint:
        return lambda: None
    _check(endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from requests import Session  # noqa: PLC0415

    # It says the same of every batch; what a keeper must know, the log is told once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    wire = Session()
    # Proxies of the environment are connections that no setting names.
    wire.trust_env = False
    url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _PATH
    named = {"service.name": "jingzhe", "service.version": __version__, "service.instance.id": role}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    ending = threading.Event()
    sending = _told_once(OTLPSpanExporter(url, timeout=_ANSWER_SECONDS, session=wire), log, ending)
    provider.add_span_processor(
        BatchSpanProcessor(sending, max_queue_size=_WAITING_SPANS, schedule_delay_millis=_EVERY_MS)
    )
    tracing.listen(_Telling(provider.get_tracer("jingzhe", __version__)))

    def end() -> None:
        tracing.listen(None)
        ending.set()
        provider.shutdown()
        wire.close()

    return end


def _check(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(
            # Not the URL itself: a password may stand in it.
            "trace_endpoint is no URL of a collector",
            hint="Write it as http://collector:4318.",
        )
    try:
        missing = [name for name in _NEEDED if find_spec(name) is None]
    except ModuleNotFoundError:
        missing = [_NEEDED[0]]
    if missing:
        raise SettingError(
            "Traces need OpenTelemetry, which is not installed",
            hint="Install it: pip install 'jingzhe[trace]', or leave trace_endpoint empty.",
        )


def _told_once(inner: SpanExporter, log: Log, ending: threading.Event) -> SpanExporter:
    """Returns an exporter that says once that nothing arrives, and once that it does again.

    Args:
        inner: what sends.
        log: is told.
        ending: set when the process ends; nobody is waited for a second time then.
    """
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415 - an extra

    class Told(SpanExporter):
        silent = False

        def export(self, spans: Any) -> SpanExportResult:
            done = inner.export(spans)
            lost = done is not SpanExportResult.SUCCESS
            if lost and ending.is_set():
                # Each further batch would be waited for as long.
                inner.shutdown()
            if lost and not self.silent:
                log.warning("traces do not arrive; they are dropped until the collector answers", spans=len(spans))
            elif self.silent and not lost:
                log.info("traces arrive again")
            self.silent = lost
            return done

        def shutdown(self) -> None:
            inner.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return inner.force_flush(timeout_millis)

    return Told()


class _Telling:
    """Opens OpenTelemetry's spans.

    Args:
        tracer: of OpenTelemetry.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        from opentelemetry import trace as api  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._api = api
        self._tracer = tracer
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, kind: Kind, traceparent: str) -> Iterator[_Told]:
        """Opens a span; one that fails says by which code, never by which message."""
        caller = self._callers.extract({"traceparent": traceparent}) if traceparent else None
        begun = self._tracer.start_span(name, caller, self._api.SpanKind[kind.upper()])
        told = _Told(begun)
        try:
            with self._api.use_span(begun, record_exception=False, set_status_on_exception=False):
                yield told
        except BaseException as error:
            told.failed(error.code if isinstance(error, JingzheError) else type(error).__name__)
            raise
        finally:
            if not told.dropped:
                begun.end()


class _Told:
    """A span of OpenTelemetry.

    Args:
        begun: the span.
    """

    def __init__(self, begun: trace.Span) -> None:
        self._begun = begun
        self.dropped = False

    def set(self, **values: Value) -> None:
        """Adds attributes; ``__`` in a name stands for a dot."""
        named: Mapping[str, Value] = {name.replace("__", "."): value for name, value in values.items()}
        self._begun.set_attributes(named)

    def name(self, name: str) -> None:
        """Says what it is called."""
        self._begun.update_name(name)

    def failed(self, code: str) -> None:
        """Says that it failed."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

        self._begun.set_status(Status(StatusCode.ERROR, code))
        self.set(error__type=code)

    def drop(self) -> None:
        """Says that nobody is to be told of it: a span that is never ended never leaves."""
        self.dropped = True
