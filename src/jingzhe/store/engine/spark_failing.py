"""What Spark says when a query fails, as an error that names the step and carries its SQL, never its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jingzhe.core.errors import EngineError, JingzheError
from jingzhe.store.engine.failing import without_values

_SPEAKERS = frozenset({"pyspark", "py4j", "grpc"})
_MEANINGS = (
    ("OutOfMemoryError", "Give the executors more memory: spark.executor.memory among engine_options."),
    ("No space left on device", "Free space where the executors keep what does not fit into memory."),
    ("FileNotFoundException", "Can every worker read the lake's folder? Files of an old publication may be vacuumed."),
    ("FILE_NOT_EXIST", "Can every worker read the lake's folder? Files of an old publication may be vacuumed."),
    ("PATH_NOT_FOUND", "Can this machine read the lake's folder? Files of an old publication may be vacuumed."),
    ("ModuleNotFoundError", "Install the same packages as here on every worker."),
    ("PYTHON_VERSION_MISMATCH", "Let the workers run the same Python: spark.pyspark.python among engine_options."),
    ("cancelled because SparkContext was shut down", "Spark was stopped, or its master has given it up. Try again."),
)


@contextmanager
def explained(name: str, sql: str, values: Mapping[str, Any]) -> Iterator[None]:
    """Turns what Spark raises into an EngineError.

    Args:
        name: of the step.
        sql: of the step, as it was written.
        values: those bound; they are replaced by their names in the message.
    """
    try:
        yield
    except JingzheError:
        raise
    except KeyError as error:
        raise EngineError(f"The query {name!r} needs the value {error}", step=name) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _SPEAKERS and not isinstance(error, OSError):
            raise
        said = str(error)
        hint = next((hint for sign, hint in _MEANINGS if sign in said), f"SQL:\n{sql}")
        shown = without_values(values, _shortened(said))
        # Spark's own error would tell the values to every log that prints what an error comes from.
        raise EngineError(f"The query {name!r} failed: {shown}", hint=hint, step=name) from None


def _shortened(said: str) -> str:
    """Returns the message without the plan and the Java stack behind it."""
    lines = said.split("JVM stacktrace:", maxsplit=1)[0].split("\n\tat ", maxsplit=1)[0].strip().splitlines()
    kept = [line for line in lines if not line.startswith(("'", "+-", "== SQL", "   +-"))]
    return "\n".join(kept)[:2000] or "Spark has ended"
