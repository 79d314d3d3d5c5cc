"""Steps through a space, for many points at once: crossover, and mutation to values that are near."""

import numpy as np

from tilewright.templates.constraints import Ordinals
from tilewright.templates.knobs import Knob
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.features import knob_table

NEAREST = 8
_TABLE_LIMIT = 2048


class Moves:
    """Random moves in a space; the rows that they give may be invalid."""

    def __init__(self, space: ConfigSpace) -> None:
        self.space = space
        self.nearest = [nearest_choices(knob) for knob in space.knobs]

    def mutate(self, rows: Ordinals, rng: np.random.Generator, rate: float, far: float = 0.4) -> Ordinals:
        """Change each knob with probability `rate`, one at least; `far` is the share of uniform steps."""
        count, width = rows.shape
        changed = rng.random((count, width)) < rate
        if width:
            changed[np.arange(count), rng.integers(0, width, count)] = True
        made = rows.copy()
        for column, table in enumerate(self.nearest):
            places = np.flatnonzero(changed[:, column])
            if not len(places) or table.shape[1] == 0:
                continue
            near = table[rows[places, column], rng.integers(0, table.shape[1], len(places))]
            uniform = rng.integers(0, len(table), len(places))
            made[places, column] = np.where(rng.random(len(places)) < far, uniform, near)
        return made

    def cross(self, mothers: Ordinals, fathers: Ordinals, rng: np.random.Generator) -> Ordinals:
        """Take each knob from either parent."""
        return np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)

    def neighbours(self, row: Ordinals) -> Ordinals:
        """Return the rows one near step of one knob away, the nearest of every knob first."""
        found = []
        for rank in range(max((table.shape[1] for table in self.nearest), default=0)):
            for column, table in enumerate(self.nearest):
                if rank < table.shape[1]:
                    moved = row.copy()
                    moved[column] = table[row[column], rank]
                    found.append(moved)
        return np.array(found, dtype=np.int64).reshape(len(found), len(row))


def nearest_choices(knob: Knob, count: int = NEAREST) -> Ordinals:
    """Return for each choice of a knob the choices most like it, the nearest first."""
    size = len(knob)
    count = min(count, size - 1)
    if count < 1:
        return np.zeros((size, 0), dtype=np.int64)
    if size > _TABLE_LIMIT:
        offsets = np.array([(-1) ** k * ((k + 2) // 2) for k in range(count)])
        return np.asarray((np.arange(size)[:, None] + offsets) % size)
    table = knob_table(knob).astype(np.float64)
    nearest = np.empty((size, count), dtype=np.int64)
    for choice, row in enumerate(table):
        distance = np.abs(table - row).sum(axis=1)
        distance[choice] = np.inf
        nearest[choice] = np.argsort(distance, kind="stable")[:count]
    return nearest
