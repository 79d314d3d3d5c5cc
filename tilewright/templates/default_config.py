"""The untuned configuration of a template that states none: moderate inner tiles, first choices otherwise."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tilewright.templates.config import Config
from tilewright.templates.errors import SpaceError
from tilewright.templates.knobs import Entity, Knob
from tilewright.templates.split import SplitEntity

if TYPE_CHECKING:
    from tilewright.templates.space import ConfigSpace

_INNERMOST = 8
_MIDDLE = 4
_LARGEST_TILE = 256
_POOL = 1024


def choose_entity(knob: Knob, innermost: int = _INNERMOST) -> Entity:
    """Return the untuned choice of one knob."""
    if knob.kind != "split":
        return knob.entities[0]
    return min(knob.entities, key=lambda entity: _distance(entity, knob.extent or 1, innermost))


def default_config(space: "ConfigSpace", vector_lanes: int = _INNERMOST) -> Config:
    """Return a valid configuration near the untuned choice of every knob.

    The last split is taken for the vector loop, as it is in most templates: it gets two vectors.
    """
    if any(not len(knob) for knob in space.knobs):
        raise SpaceError("the space has no configuration: a knob has no values; widen its policy or limits")
    splits = [position for position, knob in enumerate(space.knobs) if knob.kind == "split"]
    preferred = [
        knob.ordinal(choose_entity(knob, 2 * vector_lanes if splits[-1:] == [position] else _INNERMOST))
        for position, knob in enumerate(space.knobs)
    ]
    index = space.knob_to_point(preferred)
    return space.config(index if space.is_valid(index) else _nearest_valid(space, preferred))


def _distance(entity: Entity, extent: int, innermost: int) -> float:
    """Return how far a split is from good inner extents; a tail costs a little, an oversized tile a lot."""
    assert isinstance(entity, SplitEntity)
    *middle, last = entity.factors[1:] or (1,)
    tile = math.prod(entity.factors[1:])
    wanted = min(innermost, extent)
    distance = abs(math.log2(last / wanted))
    distance += sum(0.25 * abs(math.log2(factor / _MIDDLE)) for factor in middle)
    distance += max(0.0, math.log2(tile / _LARGEST_TILE))
    return distance + (0.5 if extent % tile else 0.0)


def _nearest_valid(space: "ConfigSpace", preferred: list[int]) -> int:
    candidates = space.sample(_POOL, np.random.default_rng(0))
    if not candidates:
        first = space.next_index(0)
        candidates = [] if first is None else [first]
    if not candidates:
        raise SpaceError("the space has no valid configuration; loosen its constraints")
    span = np.maximum(np.array(space.dims, dtype=float) - 1, 1)
    ordinals = space.ordinals(candidates)
    changed = (ordinals != np.array(preferred)).sum(axis=1)
    moved = (np.abs(ordinals - np.array(preferred)) / span).sum(axis=1)
    return int(candidates[int(np.lexsort((candidates, moved, changed))[0])])
