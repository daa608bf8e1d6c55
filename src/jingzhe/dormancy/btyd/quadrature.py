"""The two integrals behind the models, each by a Gauss rule that serves long and short histories alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal

from jingzhe.dormancy.btyd.history import FloatArray, IntArray

_LEGENDRE_NODES = 40  # for predictions: errors stay below 1e-9 for shifts and powers between .001 and 1,000
_NEGLIGIBLE = 45.0  # e^-45: what lies beyond adds nothing in double precision
_BETA_NODES = (24, 64, 192, 576)


class Factor(NamedTuple):
    """One factor (c + t)^-p of an integrand.

    Args:
        shift: c > 0, scalar or shape (n,).
        power: p > 0, scalar or shape (n,).
    """

    shift: float | FloatArray
    power: float | FloatArray

    def spread(self, shape: tuple[int, ...]) -> Factor:
        """Broadcast both to a shape."""
        return Factor(np.broadcast_to(self.shift, shape), np.broadcast_to(self.power, shape))


def power_nodes(
    lower: FloatArray, upper: FloatArray, first: Factor, second: Factor, *, n_nodes: int = _LEGENDRE_NODES
) -> tuple[FloatArray, FloatArray]:
    """Place nodes for ∫ (c1+t)^-p1 (c2+t)^-p2 dt from lower to upper.

    With m the smaller shift, M the larger and y = ln((m+t)/(m+lower)), the integrand is a constant times
    e^{-νy} (1 + d e^{-y})^{-k}, where ν = p1+p2-1, d = (M-m)/(m+lower) and k is the power that belongs to M.
    Its singularities lie at distance π from the real line whatever the data are, and its logarithm is concave
    in y, so Gauss-Legendre over the part that matters converges fast for ν of .1 as for ν of 10,000. For c1 =
    c2 and for lower = upper nothing special happens.

    Args:
        lower: shape (n,), 0 or more.
        upper: shape (n,), not below ``lower``.
        first: c1 and p1.
        second: c2 and p2, with p1 + p2 > 1.
        n_nodes: per row.

    Returns:
        Nodes t and the logarithms of their weights dt, each of shape (n, nodes); the integrand is left to the
        caller.
    """
    c1, c2 = np.asarray(first.shift), np.asarray(second.shift)
    smaller = np.minimum(c1, c2)
    strength = np.where(c1 <= c2, second.power, first.power)
    start = smaller + lower
    excess = np.abs(c1 - c2) / start
    decay = np.asarray(first.power) + second.power - 1.0
    initial_decay = decay - strength * excess / (1.0 + excess)
    with np.errstate(divide="ignore"):
        by_start = np.where(initial_decay > 0, _NEGLIGIBLE / initial_decay, np.inf)
    by_tail = _NEGLIGIBLE / decay + np.log(np.maximum(excess, 1.0))
    length = np.minimum(np.log1p((upper - lower) / start), np.minimum(by_start, by_tail))

    unit, weight = _legendre(n_nodes)
    growth = np.multiply.outer(length, unit)
    nodes = lower[:, None] + start[:, None] * np.expm1(growth)
    with np.errstate(divide="ignore"):
        scale = np.log(length) + np.log(start)
    return nodes, scale[:, None] + growth + np.log(weight)


@lru_cache
def _legendre(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1.0) / 2.0, weights / 2.0


def beta_mean(
    function: Callable[[FloatArray, IntArray], FloatArray],
    first: float,
    second: FloatArray,
    difficulty: FloatArray,
) -> FloatArray:
    """Mean of a smooth function of p over p ~ Beta(first, second), for each row.

    Args:
        function: takes nodes p, shape (nodes,), and the selected rows, and gives values of shape (rows,
            nodes).
        first: the distribution's a.
        second: the distribution's b, shape (n,).
        difficulty: by how many times the function's scale in p is shorter than the distribution's, shape
            (n,); it decides about the number of nodes.

    Returns:
        The means, shape (n,).
    """
    result = np.empty(second.shape)
    level = np.searchsorted([3.0, 12.0, 50.0], difficulty)
    order = np.lexsort((second, level))
    changes = (np.diff(second[order]) != 0) | (np.diff(level[order]) != 0)
    for rows in np.split(order, np.flatnonzero(changes) + 1):
        if rows.size:
            nodes, weights = _beta_rule(first, float(second[rows[0]]), _BETA_NODES[level[rows[0]]])
            for block in np.array_split(rows, 1 + rows.size // 4096):
                result[block] = function(nodes, block) @ weights
    return result


@lru_cache(maxsize=4096)
def _beta_rule(first: float, second: float, n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Jacobi rule for the probability measure Beta(first, second) on [0, 1] (Golub & Welsch 1969).

    The recurrence is written for [0, 1] directly: nodes near 0 would lose their digits if moved from [-1, 1].
    """
    total = first + second - 2.0
    k = np.arange(1, n_nodes, dtype=np.float64)
    double = 2.0 * k + total
    diagonal = np.empty(n_nodes)
    diagonal[0] = first / (first + second)
    diagonal[1:] = (2.0 * k * (k + total + 1.0) + total * first) / (double * (double + 2.0))
    squares = np.empty(n_nodes - 1)
    squares[0] = first * second / ((first + second) ** 2 * (first + second + 1.0))
    j, dj = k[1:], double[1:]
    squares[1:] = j * (j + second - 1.0) * (j + first - 1.0) * (j + total) / (dj**2 * (dj + 1.0) * (dj - 1.0))
    nodes, vectors = eigh_tridiagonal(diagonal, np.sqrt(squares))
    return np.clip(nodes, 1e-300, 1.0), vectors[0] ** 2
