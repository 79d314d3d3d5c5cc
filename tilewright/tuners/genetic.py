"""Genetic search: children of the best configurations so far, by crossover and mutation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.moves import Moves
from tilewright.tuners.tuner import Tuner

POPULATION = 32
FIRST_GENERATION = 12
# The population grows with what was observed: few parents hurry at first, many keep the search going later.
FIRST_PARENTS = 4
OBSERVED_OF_PARENT = 6
_CHILDREN = 16
_ATTEMPTS = 8


class GeneticSearch(Tuner):
    """A steady-state genetic algorithm: the population is the best configurations observed.

    Args:
        space: The space to search.
        seed: Of the search.
        population: Its greatest size, and that of the first generation, which is drawn at random.
        options: Those of every tuner.
    """

    def __init__(
        self,
        space: ConfigSpace,
        seed: int,
        *,
        population: int | None = None,
        **options: Any,
    ) -> None:
        self.moves = Moves(space)
        self.population = population or POPULATION
        super().__init__(space, seed, **options)
        self.first_generation = self._explore(population or FIRST_GENERATION)

    def _propose(self, count: int) -> Sequence[int]:
        grown = max(FIRST_PARENTS, len(self.costs) // OBSERVED_OF_PARENT)
        parents = self.best_indices(min(self.population, grown))
        if len(self.costs) < len(self.first_generation) or not parents:
            return [*self._unseen(np.array(self.first_generation)), *self._explore(count)][:count]
        found: list[int] = []
        for _ in range(_ATTEMPTS):
            found += breed(self, self.moves, parents, count - len(found), found)
            if len(found) >= count:
                break
        return found


def breed(
    tuner: Tuner,
    moves: Moves,
    parents: Sequence[int],
    count: int,
    taken: Sequence[int],
) -> list[int]:
    """Return up to `count` valid unseen children of `parents`, which are ordered from the best."""
    rows = tuner.space.ordinals(parents)
    weights = 1.0 / (1.0 + np.arange(len(rows)))
    pairs = tuner.rng.choice(len(rows), size=(_CHILDREN * count, 2), p=weights / weights.sum())
    width = max(1, rows.shape[1])
    children = moves.cross(rows[pairs[:, 0]], rows[pairs[:, 1]], tuner.rng)
    children = moves.mutate(children, tuner.rng, 1.0 / width)
    valid = children[tuner.space.valid_mask(children)]
    unseen = tuner._unseen(tuner.space.indices(valid)).tolist()
    return [index for index in unseen if index not in taken][:count]
