"""A space: the product of its knobs' choices, less what constraints exclude."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tilewright.templates.config import Config
from tilewright.templates.constraints import (
    ENUMERATION_LIMIT,
    Component,
    Constraint,
    Mask,
    OpaqueFilter,
    Ordinals,
    Table,
    find_components,
    tabulate,
)
from tilewright.templates.errors import ConfigError, InvalidIndexError
from tilewright.templates.knobs import Knob
from tilewright.templates.space_order import count_between, next_valid
from tilewright.templates.space_sampling import (
    estimate_share,
    random_index,
    random_step,
    sample_indices,
    single_changes,
)
from tilewright.templates.space_values import config_from_values, configs_from_values


@dataclass(frozen=True)
class ConfigSpace:
    """Knobs and constraints; an index is a number in mixed radix, the first knob its least digit.

    `listed`, where given, holds the only valid indices: a space known by its recorded points.
    """

    knobs: tuple[Knob, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    listed: frozenset[int] | None = None

    @classmethod
    def from_points(cls, knobs: Sequence[Knob], points: Iterable[Mapping[str, object]]) -> "ConfigSpace":
        """Return the space of `knobs` whose only valid points are the given `{knob: value}` choices."""
        whole = cls(tuple(knobs))
        indices = frozenset(
            whole.knob_to_point([knob.ordinal_of(point[knob.name]) for knob in whole.knobs])
            for point in points
        )
        return cls(tuple(knobs), (), indices)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The knobs' names in the order of definition."""
        return tuple(knob.name for knob in self.knobs)

    @cached_property
    def dims(self) -> tuple[int, ...]:
        """The number of choices of each knob."""
        return tuple(len(knob) for knob in self.knobs)

    @cached_property
    def range_length(self) -> int:
        """The number of points, valid or not."""
        return math.prod(self.dims)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """How far one step of each knob moves the index."""
        return tuple(math.prod(self.dims[:position]) for position in range(len(self.dims)))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The named constraints, tabulated; those over too many points are asked point by point."""
        return tuple(
            tabulate(constraint, self.knobs) for constraint in self.constraints if self._is_small(constraint)
        )

    @cached_property
    def opaque(self) -> OpaqueFilter | None:
        """The constraints that must be asked point by point."""
        asked = tuple(constraint for constraint in self.constraints if not self._is_small(constraint))
        return OpaqueFilter(self.knobs, asked) if asked else None

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The independent groups of knobs."""
        return find_components(self.dims, self.tables)

    @cached_property
    def valid_points(self) -> Ordinals | None:
        """Every valid index in ascending order; None when there are too many to list."""
        if self.listed is not None:
            return np.array(sorted(self.listed), dtype=np.int64)
        rows = [component.rows for component in self.components]
        if any(part is not None and not len(part) for part in rows):
            return np.zeros(0, dtype=np.int64)
        listed = [part for part in rows if part is not None]
        if len(listed) < len(rows) or math.prod(len(part) for part in listed) > ENUMERATION_LIMIT:
            return None
        indices: Ordinals = np.zeros(1, dtype=self.index_dtype)
        for component, part in zip(self.components, listed, strict=True):
            offsets: Ordinals = np.zeros(len(part), dtype=self.index_dtype)
            for column, position in enumerate(component.positions):
                offsets += part[:, column].astype(self.index_dtype) * self.strides[position]
            indices = (indices[:, None] + offsets).ravel()
        indices.sort()
        return indices if self.opaque is None else indices[self.opaque.holds(self.ordinals(indices))]

    @property
    def index_dtype(self) -> type:
        """The type of an array of indices: 64-bit integers, or Python's where those are too short."""
        return np.int64 if self.range_length < 2**62 else object

    @cached_property
    def _counted(self) -> tuple[int, bool]:
        if self.valid_points is not None:
            return len(self.valid_points), True
        counts = [component.count for component in self.components]
        known = math.prod(count for count in counts if count is not None)
        if None not in counts and self.opaque is None:
            return known, True
        unknown = [component for component in self.components if component.count is None]
        points = known * math.prod(math.prod(component.radices) for component in unknown)
        return round(points * estimate_share(self)), False

    @property
    def size(self) -> int:
        """The number of valid configurations, or an estimate of it."""
        return self._counted[0]

    @property
    def size_is_exact(self) -> bool:
        """Whether `size` was counted rather than estimated."""
        return self._counted[1]

    @property
    def size_text(self) -> str:
        """The size for people: `1234`, or `~1.2e9` for an estimate."""
        return (
            str(self.size)
            if self.size_is_exact
            else f"~{self.size:.1e}".replace("e+0", "e").replace("e+", "e")
        )

    def __len__(self) -> int:
        return self.size

    def __str__(self) -> str:
        rows = "".join(f"\n{position:4} {knob}" for position, knob in enumerate(self.knobs))
        return f"ConfigSpace (len={self.size_text}, range_length={self.range_length}){rows}"

    def knob(self, name: str) -> Knob:
        """Return the knob called `name`."""
        for knob in self.knobs:
            if knob.name == name:
                return knob
        raise ConfigError(f"there is no knob {name!r}; the space has {', '.join(self.names) or 'none'}")

    def point_to_knob(self, index: int) -> list[int]:
        """Return the ordinal of each knob's choice at `index`."""
        self.check_index(index)
        digits = []
        for radix in self.dims:
            index, digit = divmod(index, radix)
            digits.append(digit)
        return digits

    def knob_to_point(self, ordinals: Sequence[int]) -> int:
        """Return the index of the point with these ordinals."""
        return sum(int(digit) * stride for digit, stride in zip(ordinals, self.strides, strict=True))

    def ordinals(self, indices: Sequence[int] | Ordinals) -> Ordinals:
        """Return the ordinals of many indices: one row an index, one column a knob."""
        points: Ordinals = np.asarray(indices, dtype=self.index_dtype)
        table = np.empty((len(points), len(self.dims)), dtype=np.int64)
        for column, (stride, radix) in enumerate(zip(self.strides, self.dims, strict=True)):
            table[:, column] = points // stride % radix
        return table

    def indices(self, ordinals: Ordinals) -> Ordinals:
        """Return the indices of many rows of ordinals."""
        points: Ordinals = np.zeros(len(ordinals), dtype=self.index_dtype)
        for column, stride in enumerate(self.strides):
            points += ordinals[:, column].astype(self.index_dtype) * stride
        return points

    def valid_mask(self, ordinals: Ordinals) -> Mask:
        """Return which rows of ordinals are valid configurations."""
        if self.listed is not None:
            points = self.indices(ordinals).tolist()
            return np.fromiter((point in self.listed for point in points), dtype=bool, count=len(points))
        mask = np.ones(len(ordinals), dtype=bool)
        for table in self.tables:
            mask &= table.holds(ordinals)
        if self.opaque is not None and mask.any():
            mask[mask] = self.opaque.holds(ordinals[mask])
        return mask

    def is_valid(self, index: int) -> bool:
        """Return whether the configuration at `index` satisfies the constraints."""
        self.check_index(index)
        if self.listed is not None:
            return index in self.listed
        return not self.constraints or bool(self.valid_mask(self.ordinals([index]))[0])

    def config(self, index: int) -> Config:
        """Return the configuration at `index`."""
        ordinals = self.point_to_knob(index)
        if not self.is_valid(index):
            raise InvalidIndexError(
                f"configuration {index} is not valid: it breaks a constraint between knobs"
            )
        entities = tuple(knob.entities[digit] for knob, digit in zip(self.knobs, ordinals, strict=True))
        return Config(self.names, entities, int(index))

    def made(self, config: Config) -> bool:
        """Return whether this very object made a configuration, whose index is then right and valid here."""
        return config.names is self.names

    def index(self, config: Config) -> int:
        """Return the index of a configuration, found from its values."""
        if set(config.names) != set(self.names):
            raise ConfigError(
                f"the configuration has the knobs {_list(config.names)}, the space {_list(self.names)}"
            )
        return self.knob_to_point([knob.ordinal(config[knob.name]) for knob in self.knobs])

    def from_values(self, values: Mapping[str, object]) -> Config:
        """Return the configuration with these values, one for each knob."""
        return config_from_values(self, values)

    def iter_from_values(self, points: Iterable[Mapping[str, object]]) -> Iterator[Config | None]:
        """Yield what `from_values` returns for each of many points; None where that raises an error."""
        return configs_from_values(self, points)

    def next_index(
        self, index: int, n: int = 1, start: int | None = None, end: int | None = None
    ) -> int | None:
        """Return the n-th valid index after `index` in [start, end), or None; n may be negative."""
        self.check_index(index)
        return next_valid(self, index, n, *self.check_range(start, end))

    def subrange_length(self, start: int, end: int) -> int:
        """Return the number of valid configurations in [start, end)."""
        return count_between(self, *self.check_range(start, end))

    def random_index(
        self,
        rng: np.random.Generator,
        exclude: Collection[int] = (),
        *,
        start: int | None = None,
        end: int | None = None,
    ) -> int:
        """Return a random valid index of [start, end) that is not excluded."""
        return random_index(self, rng, exclude, *self.check_range(start, end))

    def sample(
        self,
        n: int,
        rng: np.random.Generator,
        exclude: Collection[int] = (),
        bounds: tuple[int, int] | None = None,
    ) -> list[int]:
        """Return n distinct random valid indices that are not excluded, fewer where there are fewer.

        `bounds`, where given, are those of a part of the range, `[first, last)`.
        """
        return sample_indices(self, n, rng, exclude, bounds and self.check_range(*bounds))

    def random_walk(self, index: int, rng: np.random.Generator) -> int:
        """Return a valid index other than `index`, one knob away where there is one."""
        self.check_index(index)
        return random_step(self, index, rng)

    def neighbours(self, index: int) -> list[int]:
        """Return the valid indices that differ from `index` in one knob."""
        self.check_index(index)
        return single_changes(self, index)

    def check_index(self, index: int) -> None:
        """Raise IndexError unless `index` is a point of the range."""
        if not 0 <= index < self.range_length:
            raise IndexError(
                f"configuration {index} is out of range: the space has indices 0..{self.range_length - 1}"
            )

    def check_range(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Return the bounds of a part of the range, or raise IndexError."""
        first, last = 0 if start is None else start, self.range_length if end is None else end
        if not 0 <= first <= last <= self.range_length:
            raise IndexError(f"[{first}, {last}) is not within the range [0, {self.range_length})")
        return first, last

    def _is_small(self, constraint: Constraint) -> bool:
        if not constraint.names:
            return False
        return math.prod(len(self.knob(name)) for name in constraint.names) <= ENUMERATION_LIMIT


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
