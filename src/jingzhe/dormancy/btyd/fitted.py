"""What every fitted model shares: parameters, standard errors, and a form that can be stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.fitting import Fit
from jingzhe.dormancy.btyd.history import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Base of the models. Parameters are the fields that a model adds; all are above 0.

    Args:
        fit: how the parameters were found; None when they were given.
    """

    name: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]]

    fit: Fit | None = None

    def __post_init__(self) -> None:
        for parameter, value in self.parameters.items():
            if not (np.isfinite(value) and value > 0):
                raise ModelError(f"parameter {parameter} of {self.name} must be above 0, it is {value}")

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name, in the order of the papers."""
        return {name: float(getattr(self, name)) for name in self.parameter_names}

    @property
    def standard_errors(self) -> dict[str, float] | None:
        """Standard error of each parameter, by the delta method from the observed information.

        None when parameters were given, not estimated, or when the information is not positive definite.
        """
        if self.fit is None or self.fit.log_covariance is None:
            return None
        deviations = np.sqrt(np.diag(np.asarray(self.fit.log_covariance)))
        return {
            name: value * float(deviation)
            for (name, value), deviation in zip(self.parameters.items(), deviations, strict=True)
        }

    @property
    def log_likelihood(self) -> float | None:
        """At the estimates, summed over people; None when parameters were given."""
        return None if self.fit is None else self.fit.log_likelihood

    @property
    def n_people(self) -> float | None:
        """Number of people it was fitted to; None when parameters were given."""
        return None if self.fit is None else self.fit.n_people

    @property
    def converged(self) -> bool:
        """Whether the parameters can be relied on: the fit converged, or they were given."""
        return self.fit is None or self.fit.converged

    def drawn(self, n_draws: int, generator: np.random.Generator) -> list[Self]:
        """Draw models from the normal approximation to the estimates' distribution (of their logarithms).

        Args:
            n_draws: how many models.
            generator: source of randomness.

        Returns:
            As many models; copies of this one when its uncertainty is not known.
        """
        if self.fit is None or self.fit.log_covariance is None:
            return [self] * n_draws
        centre = np.log(list(self.parameters.values()))
        covariance = np.asarray(self.fit.log_covariance)
        # The fit gives none that is not positive definite; NumPy's own check takes variances far apart for such.
        rows = generator.multivariate_normal(centre, covariance, size=n_draws, check_valid="ignore")
        return [self._with(np.exp(np.clip(row, -30.0, 30.0))) for row in rows]

    def _with(self, parameters: FloatArray) -> Self:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given |= dict(zip(self.parameter_names, map(float, parameters), strict=True))
        given["fit"] = None
        return type(self)(**given)

    def to_dict(self) -> dict[str, Any]:
        """Give the model as plain values which ``json.dumps`` takes.

        Returns:
            Name, parameters, standard errors and how the fit went.
        """
        fit = None
        if self.fit is not None:
            covariance = self.fit.log_covariance
            fit = {
                "log_likelihood": self.fit.log_likelihood,
                "n_people": self.fit.n_people,
                "converged": self.fit.converged,
                "evaluations": self.fit.evaluations,
                "log_covariance": None if covariance is None else [list(row) for row in covariance],
            }
        settings = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in (*self.parameter_names, "fit")
        }
        return {
            "model": self.name,
            **settings,
            "parameters": self.parameters,
            "standard_errors": self.standard_errors,
            "fit": fit,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Restore a model from `to_dict`.

        Args:
            stored: what `to_dict` gave, also after a way through JSON.

        Returns:
            An equal model.

        Raises:
            ModelError: it is another model, or a part is missing.
        """
        if stored.get("model") != cls.name:
            raise ModelError(f"this is a stored {stored.get('model')!r}, not a {cls.name!r}")
        try:
            fit = None
            if stored["fit"] is not None:
                kept = dict(stored["fit"])
                covariance = kept.pop("log_covariance")
                rows = None if covariance is None else tuple(tuple(map(float, row)) for row in covariance)
                fit = Fit(**kept, log_covariance=rows)
            known = {field.name for field in fields(cls)} - {"fit"}
            settings = {name: value for name, value in stored.items() if name in known}
            return cls(**settings, **{name: stored["parameters"][name] for name in cls.parameter_names}, fit=fit)
        except (KeyError, TypeError) as error:
            raise ModelError(f"the stored {cls.name} cannot be read: {error}") from error
