"""What the three purchase models have in common for those who use them: the questions they answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.fitted import Fitted
from jingzhe.dormancy.btyd.history import FloatArray, checked_history, checked_horizon

DAYS_PER_WEEK = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseModel(Fitted, ABC):
    """Buys at a personal rate until lapsing for good; rates and lapsing differ from person to person.

    Histories and horizons are given in days everywhere. Parameters count time in units of ``time_unit_days``
    (weeks unless said otherwise, as in the papers). All methods broadcast and return float64 arrays of the
    common shape.

    Args:
        time_unit_days: the parameters' unit of time.
    """

    name: ClassVar[str] = "purchase-model"
    parameter_names: ClassVar[tuple[str, ...]] = ()

    time_unit_days: float = DAYS_PER_WEEK

    def __post_init__(self) -> None:
        Fitted.__post_init__(self)
        if not (np.isfinite(self.time_unit_days) and self.time_unit_days > 0):
            raise ModelError(f"time_unit_days must be above 0, it is {self.time_unit_days}")

    def p_alive(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> FloatArray:
        """Probability of not having lapsed by the moment of observation.

        Args:
            frequency: x, repeat purchase days.
            recency_days: t_x, days from first to last purchase.
            age_days: T, days from first purchase to the moment of observation.

        Returns:
            Probabilities.
        """
        x, recency, age = self._in_units(frequency, recency_days, age_days)
        return np.asarray(self._p_alive(x, recency, age)).reshape(x.shape)

    def p_return(
        self, horizon_days: ArrayLike, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike
    ) -> FloatArray:
        """Probability of at least one purchase in (T, T + horizon], given the history.

        Args:
            horizon_days: days to look ahead; a number, or one per history.
            frequency: x, repeat purchase days.
            recency_days: t_x, days from first to last purchase.
            age_days: T, days from first purchase to the moment of observation.

        Returns:
            Probabilities; they never exceed `p_alive` and rise with the horizon.
        """
        history, horizon, shape = self._ahead(horizon_days, frequency, recency_days, age_days)
        returns = self._p_alive(*history) * self._p_return_if_alive(horizon, history[0], history[2])
        return np.clip(returns, 0.0, 1.0).reshape(shape)

    def expected_purchases(
        self, horizon_days: ArrayLike, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike
    ) -> FloatArray:
        """Expected number of purchase days in (T, T + horizon], given the history.

        Args:
            horizon_days: days to look ahead; a number, or one per history.
            frequency: x, repeat purchase days.
            recency_days: t_x, days from first to last purchase.
            age_days: T, days from first purchase to the moment of observation.

        Returns:
            Expected numbers, 0 or more.
        """
        history, horizon, shape = self._ahead(horizon_days, frequency, recency_days, age_days)
        expected = self._p_alive(*history) * self._expected_if_alive(horizon, history[0], history[2])
        return expected.reshape(shape)

    def simulate_if_alive(
        self, horizon_days: float, frequency: FloatArray, age_days: FloatArray, generator: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draw one future for each person, given their history and that they have not lapsed.

        Args:
            horizon_days: days to look ahead.
            frequency: x, shape (n,).
            age_days: T, shape (n,).
            generator: source of randomness.

        Returns:
            Number of purchases within the horizon, and their mean delay in days after T (as expected, given
            how many there are and how long the person stays), each of shape (n,).
        """
        count, delay = self._simulate(
            horizon_days / self.time_unit_days, frequency, age_days / self.time_unit_days, generator
        )
        return count, delay * self.time_unit_days

    def _in_units(
        self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        x, recency, age = checked_history(frequency, recency_days, age_days)
        return x, recency / self.time_unit_days, age / self.time_unit_days

    def _ahead(
        self, horizon_days: ArrayLike, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike
    ) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray, tuple[int, ...]]:
        units = self._in_units(frequency, recency_days, age_days)
        horizon = checked_horizon(horizon_days) / self.time_unit_days
        try:
            x, recency, age, ahead = np.broadcast_arrays(*units, horizon)
        except ValueError as error:
            raise ModelError(f"horizon_days has shape {horizon.shape}, the histories {units[0].shape}") from error
        return (x.ravel(), recency.ravel(), age.ravel()), ahead.ravel(), x.shape

    @abstractmethod
    def _p_alive(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _p_return_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _expected_if_alive(self, horizon: FloatArray, x: FloatArray, age: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _simulate(
        self, horizon: float, x: FloatArray, age: FloatArray, generator: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]: ...
