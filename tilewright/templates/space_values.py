"""Configurations of a space from the values of their knobs, many at once or one."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from tilewright.templates.config import Config
from tilewright.templates.errors import ConfigError
from tilewright.templates.knobs import NO_CHOICE

if TYPE_CHECKING:
    from tilewright.templates.constraints import Ordinals
    from tilewright.templates.space import ConfigSpace

Values = Mapping[str, object]
_BLOCK = 1000  # so that what is read of a point for one knob is in the cache for the next


def configs_from_values(space: "ConfigSpace", points: Iterable[Values]) -> Iterator[Config | None]:
    """Yield the configuration of each point, `{knob: value}`; None where the space has none."""
    remaining = iter(points)
    while block := list(itertools.islice(remaining, _BLOCK)):
        yield from _configs_of_block(space, block)


def _configs_of_block(space: "ConfigSpace", points: Sequence[Values]) -> list[Config | None]:
    """Knobs are looked up one after the other for all points, and constraints are asked once for all."""
    found: list[Config | None] = [None] * len(points)
    names = set(space.names)
    places = np.array([p for p, values in enumerate(points) if values.keys() == names], dtype=np.intp)
    ordinals = _ordinals(space, [points[place] for place in places.tolist()])
    has_choices = (ordinals != NO_CHOICE).all(axis=1)
    places, ordinals = places[has_choices], ordinals[has_choices]
    is_valid = space.valid_mask(ordinals)
    configs = _configs_at(space, ordinals[is_valid])
    for place, config in zip(places[is_valid].tolist(), configs, strict=True):
        found[place] = config
    return found


def config_from_values(space: "ConfigSpace", values: Values) -> Config:
    """Return the configuration with these values, one for each knob.

    Raises:
        ConfigError: a knob is unknown, has no value or no such value.
        InvalidIndexError: a constraint excludes the configuration.
    """
    (config,) = configs_from_values(space, [values])
    if config is not None:
        return config
    unknown, missing = set(values) - set(space.names), set(space.names) - set(values)
    if unknown:
        named = sorted(map(str, unknown))
        raise ConfigError(f"there is no knob {_list(named)}; the space has {_list(space.names)}")
    if missing:
        raise ConfigError(f"no value is given for knob {_list(sorted(missing))}")
    return space.config(space.knob_to_point([knob.ordinal_of(values[knob.name]) for knob in space.knobs]))


def _ordinals(space: "ConfigSpace", points: Sequence[Values]) -> "Ordinals":
    """The ordinals of points that have a value for each knob: one row a point, one column a knob."""
    table = np.empty((len(points), len(space.knobs)), dtype=np.int64)
    for column, knob in enumerate(space.knobs):
        table[:, column] = knob.find_ordinals(list(map(itemgetter(knob.name), points)))
    return table


def _configs_at(space: "ConfigSpace", ordinals: "Ordinals") -> Iterable[Config]:
    """The configurations of rows of ordinals, which are valid."""
    indices = space.indices(ordinals).tolist()
    if not space.knobs:
        return [Config((), (), index) for index in indices]
    columns = [
        map(knob.entities.__getitem__, column)
        for knob, column in zip(space.knobs, ordinals.T.tolist(), strict=True)
    ]
    return [
        Config(space.names, entities, index)
        for entities, index in zip(zip(*columns, strict=True), indices, strict=True)
    ]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
