"""The covariance of configurations: effects of single knobs, of pairs of knobs, and of all together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.prior import Vector

Matrix = NDArray[np.float64]
_WHOLE = 0.3
_NOISE = 1e-2


@dataclass(frozen=True, slots=True)
class Grid:
    """Squared distances by one variable: of its values that occur, and where each point's value is."""

    squares: Matrix
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def spread(self, values: Matrix) -> NDArray[np.float32]:
        """Return, for each pair of points, what `values` has for the pair of their values."""
        return values.astype(np.float32)[:, self.columns][self.rows]


@dataclass(frozen=True, slots=True)
class KnobKernel:
    """``single * sum z_i + pairs * sum z_i z_j + whole * prod k_i``, where ``z_i = weight_i * k_i``.

    ``k_i`` is a Matern 5/2 function of the distance of two choices of knob i, or of two guesses. Sums of
    effects of few variables learn from few points what a product of all cannot (Duvenaud, Nickisch and
    Rasmussen, "Additive Gaussian processes", 2011); the product finds the islands that pairs do not explain.

    The parameters are one vector of logarithms: a length and a weight for each variable, then single, pairs,
    whole and the noise.

    Attributes:
        variables: how many there are.
        length: the logarithm of each variable's length that is most likely before any data.
    """

    variables: int
    length: float = 0.0

    @property
    def start(self) -> Vector:
        """The most likely parameters before any data: every term has a share of a variance of about one."""
        pairs = max(self.variables * (self.variables - 1) / 2, 1)
        orders = np.log([1 / max(self.variables, 1), 1 / pairs, _WHOLE, _NOISE])
        return np.concatenate([np.full(self.variables, self.length), np.zeros(self.variables), orders])

    @property
    def doubt(self) -> Vector:
        """How far the parameters may be from `start`: standard deviations."""
        return np.concatenate([np.ones(2 * self.variables), np.full(4, 2.0)])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The least and the largest value of each parameter."""
        lengths, weights = [(-3.0, 4.0)] * self.variables, [(-6.0, 3.0)] * self.variables
        return [*lengths, *weights, (-8.0, 4.0), (-8.0, 4.0), (-12.0, 4.0), (float(np.log(1e-4)), 0.0)]

    def noise(self, parameters: Vector) -> float:
        """The variance that repeats of one configuration have."""
        return float(np.exp(parameters[-1]))

    def variance(self, parameters: Vector) -> float:
        """The covariance of a configuration with itself, without noise."""
        weights, single, pairs, whole = self._amplitudes(parameters)
        return float(single * weights.sum() + pairs * _pairs(weights) + whole)

    def covariance(
        self, parameters: Vector, grids: Sequence[Grid], shape: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return the covariance of points with others, of which the grids have the distances by variable."""
        weights, single, pairs, whole = self._amplitudes(parameters)
        total = squares = np.zeros(shape, dtype=np.float32)
        product = np.ones(shape, dtype=np.float32)
        for variable, grid in enumerate(grids):
            likeness = grid.spread(_matern(grid.squares, parameters[variable])[0])
            product = product * likeness
            likeness *= np.float32(weights[variable])
            total = total + likeness
            squares = squares + likeness * likeness
        mixed = np.float32(single) * total + np.float32(pairs / 2) * (total * total - squares)
        return np.asarray(mixed + np.float32(whole) * product)

    def with_slopes(self, parameters: Vector, squares: Matrix) -> tuple[Matrix, "Slopes"]:
        """Return the covariance of points, from their squared distances by variable, and its slopes."""
        weights, single, pairs, whole = self._amplitudes(parameters)
        likeness, by_length = _matern(squares, parameters[: self.variables, None, None])
        effects = likeness * weights[:, None, None]
        total = effects.sum(axis=0)
        second = (total * total - (effects * effects).sum(axis=0)) / 2
        terms = (single * total, pairs * second, whole * likeness.prod(axis=0))
        return terms[0] + terms[1] + terms[2], Slopes(
            effects, by_length, terms, single + pairs * total, pairs
        )

    def _amplitudes(self, parameters: Vector) -> tuple[Vector, float, float, float]:
        single, pairs, whole, _ = np.exp(parameters[2 * self.variables :])
        return np.exp(parameters[self.variables : 2 * self.variables]), single, pairs, whole


@dataclass(frozen=True, slots=True)
class Slopes:
    """What the slope of a function of the covariance follows from, for each parameter."""

    effects: Matrix
    by_length: Matrix
    terms: tuple[Matrix, Matrix, Matrix]
    outer: Matrix
    pairs: float

    def pull(self, slope: Matrix) -> Vector:
        """Return the slopes by the parameters, but for the noise, from the slope by the covariance."""
        by_effect = self.effects * (slope * self.outer) - self.effects**2 * (slope * self.pairs)
        by_terms = [float((slope * term).sum()) for term in self.terms]
        by_lengths = ((by_effect + slope * self.terms[2]) * self.by_length).sum(axis=(1, 2))
        return np.concatenate([by_lengths, by_effect.sum(axis=(1, 2)), by_terms])


def _matern(squares: Matrix, log_length: float | Matrix) -> tuple[Matrix, Matrix]:
    """Return the Matern 5/2 kernel of squared distances, and its logarithm's slope by that of the length."""
    distance = np.sqrt(5 * squares) * np.exp(-log_length)
    polynomial = 1 + distance + distance**2 / 3
    return polynomial * np.exp(-distance), distance**2 * (1 + distance) / 3 / polynomial


def _pairs(weights: Vector) -> float:
    return float((weights.sum() ** 2 - (weights**2).sum()) / 2)
