"""What each distinct purchase history is worth within a year, with an interval, without a row per person.

By the Gamma-Gamma model a person's spend is a scale (γ + x m) times something that depends on x alone; so the bounds
of the interval, as shares of the mean, are a matter of the history, and the money comes in afterwards.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import GammaGamma, PurchaseModel, Summary, clv
from jingzhe.dormancy.btyd.clv import discounted_purchases
from jingzhe.dormancy.purchasing import KEY, MOST_CELLS, history_arrays
from jingzhe.dormancy.queries import (
    COARSE_SPENDS,
    DISTINCT_SPENDS,
    EVERY_HISTORY,
    HISTORY_ROWS,
    RATIOS,
    SPENDS_TO_FIT,
    TYPICAL_HISTORIES,
    VALUED,
    VALUES,
    distinct_spends,
    history_values,
)
from jingzhe.store.engine import Session

Array = NDArray[np.float64]

YEAR_DAYS = 365
INTERVAL = 0.8
DRAWS = 300
CELL = ("frequency_class", "alive_class", "expected_class")
"""Columns that put alike histories together."""
MOST_SIMULATED = 20_000
"""Distinct histories above which similar ones share the shape of an interval."""


def fit_spend(session: Session, facts: str, most: int = MOST_CELLS) -> GammaGamma | str:
    """Fits the Gamma-Gamma model to the repeat spends of a relation of facts; returns why where it cannot be.

    Args:
        session: in which ``facts`` can be read.
        facts: name of a relation with the columns of facts.
        most: distinct spends above which those within half a per cent of one another are put together.
    """
    session.drop(DISTINCT_SPENDS)
    distinct = session.keep(distinct_spends(facts))
    table = session.run(SPENDS_TO_FIT if distinct <= most else COARSE_SPENDS)
    session.drop(DISTINCT_SPENDS)
    if table.num_rows == 0:
        return "nobody has spent money on a second day"
    x, spend, people = (table[name].to_numpy().astype(np.float64) for name in ("frequency", "repeat_spend", "people"))
    try:
        fitted = GammaGamma.fit_to(Summary.of(x, x, x, weight=people, monetary=spend))
    except ModelError as error:
        return error.message
    return fitted if fitted.q > 1.0 else "amounts are so skewed that their mean does not exist"


def keep_values(
    session: Session, model: PurchaseModel, spend: GammaGamma | None, discount_rate_annual: float, seed: int = 0
) -> None:
    """Keeps the worth of the kept histories per unit of expected spend as :data:`jingzhe.dormancy.queries.VALUES`.

    Besides the history it has ``discounted_purchases`` within a year and ``low_ratio``, ``high_ratio``: the bounds of
    the 80 % interval of prediction as shares of the mean; null without ``spend``. The engine computes the purchases
    where the histories are; futures are simulated here, for one history of every cell of alike ones.

    Args:
        session: in which :func:`jingzhe.dormancy.purchasing.keep_histories` kept the histories.
        model: purchases.
        spend: amounts; None leaves the interval out.
        discount_rate_annual: .1 means that money in a year is worth 1/1.1 of money today.
        seed: of the simulated futures.
    """
    per_day = float(np.log1p(discount_rate_annual)) / 365.25
    rows = session.mapped(VALUED, HISTORY_ROWS, partial(_valued, model, per_day), _VALUED)
    alike = rows > MOST_SIMULATED
    table = session.run(TYPICAL_HISTORIES if alike else EVERY_HISTORY)
    key = CELL if alike else KEY
    low, high = _ratios(table, model, spend, discount_rate_annual, seed)
    ratios = table.select(key).append_column("low_ratio", low).append_column("high_ratio", high)
    session.offer(RATIOS, ratios)
    session.drop(VALUES)
    session.keep(history_values(key))
    session.drop(VALUED, RATIOS)


def _ratios(
    table: pa.Table, model: PurchaseModel, spend: GammaGamma | None, rate: float, seed: int
) -> tuple[pa.Array, pa.Array]:
    """Returns the bounds of the interval as shares of the mean, by simulated futures of each history."""
    low: Array = np.full(table.num_rows, np.nan)
    high: Array = np.full(table.num_rows, np.nan)
    if spend is not None and table.num_rows:
        x, recency, age = history_arrays(table)
        typical = spend.p * spend.gamma / (spend.q - 1.0)
        summary = Summary.of(x, recency, age, monetary=np.where(x > 0, typical, 0.0))
        # A model in which hardly anybody lapses draws stays that overflow; they are cut at the horizon anyway.
        with np.errstate(over="ignore"):
            worth = clv(model, spend, summary, YEAR_DAYS, rate, interval=INTERVAL, draws=DRAWS, seed=seed)
        mean = np.maximum(worth.mean, 1e-12)
        low, high = worth.low / mean, worth.high / mean
    return pa.array(low, from_pandas=True), pa.array(high, from_pandas=True)


_VALUED = pa.schema(
    [(name, pa.int64()) for name in KEY]
    + [("discounted_purchases", pa.float64())]
    + [(name, pa.int64()) for name in CELL]
)


def _valued(model: PurchaseModel, per_day: float, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns histories with their discounted purchases and their cell.

    Cells are 2 % wide in P(alive) and 5 % in expected purchases, and hold one frequency (up to ten; 10 % above).
    """
    history = history_arrays(batch)
    discounted = discounted_purchases(model, Summary.of(*history), YEAR_DAYS, per_day)
    x = history[0]
    cell = (
        np.where(x <= 10, x, 10 + np.floor(np.log(np.maximum(x, 10.0) / 10) / np.log(1.1))),
        np.round(model.p_alive(*history) / 0.02),
        np.round(np.log(np.maximum(discounted, 1e-9)) / 0.05),
    )
    columns = [batch[name].cast(pa.int64()) for name in KEY]
    columns += [pa.array(discounted), *(pa.array(values.astype(np.int64)) for values in cell)]
    return pa.record_batch(columns, schema=_VALUED)
