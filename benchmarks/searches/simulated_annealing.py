"""Simulated annealing on a model's scores, as AutoTVM's SimulatedAnnealingOptimizer does it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.templates import ConfigSpace

Indices = npt.NDArray[Any]
Scores = npt.NDArray[np.float64]

STEPS = 500
WALKERS = 128
FIRST_TEMPERATURE = 1.0
# Steps without a better point after which it ends.
PATIENCE = 50
_ATTEMPTS = 32


class Annealing:
    """Walkers that stay where they are from one search to the next."""

    def __init__(self, space: ConfigSpace, rng: np.random.Generator) -> None:
        self._space = space
        self._rng = rng
        self._points: Indices | None = None

    def find_maximums(
        self, score: Callable[[Indices], Scores], count: int, exclude: Collection[int]
    ) -> list[int]:
        """The indices of the highest scores that were met, the best first, but for those of ``exclude``."""
        points = self._start() if self._points is None else self._points
        scores, best = score(points), _Best(count, exclude)
        best.add(points, scores)
        temperature, cooling, unchanged = FIRST_TEMPERATURE, FIRST_TEMPERATURE / (STEPS + 1), 0
        for _ in range(STEPS):
            moved = self._walk(points)
            fresh = score(moved)
            accepted = self._rng.random(len(points)) < np.exp(
                np.minimum((fresh - scores) / (temperature + 1e-5), 1)
            )
            points, scores = np.where(accepted, moved, points), np.where(accepted, fresh, scores)
            unchanged = 0 if best.add(moved, fresh) else unchanged + 1
            temperature -= cooling
            if unchanged >= PATIENCE:
                break
        self._points = points
        return best.sorted()

    def _start(self) -> Indices:
        found = self._space.sample(WALKERS, self._rng)
        return np.array(self._rng.choice(found, WALKERS), dtype=self._space.index_dtype)

    def _walk(self, points: Indices) -> Indices:
        """Each point with one knob changed at random; where no valid change is met, the point itself."""
        result, rows = points.copy(), self._space.ordinals(points)
        dims = np.array(self._space.dims)
        left = np.arange(len(points))
        for _ in range(_ATTEMPTS):
            knobs = self._rng.integers(len(dims), size=len(left))
            changed = rows[left]
            changed[np.arange(len(left)), knobs] = self._rng.integers(dims[knobs])
            fits = (changed != rows[left]).any(axis=1) & self._space.valid_mask(changed)
            result[left[fits]] = self._space.indices(changed[fits])
            left = left[~fits]
            if not len(left):
                break
        return result


class _Best:
    """The highest scores."""

    def __init__(self, count: int, exclude: Collection[int]) -> None:
        self._heap: list[tuple[float, int]] = []
        self._count = count
        self._seen = set(exclude)

    def add(self, points: Indices, scores: Scores) -> bool:
        """Take in points; whether one of them is among the best."""
        changed = False
        for point, score in zip(points.tolist(), scores.tolist(), strict=True):
            is_full = len(self._heap) >= self._count
            if point in self._seen or (is_full and score <= self._heap[0][0]):
                continue
            self._seen.add(point)
            (heapq.heappushpop if is_full else heapq.heappush)(self._heap, (score, point))
            changed = True
        return changed

    def sorted(self) -> list[int]:
        """The points, the highest score first."""
        return [point for _, point in sorted(self._heap, reverse=True)]
