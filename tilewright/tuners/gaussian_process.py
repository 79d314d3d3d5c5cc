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


@dataclass(frozen=True, slots=True)
class _Fit:
    """A kernel's scales and noise, and what they give for the data."""

    loss: float
    scales: Vector
    noise: float
    cholesky: Points
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
        self._fitted = self._choose_scales((targets - self._mean) / self._deviation)
        fitted = self._fitted
        self._variance = float(fitted.whitened @ fitted.whitened) / len(points)
        self._whitening = np.linalg.inv(fitted.cholesky)
        self._weights = np.linalg.solve(fitted.cholesky.T, fitted.whitened)

    def predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        """Return the mean and the standard deviation of the targets of feature rows."""
        parts = [self._predict(features[low : low + _CHUNK]) for low in range(0, len(features), _CHUNK)]
        mean, spread = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, spread

    def _predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        scales = self._fitted.scales
        points = (features.astype(np.float64) - self._shift) / self._unit
        shared = _matern(points * scales, self._points * scales)
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
        points = self._points * scales
        covariance = _matern(points, points) + noise * np.eye(len(points))
        cholesky = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        whitened = np.asarray(np.linalg.solve(cholesky, targets), dtype=np.float64)
        variance = max(float(whitened @ whitened) / len(targets), 1e-12)
        loss = 0.5 * len(targets) * np.log(variance) + np.log(np.diag(cholesky)).sum()
        return _Fit(float(loss), scales, noise, cholesky, whitened)


def _most_telling(targets: Vector) -> NDArray[np.int64]:
    """Return the places of at most POINTS_LIMIT targets, since the time is cubic in their number."""
    order = np.argsort(targets, kind="stable")
    if len(order) <= POINTS_LIMIT:
        return order
    half = POINTS_LIMIT // 2
    others = order[half:]
    return np.concatenate([order[:half], others[np.linspace(0, len(others) - 1, half).astype(int)]])


def _matern(left: Points, right: Points) -> Points:
    """Return the Matern 5/2 kernel of unit length."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * left @ right.T
    distance = np.sqrt(5 * np.maximum(squares, 0.0))
    return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))
