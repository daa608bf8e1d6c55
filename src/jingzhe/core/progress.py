"""How long work tells what it has done, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener to long work; the CLI draws it, tests record it."""

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        """Says that a new stage begins.

        Args:
            name: what is being done, for people.
            total: how much there is to do, in ``unit``; None where it is not known.
            unit: what is counted.
        """
        ...

    def advance(self, done: int) -> None:
        """Says how much of the stage is done by now, in its unit (not the increment)."""
        ...


class Silent:
    """A listener that does nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "rows") -> None:
        """Hears a stage begin."""

    def advance(self, done: int) -> None:
        """Hears how much is done."""
