"""Maximum likelihood for all models here: damped Newton steps in log-parameters.

The models give value, gradient and Hessian in closed form (or under the integral), so that a fit takes about
ten evaluations and the standard errors come with the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jingzhe.core.errors import ModelError
from jingzhe.dormancy.btyd.history import FloatArray
from jingzhe.dormancy.btyd.summary import Summary

_MAX_STEPS = 100
_MAX_HALVINGS = 30
_MAX_STEP = 2.0  # in log-parameters: no parameter changes by more than e² at once
_MAX_LOG = 16.0  # a parameter beyond e^±16 has left the range in which the data say anything
_DECREMENT = 1e-9  # nats still to be gained when we stop
_ROUNDING = 1e-13  # relative rounding error of a log-likelihood summed over many rows


class Evaluation(NamedTuple):
    """A log-likelihood with its derivatives by the parameters themselves (not their logarithms)."""

    value: float
    gradient: FloatArray
    hessian: FloatArray


@dataclass(frozen=True, slots=True)
class Fit:
    """How a fit went.

    Args:
        log_likelihood: at the estimates, summed over people.
        n_people: number of people (sum of weights).
        converged: whether no more than rounding can be gained. A fit that has not converged usually means
            that the data do not tell a parameter apart from 0 or infinity (nobody lapses, or all are alike).
        evaluations: of the likelihood, over all starts.
        log_covariance: covariance matrix of the estimates of the *logarithms* of the parameters, in the
            model's order of parameters: the inverse of the observed information; None where that is not
            positive definite.
    """

    log_likelihood: float
    n_people: float
    converged: bool
    evaluations: int
    log_covariance: tuple[tuple[float, ...], ...] | None


def maximise(
    objective: Callable[[FloatArray], Evaluation], starts: Sequence[Sequence[float]], n_people: float
) -> tuple[FloatArray, Fit]:
    """Find the parameters with the highest likelihood; later starts are tried only while none has converged.

    Args:
        objective: log-likelihood and derivatives at positive parameters, shape (k,).
        starts: parameters to start from, the likeliest first.
        n_people: is passed on to the `Fit`.

    Returns:
        The estimates, shape (k,), and how it went.

    Raises:
        ModelError: the likelihood is not finite at any start.
    """
    best: tuple[FloatArray, Evaluation, bool] | None = None
    evaluations = 0
    for start in starts:
        outcome, used = _climb(objective, np.log(np.asarray(start, dtype=np.float64)))
        evaluations += used
        if outcome is None:
            continue
        better = best is None or outcome[1].value > best[1].value
        if better and (best is None or outcome[2] or not best[2]):
            best = outcome
        if outcome[2]:
            break
    if best is None:
        raise ModelError("the likelihood is not finite at any start", hint="Check the histories for extreme values.")
    log_parameters, evaluation, converged = best
    parameters = np.exp(log_parameters)
    information = -_in_logs(parameters, evaluation)[1]
    covariance = _inverse(information)
    fit = Fit(evaluation.value, n_people, converged and covariance is not None, evaluations, covariance)
    return parameters, fit


def _climb(
    objective: Callable[[FloatArray], Evaluation], log_parameters: FloatArray
) -> tuple[tuple[FloatArray, Evaluation, bool] | None, int]:
    current = objective(np.exp(log_parameters))
    evaluations = 1
    if not np.isfinite(current.value):
        return None, evaluations
    for _ in range(_MAX_STEPS):
        gradient, hessian = _in_logs(np.exp(log_parameters), current)
        curvature, axes = np.linalg.eigh(-hessian)
        # Where the surface curves upwards Newton would walk to a saddle; the absolute value walks away from
        # it.
        floor = 1e-12 * max(1.0, float(np.abs(curvature).max()))
        step = axes @ ((axes.T @ gradient) / np.maximum(np.abs(curvature), floor))
        slope = float(gradient @ step)
        rounding = _ROUNDING * abs(current.value)
        if curvature.min() > 0 and slope / 2 < max(_DECREMENT, rounding):
            return (log_parameters, current, True), evaluations
        size = min(1.0, _MAX_STEP / max(float(np.abs(step).max()), 1e-300))
        for _ in range(_MAX_HALVINGS):
            trial = log_parameters + size * step
            proposed = objective(np.exp(trial))
            evaluations += 1
            if np.isfinite(proposed.value) and proposed.value >= current.value + 1e-4 * size * slope - rounding:
                break
            size /= 2
        else:
            return (log_parameters, current, False), evaluations
        log_parameters, current = trial, proposed
        if np.abs(log_parameters).max() > _MAX_LOG:
            break
    return (log_parameters, current, False), evaluations


def _in_logs(parameters: FloatArray, evaluation: Evaluation) -> tuple[FloatArray, FloatArray]:
    """Turn derivatives by the parameters into derivatives by their logarithms."""
    gradient = parameters * evaluation.gradient
    hessian = np.outer(parameters, parameters) * evaluation.hessian + np.diag(gradient)
    return gradient, hessian


def _inverse(information: FloatArray) -> tuple[tuple[float, ...], ...] | None:
    try:
        np.linalg.cholesky(information)
        inverse = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return None
    inverse = (inverse + inverse.T) / 2
    # Rounding may leave nothing of a direction about which a handful of people say next to nothing.
    if np.linalg.eigvalsh(inverse).min() <= 0:
        return None
    return tuple(tuple(float(value) for value in row) for row in inverse)


def checked_for_purchases(summary: Summary, time_unit_days: float) -> Summary:
    """Compress a summary for fitting, or say why no purchase model can be fitted to it.

    Args:
        summary: histories; weights count people.
        time_unit_days: unit of the model's time.

    Returns:
        The compressed summary without rows of weight 0.

    Raises:
        ModelError: nobody came back, or nobody was observed for any time, or the unit is not positive.
    """
    if not (np.isfinite(time_unit_days) and time_unit_days > 0):
        raise ModelError(f"time_unit_days must be above 0, it is {time_unit_days}")
    rows = Summary.of(*summary.history, weight=summary.weight).compress()
    counted = rows.weight > 0
    if not (rows.frequency[counted] > 0).any():
        raise ModelError(
            "frequency is 0 for everybody",
            hint="Without a single repeat purchase, coming back cannot be estimated; take more time.",
        )
    if not (rows.age_days[counted] > 0).any():
        raise ModelError("age_days is 0 for everybody", hint="Choose a later day of observation.")
    if counted.all():
        return rows
    return Summary(rows.frequency[counted], rows.recency_days[counted], rows.age_days[counted], rows.weight[counted])


def typical_rate(rows: Summary, time_unit_days: float) -> float:
    """Repeat purchases per person and time unit over everybody, from which fits start.

    Args:
        rows: histories with at least one repeat purchase.
        time_unit_days: unit of the model's time.

    Returns:
        The rate, above 0.
    """
    exposure = float(rows.weight @ rows.age_days) / time_unit_days
    return float(rows.weight @ rows.frequency) / exposure
