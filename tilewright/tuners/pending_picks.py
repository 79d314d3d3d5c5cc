"""What is left of a model's doubt when some points are about to be measured.

A pick takes from the doubt of all points like it, whatever its result will be, so that the next pick of a
batch goes elsewhere. The mean stays as it is until results come (Desautels, Krause and Burdick,
"Parallelizing exploration-exploitation tradeoffs in Gaussian process bandit optimization", 2014).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.tuners.prior import Vector

_LEAST = 1e-6


class PendingPicks(Protocol):
    """Follows the spread of a fixed sequence of points."""

    def add(self, place: int) -> None:
        """Say that the point at a place will be measured."""

    def spread_left(self) -> Vector:
        """Return the share of each point's spread that the picks so far leave."""


class ProcessPicks:
    """Picks among points of which a Gaussian process knows how alike they are."""

    def __init__(
        self,
        variance: Vector,
        noise: float,
        explained: NDArray[np.float32],
        covariance: Callable[[int], NDArray[np.float32]],
    ) -> None:
        """Begin without a pick.

        Args:
            variance: of each point, given the data.
            noise: the variance of a measurement.
            explained: a row for each point: its whitened covariance with the data.
            covariance: of all points with the one at a place, before any data.
        """
        self._first = variance
        self._variance = variance
        self._noise = noise
        self._explained = explained
        self._covariance = covariance
        self._picked: list[Vector] = []

    def add(self, place: int) -> None:
        """Say that the point at a place will be measured."""
        shared = self._covariance(place) - self._explained @ self._explained[place]
        for earlier in self._picked:
            shared = shared - earlier * earlier[place]
        # Rounding in near-singular covariances may claim more than two points can share (Cauchy-Schwarz).
        most = np.sqrt(self._variance * self._variance[place])
        shared = np.clip(shared, -most, most)
        column = shared / np.sqrt(self._variance[place] + self._noise)
        self._picked.append(column)
        self._variance = np.maximum(self._variance - column**2, _LEAST * self._first)

    def spread_left(self) -> Vector:
        """Return the share of each point's spread that the picks so far leave."""
        return np.asarray(np.sqrt(self._variance / self._first))


class UnrelatedPicks:
    """Picks of a model that does not say which points are alike: none tells of another."""

    def __init__(self, count: int) -> None:
        self._spread = np.ones(count)

    def add(self, place: int) -> None:
        """Say that the point at a place will be measured."""

    def spread_left(self) -> Vector:
        """Return one for each point."""
        return self._spread


class JointPicks:
    """Picks as several models see them, which then share one spread."""

    def __init__(self, parts: Sequence[PendingPicks]) -> None:
        self._parts = parts

    def add(self, place: int) -> None:
        """Say that the point at a place will be measured."""
        for part in self._parts:
            part.add(place)

    def spread_left(self) -> Vector:
        """Return the product of the shares that the models leave."""
        return np.asarray(np.prod([part.spread_left() for part in self._parts], axis=0))
