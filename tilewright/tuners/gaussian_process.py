"""A Gaussian process with a Matern kernel: sure near what was measured, unsure elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.cost_model import Vector

Points = NDArray[np.float64]
LENGTHS = (0.4, 0.8, 1.6, 3.2)
NOISES = (1e-4, 1e-2, 1e-1)
POINTS_LIMIT = 200
_SWEEPS = 2
_GAIN = 0.1
_CHUNK = 8192
_BLOCK = 24


@dataclass(frozen=True, slots=True)
class _Fit:
    """A kernel's scales and noise, and what they give for the data."""

    loss: float
    scales: Vector
    noise: float
    whitened: Vector


class GaussianProcess:
    """Exact regression; the features' scales and the noise are those of highest marginal likelihood."""

    def fit(self, features: NDArray[np.float32], targets: Vector) -> None:
        """Learn the targets of feature rows; of many, the lowest and an even share of the others."""
        chosen = _most_telling(targets)
        points, targets = features[chosen].astype(np.float64), targets[chosen]
        self._shift, deviation = points.mean(axis=0), points.std(axis=0)
        self._unit = np.where(deviation < 1e-9, 1.0, deviation)
        self._points = (points - self._shift) / self._unit
        self._mean, self._deviation = float(targets.mean()), float(targets.std()) + 1e-9
        self._distances = (self._points[:, None, :] - self._points[None, :, :]) ** 2
        fitted = self._choose_scales((targets - self._mean) / self._deviation)
        _, unwhitening = _factorise(self._covariance(fitted.scales, fitted.noise), np.eye(len(points)))
        self._scales, self._whitening = fitted.scales, unwhitening.T
        self._variance = float(fitted.whitened @ fitted.whitened) / len(points)
        self._weights = np.einsum("ij,j->i", unwhitening, fitted.whitened)

    def predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation of the targets of feature rows."""
        parts = [self._predict(features[low : low + _CHUNK]) for low in range(0, len(features), _CHUNK)]
        mean, spread = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, spread

    def _predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        points = (features.astype(np.float64) - self._shift) / self._unit * self._scales
        known = self._points * self._scales
        squares = (points**2).sum(axis=1)[:, None] + (known**2).sum(axis=1)[None, :] - 2 * points @ known.T
        shared = _matern(np.maximum(squares, 0.0))
        explained = self._whitening @ shared.T
        variance = np.maximum(1.0 - (explained**2).sum(axis=0), 1e-9) * self._variance
        return shared @ self._weights * self._deviation + self._mean, np.sqrt(variance) * self._deviation

    def _choose_scales(self, targets: Vector) -> _Fit:
        """Try common lengths and noises, then halve or double the scale of one feature after the other."""
        width = self._points.shape[1]
        ones = np.ones(width) / np.sqrt(max(width, 1))
        best = min(
            (self._fit(targets, ones * length, noise) for length in LENGTHS for noise in NOISES),
            key=lambda fit: fit.loss,
        )
        for _ in range(_SWEEPS):
            for column in range(width):
                for factor in (0.5, 2.0):
                    scales = best.scales.copy()
                    scales[column] *= factor
                    other = self._fit(targets, scales, best.noise)
                    best = other if other.loss < best.loss - _GAIN else best
        return best

    def _fit(self, targets: Vector, scales: Vector, noise: float) -> _Fit:
        cholesky, (whitened,) = _factorise(self._covariance(scales, noise), targets[None, :])
        variance = max(float(whitened @ whitened) / len(targets), 1e-12)
        loss = 0.5 * len(targets) * np.log(variance) + np.log(np.diag(cholesky)).sum()
        return _Fit(float(loss), scales, noise, whitened)

    def _covariance(self, scales: Vector, noise: float) -> Points:
        squares = np.einsum("ijk,k->ij", self._distances, scales**2)
        return _matern(squares) + noise * np.eye(len(squares))


def _most_telling(targets: Vector) -> NDArray[np.int64]:
    """Return the places of at most POINTS_LIMIT targets, since the time is cubic in their number."""
    order = np.argsort(targets, kind="stable")
    if len(order) <= POINTS_LIMIT:
        return order
    half = POINTS_LIMIT // 2
    others = order[half:]
    return np.concatenate([order[:half], others[np.linspace(0, len(others) - 1, half).astype(int)]])


def _factorise(matrix: Points, rows: Points) -> tuple[Points, Points]:
    """Return the Cholesky factor L of a matrix, and rows times the inverse of L transposed.

    The blocks are so small that BLAS stays on one thread: on busy cores a threaded factorisation of 200 rows
    took 100 ms instead of 1, and it would disturb the measurements beside it.
    """
    size = len(matrix)
    full = np.vstack([matrix, rows])
    for low in range(0, size, _BLOCK):
        high = min(low + _BLOCK, size)
        corner = np.linalg.cholesky(full[low:high, low:high])
        panel = full[high:, low:high] @ np.linalg.inv(corner).T
        full[low:high, low:high], full[high:, low:high] = corner, panel
        for left in range(high, size, _BLOCK):
            right = min(left + _BLOCK, size)
            full[left:, left:right] -= panel[left - high :] @ panel[left - high : right - high].T
    return np.tril(full[:size]), full[size:]


def _matern(squares: Points) -> Points:
    """Return the Matern 5/2 kernel of unit length for squared distances."""
    distance = np.sqrt(5 * squares)
    return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))
