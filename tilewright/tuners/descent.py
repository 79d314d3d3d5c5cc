"""Coordinate descent: the neighbours of the best point, one knob at a time, with random restarts."""

from collections.abc import Sequence
from typing import Any

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.moves import Moves
from tilewright.tuners.tuner import Tuner

FIRST_POINTS = 4


class CoordinateDescent(Tuner):
    """Moves to the best neighbour; restarts elsewhere when the neighbourhood is known."""

    def __init__(self, space: ConfigSpace, seed: int, **options: Any) -> None:
        self.moves = Moves(space)
        self._centre: int | None = None
        self._restarting = FIRST_POINTS
        super().__init__(space, seed, **options)

    def _propose(self, count: int) -> Sequence[int]:
        if self._centre is not None and self._restarting <= 0:
            around = self._around(self._centre)
            if around:
                return around[:count]
            self._centre, self._restarting = None, FIRST_POINTS
        self._restarting -= count
        return self._explore(min(count, FIRST_POINTS))

    def _learn(self, fresh: Sequence[int]) -> None:
        best = self.best_indices(1)
        for index in fresh:
            cost = self.costs[index]
            centre = self.costs.get(self._centre) if self._centre is not None else None
            if cost is not None and (centre is None or cost < centre):
                self._centre = index
        if best and best[0] in fresh:
            self._centre, self._restarting = best[0], 0

    def _around(self, centre: int) -> list[int]:
        rows = self.moves.neighbours(self.space.ordinals([centre])[0])
        if not len(rows):
            return []
        found: list[int] = self._unseen(self.space.indices(rows[self.space.valid_mask(rows)])).tolist()
        return found
