"""The purchase models of one day together: fitted once to compressed histories, asked for a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd import BgNbd, MbgNbd, ParetoNbd, PurchaseModel, Summary
from jingzhe.dormancy.queries import histories
from jingzhe.store.engine import Session

Array = NDArray[np.float64]

KINDS: Mapping[str, type[BgNbd] | type[MbgNbd] | type[ParetoNbd]] = {
    "bg_nbd": BgNbd,
    "mbg_nbd": MbgNbd,
    "pareto_nbd": ParetoNbd,
}
"""The models by the name under which they stand in tables; a new one is one line here."""

MOST_FITTED = 200_000
"""People above which a systematic sample is fitted to; chance moves its parameters by less than a standard error."""

PREFERRED = ("pareto_nbd", "mbg_nbd", "bg_nbd")
"""Which model to build on while none has been compared on data: Pareto/NBD lets people lapse at any moment."""


@dataclass(frozen=True)
class PurchaseModels:
    """Purchase models fitted to the same histories.

    Args:
        models: by name; those that could be fitted.
        failures: why the others could not, by name.
    """

    models: Mapping[str, PurchaseModel]
    failures: Mapping[str, str]

    @property
    def base(self) -> str:
        """Name of the model on which the churn edge builds; the first of :data:`PREFERRED` that could be fitted."""
        for name in PREFERRED:
            if name in self.models:
                return name
        reasons = "; ".join(self.failures.values()) or "there are no purchases"
        raise ModelError(f"No purchase model could be fitted: {reasons}")

    def only(self, *names: str) -> PurchaseModels:
        """Returns the models of these names alone."""
        return PurchaseModels({name: model for name, model in self.models.items() if name in names}, {})

    def to_dict(self) -> dict[str, Any]:
        """Returns the models as JSON takes them."""
        return {
            "models": {name: model.to_dict() for name, model in self.models.items()},
            "failures": dict(self.failures),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PurchaseModels:
        """Returns what :meth:`to_dict` described."""
        models = {name: KINDS[name].from_dict(stored) for name, stored in values["models"].items()}
        return cls(models, dict(values["failures"]))


def purchase_histories(session: Session, facts: str, as_of: date) -> pa.Table:
    """Returns the distinct purchase histories of a relation of facts as of ``as_of``.

    Columns: ``frequency`` (x), ``recency_days`` (t_x), ``age_days`` (T), ``people``; sorted.
    """
    return session.run(histories(facts), {"as_of": as_of})


def history_arrays(table: pa.Table) -> tuple[Array, Array, Array]:
    """Returns x, t_x and T of a table of histories, (rows,) each."""
    x, recency, age = (table[name].to_numpy().astype(np.float64) for name in ("frequency", "recency_days", "age_days"))
    return x, recency, age


def fit_purchase_models(table: pa.Table) -> PurchaseModels:
    """Fits every purchase model to the histories of :func:`purchase_histories`; a failure is kept, not raised.

    Of more than :data:`MOST_FITTED` people a systematic sample stands for all; ``n_people`` and standard errors are
    then those of the sample.
    """
    models: dict[str, PurchaseModel] = {}
    failures: dict[str, str] = {}
    if table.num_rows == 0:
        return PurchaseModels({}, dict.fromkeys(KINDS, "there are no purchases"))
    people = _sampled(table["people"].to_numpy().astype(np.float64))
    chosen = people > 0
    x, recency, age = (values[chosen] for values in history_arrays(table))
    summary = Summary.of(x, recency, age, weight=people[chosen])
    for name, kind in KINDS.items():
        try:
            models[name] = kind.fit_to(summary)
        except ModelError as error:
            failures[name] = error.message
    return PurchaseModels(models, failures)


def _sampled(people: Array) -> Array:
    """Returns how many people of each history are fitted to: all, or every so-maniest in the order of the histories."""
    total = float(people.sum())
    if total <= MOST_FITTED:
        return people
    positions = (np.arange(MOST_FITTED) + 0.5) * total / MOST_FITTED
    rows = np.searchsorted(np.cumsum(people), positions, side="right")
    return np.bincount(rows, minlength=people.size).astype(np.float64)


def with_predictions(purchase: PurchaseModels, table: pa.Table, horizon_days: int) -> pa.Table:
    """Adds what each model says of each history to a table of histories.

    Args:
        purchase: the models.
        table: of :func:`purchase_histories`.
        horizon_days: horizon of the predictions, days.

    Returns:
        the table with ``return_<model>`` (probability of a purchase within the horizon), ``expected_<model>``
        (purchase days within it) and ``alive_<model>``.
    """
    history = history_arrays(table)
    for name, model in purchase.models.items():
        table = table.append_column(f"return_{name}", pa.array(model.p_return(horizon_days, *history)))
        table = table.append_column(f"expected_{name}", pa.array(model.expected_purchases(horizon_days, *history)))
        table = table.append_column(f"alive_{name}", pa.array(model.p_alive(*history)))
    return table


def prediction_columns(purchase: PurchaseModels) -> tuple[str, ...]:
    """Returns the names of the columns that :func:`with_predictions` adds."""
    return tuple(f"{what}_{name}" for name in purchase.models for what in ("return", "expected", "alive"))
