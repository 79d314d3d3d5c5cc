"""Random points of a space: samples, steps and neighbours, all with a bound on the work."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from tilewright.templates.constraints import ENUMERATION_LIMIT, Ordinals
from tilewright.templates.errors import SpaceError

if TYPE_CHECKING:
    from tilewright.templates.space import ConfigSpace

DRAW_LIMIT = 200_000
_BATCH = 4096
_ESTIMATE_DRAWS = 20_000


def draw_ordinals(space: "ConfigSpace", rng: np.random.Generator, count: int) -> Ordinals:
    """Return up to `count` random valid rows of ordinals, repeats included, from `count` draws."""
    if space.valid_points is not None:
        points = space.valid_points
        return space.ordinals(points[rng.integers(0, len(points), count)] if len(points) else points)
    rows = np.empty((count, len(space.dims)), dtype=np.int64)
    for component in space.components:
        rows[:, component.positions] = component.sample(rng, count)
    return rows[space.valid_mask(rows)]


def estimate_share(space: "ConfigSpace") -> float:
    """Return the share of valid points among those drawn; the draw is the same every time."""
    valid = len(draw_ordinals(space, np.random.default_rng(0), _ESTIMATE_DRAWS))
    return valid / _ESTIMATE_DRAWS


def sample_indices(
    space: "ConfigSpace",
    n: int,
    rng: np.random.Generator,
    exclude: Collection[int] = (),
    bounds: tuple[int, int] | None = None,
) -> list[int]:
    """Return n distinct random valid indices outside `exclude`, fewer where there are fewer."""
    if bounds is not None and bounds != (0, space.range_length):
        return _sample_between(space, n, rng, exclude, *bounds)
    points = space.valid_points
    if points is not None and (n + len(exclude)) * 4 >= len(points):
        left = points[~np.isin(points, list(exclude))] if exclude else points
        return [int(index) for index in rng.permutation(left)[:n]]
    chosen: dict[int, None] = {}
    drawn = 0
    batch = max(64, 2 * n)
    while len(chosen) < n and drawn < DRAW_LIMIT:
        found = space.indices(draw_ordinals(space, rng, batch))
        chosen.update(dict.fromkeys(index for index in found.tolist() if index not in exclude))
        drawn += batch
        batch = _BATCH
    return list(chosen)[:n]


def random_index(
    space: "ConfigSpace", rng: np.random.Generator, exclude: Collection[int], start: int, end: int
) -> int:
    """Return one random valid index of [start, end) outside `exclude`."""
    found = sample_indices(space, 1, rng, exclude, (start, end))
    if not found:
        raise SpaceError(
            f"no valid configuration is left in [{start}, {end}) outside the {len(exclude)} excluded"
        )
    return found[0]


def random_step(space: "ConfigSpace", index: int, rng: np.random.Generator) -> int:
    """Return a valid index one knob away, or any other valid index, or `index` where it is the only one."""
    for _ in range(len(space.dims)):
        position = int(rng.integers(0, len(space.dims)))
        found = _changes_of(space, index, position)
        if found:
            return int(found[int(rng.integers(0, len(found)))])
    around = single_changes(space, index)
    if around:
        return around[int(rng.integers(0, len(around)))]
    other = sample_indices(space, 1, rng, (index,))
    return other[0] if other else index


def single_changes(space: "ConfigSpace", index: int) -> list[int]:
    """Return the valid indices that differ from `index` in one knob."""
    return [found for position in range(len(space.dims)) for found in _changes_of(space, index, position)]


def _changes_of(space: "ConfigSpace", index: int, position: int) -> list[int]:
    digits = np.asarray(space.point_to_knob(index), dtype=np.int64)
    others = np.delete(np.arange(space.dims[position]), digits[position])
    rows = np.repeat(digits[None, :], len(others), axis=0)
    rows[:, position] = others
    found: list[int] = space.indices(rows[space.valid_mask(rows)]).tolist()
    return found


def _sample_between(
    space: "ConfigSpace", n: int, rng: np.random.Generator, exclude: Collection[int], start: int, end: int
) -> list[int]:
    if end - start <= ENUMERATION_LIMIT:
        left = np.array([index for index in range(start, end) if index not in exclude], dtype=np.int64)
        left = rng.permutation(left)
        candidates = iter(left[space.valid_mask(space.ordinals(left))].tolist())
    else:
        draws = (start + int(rng.random() * (end - start)) for _ in range(DRAW_LIMIT))
        candidates = (index for index in draws if index not in exclude and space.is_valid(index))
    chosen: dict[int, None] = {}
    while len(chosen) < n and (index := next(candidates, None)) is not None:
        chosen[index] = None
    return list(chosen)
