"""A Gaussian process over the knobs: sure near what was measured, unsure elsewhere."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.acquisition import Opinion
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.features import knob_table
from tilewright.tuners.knob_kernel import Grid, KnobKernel, Matrix
from tilewright.tuners.pending_picks import ProcessPicks
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector

POINTS_LIMIT = 200
_STEPS = 8
_CHUNK = 2048
_JITTER = 1e-6
# Normal scores span four or more; a length of one should, as with knobs, be a good part of the range.
_GUESS_UNIT = 2.0


class GaussianProcess(CostModel):
    """Exact regression on the choices of the knobs, in any number of fits on growing data.

    What priors expect of a point is one more variable each. The kernel's parameters are those of highest
    posterior density; a fit begins where the last one ended.

    Args:
        space: whose knobs it sees.
        length: the logarithm of how far the effect of a knob's choice is expected to reach; at 0, over the
            range of the choices.
    """

    def __init__(self, space: ConfigSpace, length: float = 0.0) -> None:
        self._varying = [column for column, knob in enumerate(space.knobs) if len(knob) > 1]
        self._tables = [_unit_range(knob_table(space.knobs[column])) for column in self._varying]
        self._kernel = KnobKernel(len(self._varying), length)
        self._parameters = self._kernel.start

    def fit(self, points: Points, targets: Vector) -> None:
        """Learn the targets of points; of many, the lowest and an even share of the others."""
        self._set_variables(len(self._varying) + points.guesses.shape[1])
        chosen = _most_telling(targets)
        targets = targets[chosen]
        self._known = points[chosen]
        self._mean, self._deviation = float(targets.mean()), float(targets.std()) + 1e-9
        scores = (targets - self._mean) / self._deviation
        squares = self._known_distances()
        self._parameters = self._most_likely(squares, scores)
        covariance, _ = self._kernel.with_slopes(self._parameters, squares)
        covariance.flat[:: len(scores) + 1] += self._kernel.noise(self._parameters) + _JITTER
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        self._weights = inverse.T @ (inverse @ scores)
        self._whitening = inverse.astype(np.float32)

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation of the targets of points."""
        parts = [self._look(chunk)[:2] for chunk in _chunks(points)]
        mean, variance = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, np.sqrt(variance) * self._deviation

    def opinion(self, points: Points) -> Opinion:
        """Return the same, and how picks of a batch take from the deviation of those like them."""
        parts = [self._look(chunk) for chunk in _chunks(points)]
        mean, variance, explained = (np.concatenate(part) for part in zip(*parts, strict=True))
        picks = ProcessPicks(
            variance,
            self._kernel.noise(self._parameters),
            explained,
            lambda place: self._covariance(points, points[place : place + 1])[:, 0],
        )
        return Opinion(mean, np.sqrt(variance) * self._deviation, picks)

    def _look(self, points: Points) -> tuple[Vector, Vector, NDArray[np.float32]]:
        """Return the mean, the variance that the data leave in the kernel's unit, and the parts explained."""
        shared = self._covariance(points, self._known)
        explained = shared @ self._whitening.T
        variance = self._kernel.variance(self._parameters)
        left = variance - np.einsum("ij,ij->i", explained, explained)
        mean = shared @ self._weights * self._deviation + self._mean
        return mean, np.maximum(left, _JITTER * variance).astype(np.float64), explained

    def _set_variables(self, count: int) -> None:
        if self._kernel.variables != count:
            self._kernel = KnobKernel(count, self._kernel.length)
            self._parameters = self._kernel.start

    def _covariance(self, points: Points, others: Points) -> NDArray[np.float32]:
        """Return the covariance of points with others, by tables of the choices that occur."""
        grids = [
            _knob_grid(table, points.choices[:, column], others.choices[:, column])
            for column, table in zip(self._varying, self._tables, strict=True)
        ]
        guesses = zip(points.guesses.T, others.guesses.T, strict=True)
        grids += [_guess_grid(asked, known) for asked, known in guesses]
        return self._kernel.covariance(self._parameters, grids, (len(points), len(others)))

    def _most_likely(self, squares: Matrix, scores: Vector) -> Vector:
        """Return the parameters of highest posterior density, by a few steps of L-BFGS."""
        from scipy.optimize import minimize

        found = minimize(
            lambda parameters: self._loss(parameters, squares, scores),
            self._parameters,
            jac=True,
            method="L-BFGS-B",
            bounds=self._kernel.bounds,
            options={"maxiter": _STEPS},
        )
        return np.asarray(found.x)

    def _known_distances(self) -> Matrix:
        tables = zip(self._varying, self._tables, strict=True)
        knobs = [table[self._known.choices[:, column]] for column, table in tables]
        variables = [*knobs, *map(_guess_rows, self._known.guesses.T)]
        size = len(self._known)
        empty = np.zeros((0, size, size))
        return np.stack([_squared_distances(rows, rows) for rows in variables]) if variables else empty

    def _loss(self, parameters: Vector, squares: Matrix, scores: Vector) -> tuple[float, Vector]:
        """Return the negative logarithm of the posterior density, up to a constant, and its slopes."""
        from scipy.linalg.lapack import dpotrf, dpotri

        size, kernel = len(scores), self._kernel
        covariance, slopes = kernel.with_slopes(parameters, squares)
        noise = kernel.noise(parameters)
        covariance.flat[:: size + 1] += noise + _JITTER
        lower, failed = dpotrf(covariance, lower=1)
        if failed:
            return 1e10, np.zeros_like(parameters)
        inverse = _mirror(dpotri(lower, lower=1)[0])
        weights = inverse @ scores
        slope = (inverse - np.outer(weights, weights)) / 2
        likelihood = scores @ weights / 2 + np.log(np.diag(lower)).sum()
        strayed = (parameters - kernel.start) / kernel.doubt
        by_parameters = np.append(slopes.pull(slope), noise * np.trace(slope))
        return float(likelihood + strayed @ strayed / 2), by_parameters + strayed / kernel.doubt


