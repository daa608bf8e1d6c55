"""What an engine says when a query fails, as an error that names the step and carries its SQL, never its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb

from jingzhe.core.errors import EngineError

_SHORT = 4
"""Values of fewer characters are hidden only where the engine puts them in quotes: 1 stands in many a message."""


@contextmanager
def explained(name: str, sql: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Turns what the engine raises into an EngineError.

    Args:
        name: of the step.
        sql: of the step.
        values: those bound; they are replaced by their names in the message.
    """
    try:
        yield
    except KeyError as error:
        raise EngineError(f"The query {name!r} needs the value {error}", step=name) from None
    except (duckdb.Error, OSError) as error:  # a stream of batches fails with OSError
        said = str(error)
        shown = without_values(values, said)
        explanation = EngineError(f"The query {name!r} failed: {shown}", hint=_hint(error, sql), step=name)
        # The engine's own error would tell the values to every log that prints what an error comes from.
        raise explanation from (error if shown == said else None)


def _hint(error: Exception, sql: str) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"Raise memory_limit_mb or free space in the work folder, where larger results are kept.\nSQL:\n{sql}"
    if isinstance(error, duckdb.IOException):
        return f"Check the free space; files of an old publication may have been vacuumed meanwhile.\nSQL:\n{sql}"
    return f"SQL:\n{sql}"


def without_values(values: Mapping[str, Any], message: str) -> str:
    """Returns ``message`` with bound values replaced by their names, the longest first."""
    texts = [(text, name) for name, value in values.items() for text in _texts(value)]
    for text, name in sorted(texts, key=lambda pair: -len(pair[0])):
        if len(text) >= _SHORT:
            message = message.replace(text, f"${name}")
        for quote in ("'", '"'):
            message = message.replace(f"{quote}{text}{quote}", f"${name}")
    return message


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple | set | frozenset):
        return [text for item in value for text in _texts(item)]
    if value is None or isinstance(value, bool):
        return []
    return [text for text in {str(value), str(value).replace("'", "''")} if text]
