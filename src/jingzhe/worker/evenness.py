"""Whether the machine's clock can be trusted: it has gone evenly for a while, beside a clock that nobody sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jingzhe.core.clock import Clock

_JUMP_SECONDS = 60.0


@dataclass
class Evenness:
    """Compares two clocks, as often as it is asked.

    What is deleted because of its age is gone for good, so a clock that has just been set (by hand, or by a machine
    that found the time when it had started) is not to decide on it.

    Args:
        clock: that people and machines set.
        seconds: a clock that nobody sets.
    """

    clock: Clock
    seconds: Callable[[], float]
    _apart: float = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.seconds()
        self._apart = self._now_apart()

    def even_seconds(self) -> float:
        """Returns for how long the clock has not been set, as far as one has looked."""
        apart = self._now_apart()
        if abs(apart - self._apart) > _JUMP_SECONDS:
            self._since = self.seconds()
        # Clocks that differ by little every day are not set.
        self._apart = apart
        return self.seconds() - self._since

    def _now_apart(self) -> float:
        return self.clock.now().timestamp() - self.seconds()