def _chunks(points: Points) -> Iterator[Points]:
    """Yield points in pieces whose covariance with the known ones stays in a cache."""
    return (points[low : low + _CHUNK] for low in range(0, len(points), _CHUNK))


def _mirror(lower: Matrix) -> Matrix:
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def _unit_range(table: NDArray[np.float32]) -> Matrix:
    """Scale each column to values from 0 to 1."""
    span = np.ptp(table, axis=0)
    return np.asarray((table - table.min(axis=0)) / np.where(span > 0, span, 1.0).astype(np.float64))


def _squared_distances(rows: Matrix, columns: Matrix) -> Matrix:
    difference = rows[:, None, :] - columns[None, :, :]
    return np.asarray(np.einsum("ijk,ijk->ij", difference, difference))


def _knob_grid(table: Matrix, asked: Ordinals, known: Ordinals) -> Grid:
    """Return the distances of the choices that occur, and where each point's is."""
    rows, row_of = _occurring(asked, len(table))
    columns, column_of = _occurring(known, len(table))
    return Grid(_squared_distances(table[rows], table[columns]), row_of, column_of)


def _occurring(choices: Ordinals, count: int) -> tuple[Ordinals, Ordinals]:
    """Return the choices that occur, and where each point's is; all choices where these are fewer."""
    if count <= len(choices):
        return np.arange(count), choices
    occurring, places = np.unique(choices, return_inverse=True)
    return occurring, places


def _guess_grid(asked: NDArray[np.float32], known: NDArray[np.float32]) -> Grid:
    squares = _squared_distances(_guess_rows(asked), _guess_rows(known))
    return Grid(squares, np.arange(len(asked)), np.arange(len(known)))


def _guess_rows(guesses: NDArray[np.float32]) -> Matrix:
    return guesses[:, None].astype(np.float64) / _GUESS_UNIT


def _most_telling(targets: Vector) -> NDArray[np.int64]:
    """Return the places of at most POINTS_LIMIT targets, since the time is cubic in their number."""
    order = np.argsort(targets, kind="stable")
    if len(order) <= POINTS_LIMIT:
        return order
    half = POINTS_LIMIT // 2
    others = order[half:]
    return np.concatenate([order[:half], others[np.linspace(0, len(others) - 1, half).astype(int)]])
