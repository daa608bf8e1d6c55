"""Structured logs: one JSON object a line on standard error, without anything of people in it."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import structlog


class Log(Protocol):
    """What is told to keepers; values are counts, codes, routes and names of sources."""

    def info(self, event: str, **values: Any) -> Any:
        """Tells what happened."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Tells what a keeper may want to look at."""
        ...

    def error(self, event: str, **values: Any) -> Any:
        """Tells what a keeper has to look at."""
        ...


def log_to_stderr() -> Log:
    """Returns a log of JSON lines on standard error."""
    logger: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    return logger
