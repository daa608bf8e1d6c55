"""What each distinct purchase history is worth within a year, with an interval, without a row per person.

By the Gamma-Gamma model a person's spend is a scale (γ + x m) times something that depends on x alone; so the bounds
of the interval, as shares of the mean, are a matter of the history, and the money comes in afterwards.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import GammaGamma, PurchaseModel, Summary, clv
from jingzhe.dormancy.btyd.clv import discounted_purchases
from jingzhe.dormancy.purchasing import history_arrays
from jingzhe.dormancy.queries import repeat_spends
from jingzhe.store.engine import Session

Array = NDArray[np.float64]

YEAR_DAYS = 365
INTERVAL = 0.8
DRAWS = 300
MOST_SIMULATED = 20_000
"""Distinct histories above which similar ones share the shape of an interval."""


def fit_spend(session: Session, facts: str) -> GammaGamma | str:
    """Fits the Gamma-Gamma model to the repeat spends of a relation of facts; returns why where it cannot be."""
    table = session.run(repeat_spends(facts))
    if table.num_rows == 0:
        return "nobody has spent money on a second day"
    x, spend, people = (table[name].to_numpy().astype(np.float64) for name in ("frequency", "repeat_spend", "people"))
    try:
        fitted = GammaGamma.fit_to(Summary.of(x, x, x, weight=people, monetary=spend))
    except ModelError as error:
        return error.message
    return fitted if fitted.q > 1.0 else "amounts are so skewed that their mean does not exist"


def history_values(
    table: pa.Table, model: PurchaseModel, spend: GammaGamma | None, discount_rate_annual: float, seed: int = 0
) -> pa.Table:
    """Returns the worth of distinct histories per unit of expected spend.

    Args:
        table: histories, with ``frequency``, ``recency_days`` and ``age_days``.
        model: purchases.
        spend: amounts; None leaves the interval out.
        discount_rate_annual: .1 means that money in a year is worth 1/1.1 of money today.
        seed: of the simulated futures.

    Returns:
        the three columns with ``discounted_purchases`` within a year and ``low_ratio``, ``high_ratio``: the bounds of
        the 80 % interval of prediction as shares of the mean; null without ``spend``.
    """
    history = history_arrays(table)
    per_day = float(np.log1p(discount_rate_annual)) / 365.25
    discounted = discounted_purchases(model, Summary.of(*history), YEAR_DAYS, per_day)
    low: Array = np.full(discounted.size, np.nan)
    high: Array = np.full(discounted.size, np.nan)
    if spend is not None:
        chosen, cell = _representatives(model, history, discounted)
        x, recency, age = (values[chosen] for values in history)
        typical = spend.p * spend.gamma / (spend.q - 1.0)
        summary = Summary.of(x, recency, age, monetary=np.where(x > 0, typical, 0.0))
        # A model in which hardly anybody lapses draws stays that overflow; they are cut at the horizon anyway.
        with np.errstate(over="ignore"):
            worth = clv(
                model, spend, summary, YEAR_DAYS, discount_rate_annual, interval=INTERVAL, draws=DRAWS, seed=seed
            )
        mean = np.maximum(worth.mean, 1e-12)
        low, high = (worth.low / mean)[cell], (worth.high / mean)[cell]
    keys = table.select(["frequency", "recency_days", "age_days"])
    for name, values in (("discounted_purchases", discounted), ("low_ratio", low), ("high_ratio", high)):
        keys = keys.append_column(name, pa.array(values, from_pandas=True))
    return keys


def _representatives(
    model: PurchaseModel, history: tuple[Array, Array, Array], discounted: Array
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns rows to simulate and, for each row, which of them stands for it.

    Cells are 2 % wide in P(alive) and 5 % in expected purchases, and hold one frequency (up to ten; 10 % above).
    """
    rows = discounted.size
    if rows <= MOST_SIMULATED:
        every = np.arange(rows)
        return every, every
    x = history[0]
    classes = np.where(x <= 10, x, 10 + np.floor(np.log(np.maximum(x, 10.0) / 10) / np.log(1.1)))
    cells = np.column_stack(
        [classes, np.round(model.p_alive(*history) / 0.02), np.round(np.log(np.maximum(discounted, 1e-9)) / 0.05)]
    )
    _, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)
