"""A Gaussian process over the knobs: sure near what was measured, unsure elsewhere."""

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.features import knob_table
from tilewright.tuners.knob_kernel import KnobKernel, Matrix
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector

POINTS_LIMIT = 200
_STEPS = 8
_CHUNK = 2048
_JITTER = 1e-6

Places = list[NDArray[np.int64]]


class GaussianProcess:
    """Exact regression on the choices of the knobs, in any number of fits on growing data.

    The kernel's parameters are those of highest posterior density; a fit begins where the last one ended.
    """

    def __init__(self, space: ConfigSpace) -> None:
        self._varying = [column for column, knob in enumerate(space.knobs) if len(knob) > 1]
        self._tables = [_unit_range(knob_table(space.knobs[column])) for column in self._varying]
        self._kernel = KnobKernel(len(self._varying))
        self._parameters = self._kernel.start
        self.guided = True

    def fit(self, points: Points, targets: Vector) -> None:
        """Learn the targets of points; of many, the lowest and an even share of the others."""
        chosen = _most_telling(targets)
        targets = targets[chosen]
        self._known = points[chosen]
        dims = len(self._varying) + self._known.guesses.shape[1]
        if self._kernel.knobs != dims:
            self._kernel = KnobKernel(dims)
            self._parameters = self._kernel.start
        self._mean, self._deviation = float(targets.mean()), float(targets.std()) + 1e-9
        scores = (targets - self._mean) / self._deviation
        self._parameters = self._most_likely(scores)
        covariance = self._covariance(self._known).astype(np.float64)
        covariance.flat[:: len(scores) + 1] += self._kernel.noise(self._parameters) + _JITTER
        lower = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(lower)
        self._weights = inverse.T @ (inverse @ scores)
        self._whitening = inverse.astype(np.float32)

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation of the targets of points."""
        parts = [self._predict(points[low : low + _CHUNK]) for low in range(0, len(points), _CHUNK)]
        mean, spread = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, spread

    def _predict(self, points: Points) -> tuple[Vector, Vector]:
        shared = self._covariance(points)
        explained = shared @ self._whitening.T
        variance = self._kernel.variance(self._parameters)
        left = np.maximum(variance - np.einsum("ij,ij->i", explained, explained), _JITTER * variance)
        mean = shared @ self._weights * self._deviation + self._mean
        return mean, np.sqrt(left).astype(np.float64) * self._deviation

    def _covariance(self, points: Points) -> NDArray[np.float32]:
        """Return the covariance of points with the known ones, by tables of the choices that occur."""
        distances, rows, columns = [], [], []
        for column, table in zip(self._varying, self._tables, strict=True):
            asked, row = np.unique(points.choices[:, column], return_inverse=True)
            known, place = np.unique(self._known.choices[:, column], return_inverse=True)
            distances.append(_squared_distances(table[asked], table[known]))
            rows.append(row)
            columns.append(place)
        for column in range(points.guesses.shape[1]):
            asked, known = points.guesses[:, column], self._known.guesses[:, column]
            distances.append(_squared_distances(asked[:, None] / 2.0, known[:, None] / 2.0))
            rows.append(np.arange(len(asked)))
            columns.append(np.arange(len(known)))
        return self._kernel.covariance(self._parameters, distances, rows, columns)

    def _most_likely(self, scores: Vector) -> Vector:
        """Return the parameters of highest posterior density, by a few steps of L-BFGS."""
        from scipy.optimize import minimize

        squares = self._known_distances()
        start, kernel = self._parameters, self._kernel
        found = minimize(
            lambda parameters: self._loss(parameters, squares, scores),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=kernel.bounds,
            options={"maxiter": _STEPS},
        )
        return np.asarray(found.x)

    def _known_distances(self) -> Matrix:
        tables = zip(self._varying, self._tables, strict=True)
        rows = [table[self._known.choices[:, column]] for column, table in tables]
        rows += [guess[:, None] / 2.0 for guess in self._known.guesses.T]
        empty = np.zeros((0, len(self._known), len(self._known)))
        return np.stack([_squared_distances(row, row) for row in rows]) if rows else empty

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


def _mirror(lower: Matrix) -> Matrix:
    return np.tril(lower) + np.tril(lower, -1).T


def _unit_range(table: NDArray[np.float32]) -> Matrix:
    """Scale each column to values from 0 to 1."""
    span = np.ptp(table, axis=0)
    return (table - table.min(axis=0)) / np.where(span > 0, span, 1.0).astype(np.float64)


def _squared_distances(rows: Matrix, columns: Matrix) -> Matrix:
    difference = rows[:, None, :] - columns[None, :, :]
    return np.einsum("ijk,ijk->ij", difference, difference)


def _most_telling(targets: Vector) -> NDArray[np.int64]:
    """Return the places of at most POINTS_LIMIT targets, since the time is cubic in their number."""
    order = np.argsort(targets, kind="stable")
    if len(order) <= POINTS_LIMIT:
        return order
    half = POINTS_LIMIT // 2
    others = order[half:]
    return np.concatenate([order[:half], others[np.linspace(0, len(others) - 1, half).astype(int)]])
