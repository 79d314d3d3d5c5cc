"""Constraints between knobs: named ones become tables, whose components multiply to the exact size."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.errors import SpaceError
from tilewright.templates.knobs import Entity, Knob
from tilewright.templates.template_file import locate_call

Ordinals = NDArray[np.int64]
Mask = NDArray[np.bool_]
Predicate = Callable[..., object]
ENUMERATION_LIMIT = 10**6
_BLOCK = 1 << 14


@dataclass(frozen=True)
class Constraint:
    """A predicate on the entities of named knobs, or, without names, on the mapping of all of them."""

    predicate: Predicate
    names: tuple[str, ...] | None = None

    def allows(self, *given: object) -> bool:
        """Return whether the predicate is true of the entities, or of the mapping.

        Raises:
            SpaceError: the predicate failed.
        """
        try:
            return bool(self.predicate(*given))
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> SpaceError:
        place = locate_call(error, self.predicate)
        where = f" at {place}" if place else ""
        if self.names is None:
            what, remedy = "multi_filter", "it is given the mapping {knob: entity}"
        else:
            what, remedy = f"constrain({self.names})", "it is given one entity a knob, in that order"
        return SpaceError(
            f"{what}: the function failed{where}: {error} ({type(error).__name__}); {remedy}, "
            "whose value is .val or .size"
        )


@dataclass(frozen=True)
class Table:
    """The truth of a named constraint for every combination of its knobs' values."""

    positions: tuple[int, ...]
    allowed: Mask

    def holds(self, ordinals: Ordinals) -> Mask:
        """Return which rows of ordinals satisfy the constraint."""
        columns = tuple(ordinals[:, position] for position in self.positions)
        mask: Mask = self.allowed[columns]
        return mask


def tabulate(constraint: Constraint, knobs: Sequence[Knob]) -> Table:
    """Evaluate a named constraint on the product of its knobs."""
    by_name = {knob.name: position for position, knob in enumerate(knobs)}
    positions = tuple(by_name[name] for name in constraint.names or ())
    shape = tuple(len(knobs[position]) for position in positions)
    allowed = np.empty(shape, dtype=bool)
    for place in np.ndindex(*shape):
        entities = [knobs[p].entities[o] for p, o in zip(positions, place, strict=True)]
        allowed[place] = constraint.allows(*entities)
    return Table(positions, allowed)


@dataclass(frozen=True)
class OpaqueFilter:
    """Predicates that must be asked point by point, because they may read any knob."""

    knobs: tuple[Knob, ...]
    constraints: tuple[Constraint, ...]

    def holds(self, ordinals: Ordinals) -> Mask:
        """Return which rows of ordinals satisfy all the predicates."""
        blocks = (ordinals[low : low + _BLOCK].tolist() for low in range(0, len(ordinals), _BLOCK))
        answers = (self.holds_at(row) for block in blocks for row in block)
        return np.fromiter(answers, dtype=bool, count=len(ordinals))

    def holds_at(self, row: Sequence[int]) -> bool:
        """Return whether one row of ordinals satisfies all the predicates."""
        chosen: Mapping[str, Entity] = {
            knob.name: knob.entities[ordinal] for knob, ordinal in zip(self.knobs, row, strict=True)
        }
        return all(self._ask(constraint, chosen) for constraint in self.constraints)

    @staticmethod
    def _ask(constraint: Constraint, chosen: Mapping[str, Entity]) -> bool:
        if constraint.names is None:
            return constraint.allows(chosen)
        return constraint.allows(*(chosen[name] for name in constraint.names))


@dataclass(frozen=True)
class Component:
    """Knobs that named constraints tie together; the space is the product of its components."""

    positions: tuple[int, ...]
    radices: tuple[int, ...]
    tables: tuple[Table, ...]

    @cached_property
    def rows(self) -> Ordinals | None:
        """The valid combinations, one a row; None when there are too many to list."""
        rows = np.zeros((1, 0), dtype=np.int64)
        for column, radix in enumerate(self.radices):
            if len(rows) * radix > ENUMERATION_LIMIT:
                return None
            digits = np.tile(np.arange(radix), len(rows))[:, None]
            rows = np.hstack([np.repeat(rows, radix, axis=0), digits])
            for table in self._completed_at(column):
                places = [self.positions.index(position) for position in table.positions]
                rows = rows[table.allowed[tuple(rows[:, place] for place in places)]]
        return rows

    @cached_property
    def count(self) -> int | None:
        """The number of valid combinations; None when it cannot be counted in reasonable memory."""
        if self.rows is not None:
            return len(self.rows)
        return count_by_elimination(self.tables)

    def sample(self, rng: np.random.Generator, count: int) -> Ordinals:
        """Return `count` random combinations; where rows cannot be listed they may be invalid."""
        if self.rows is not None:
            chosen: Ordinals = self.rows[rng.integers(0, len(self.rows), count)]
            return chosen
        return np.stack([rng.integers(0, radix, count) for radix in self.radices], axis=1)

    def _completed_at(self, column: int) -> Iterator[Table]:
        for table in self.tables:
            if max(self.positions.index(position) for position in table.positions) == column:
                yield table


def find_components(radices: Sequence[int], tables: Sequence[Table]) -> tuple[Component, ...]:
    """Group the knobs that constraints connect; a free knob is a component of its own."""
    group = list(range(len(radices)))
    for table in tables:
        merged = {group[position] for position in table.positions}
        group = [min(merged) if root in merged else root for root in group]
    components = []
    for root in sorted(set(group)):
        positions = tuple(position for position, own in enumerate(group) if own == root)
        inside = tuple(table for table in tables if table.positions[0] in positions)
        components.append(Component(positions, tuple(radices[p] for p in positions), inside))
    return tuple(components)


def count_by_elimination(tables: Sequence[Table], limit: int = 4 * ENUMERATION_LIMIT) -> int | None:
    """Count the assignments that satisfy all tables by summing knobs out, smallest table first."""
    factors = [(table.positions, table.allowed.astype(np.int64)) for table in tables]
    while True:
        remaining = {position for positions, _ in factors for position in positions}
        if not remaining:
            return math.prod(int(values) for _, values in factors)
        joined = {position: _join(position, factors) for position in remaining}
        position = min(joined, key=lambda p: (joined[p][1], p))
        kept, size = joined[position]
        if size > limit:
            return None
        touched = [factor for factor in factors if position in factor[0]]
        factors = [factor for factor in factors if position not in factor[0]]
        factors.append((kept, _sum_out(position, kept, touched)))


def _sum_out(
    position: int, kept: tuple[int, ...], touched: Sequence[tuple[tuple[int, ...], Ordinals]]
) -> Ordinals:
    labels = {place: label for label, place in enumerate((*kept, position))}
    operands: list[object] = []
    for positions, values in touched:
        operands += [values, [labels[place] for place in positions]]
    return np.asarray(np.einsum(*operands, list(range(len(kept))), optimize="greedy"))  # type: ignore[call-overload]


def _join(position: int, factors: list[tuple[tuple[int, ...], Ordinals]]) -> tuple[tuple[int, ...], int]:
    """Return the knobs of the table that eliminating one knob makes, and the table's size."""
    lengths = {
        place: length
        for positions, values in factors
        if position in positions
        for place, length in zip(positions, values.shape, strict=True)
    }
    kept = tuple(sorted(place for place in lengths if place != position))
    return kept, math.prod(lengths[place] for place in kept)
