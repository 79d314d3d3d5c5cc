"""A knob: a named list of choices, one of the dimensions of a space."""

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.annotate import AnnotateEntity, enumerate_annotations
from tilewright.templates.errors import ConfigError, SpaceError
from tilewright.templates.option import OtherOptionEntity, enumerate_options, freeze_json
from tilewright.templates.reorder import Chains, ReorderEntity, enumerate_reorders
from tilewright.templates.split import MAX_FACTOR, SplitEntity, enumerate_splits

Entity = SplitEntity | ReorderEntity | AnnotateEntity | OtherOptionEntity
KnobKind = Literal["split", "reorder", "annotate", "other"]
_ENTITY: dict[KnobKind, Callable[..., Entity]] = {
    "split": SplitEntity,
    "reorder": ReorderEntity,
    "annotate": AnnotateEntity,
    "other": OtherOptionEntity,
}
_SCALARS = frozenset({int, float, bool, str, type(None)})
NO_CHOICE = -1


class Axis(Protocol):
    """What a knob needs to know of a loop."""

    @property
    def extent(self) -> int:
        """How many iterations the loop has."""


@dataclass(frozen=True, slots=True, eq=False)
class VirtualAxis:
    """A loop that exists only while a space is described; two of them are never the same loop."""

    extent: int
    name: str = ""


@dataclass(frozen=True)
class Knob:
    """A named choice; `extent` is the length of the loop that a split knob splits."""

    name: str
    kind: KnobKind
    entities: tuple[Entity, ...]
    extent: int | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.entities)

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}, {len(self)} values, {self._examples()}"

    @cached_property
    def _ordinals(self) -> dict[Entity, int]:
        return {entity: ordinal for ordinal, entity in enumerate(self.entities)}

    def ordinal(self, entity: Entity) -> int:
        """Return the position of `entity` among the choices."""
        found = self._ordinals.get(entity)
        if found is None:
            raise ConfigError(
                f"knob {self.name!r} has no value {entity}; it has {len(self)} values, {self._examples()}"
            )
        return found

    @cached_property
    def _ordinals_by_text(self) -> dict[str, int]:
        return {repr(entity.to_json()): ordinal for ordinal, entity in enumerate(self.entities)}

    def entity_of(self, value: object) -> Entity:
        """Return the choice that plain data, or an entity, stands for; a stated outermost extent is -1."""
        return self.entities[self.ordinal_of(value)]

    def ordinal_of(self, value: object) -> int:
        """Return the position of the choice that plain data, or an entity, stands for."""
        found = self._find(value)
        if found == NO_CHOICE:
            return self.ordinal(self._read(value))  # which says what is wrong
        return found

    def find_ordinals(self, values: Sequence[object]) -> NDArray[np.int64]:
        """Return what `ordinal_of` does for each of many values; `NO_CHOICE` where that raises an error.

        Each distinct value is looked up once.
        """
        keys = _keys(values)
        known = {key: self._find(value) for key, value in dict(zip(keys, values, strict=True)).items()}
        return np.fromiter(map(known.__getitem__, keys), np.int64, len(values))

    def _find(self, value: object) -> int:
        if type(value) in _SCALARS or (type(value) is list and _SCALARS.issuperset(map(type, value))):
            found = self._ordinals_by_text.get(repr(value))  # as records hold it; tells 1 from True
            if found is not None:
                return found
        try:
            return self._ordinals.get(self._read(value), NO_CHOICE)
        except ConfigError:
            return NO_CHOICE

    def _read(self, value: object) -> Entity:
        if isinstance(value, SplitEntity | ReorderEntity | AnnotateEntity | OtherOptionEntity):
            return self._open_outermost(value)
        try:
            return self._open_outermost(_ENTITY[self.kind](freeze_json(value)))
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(
                f"knob {self.name!r} has no value {value!r}; it has {len(self)} values, {self._examples()}"
            ) from None

    def _open_outermost(self, entity: Entity) -> Entity:
        """Write a split whose outermost extent is what the others leave as the choices do."""
        if entity in self._ordinals or not isinstance(entity, SplitEntity) or self.extent is None:
            return entity
        outermost, *inner = entity.factors
        is_rest = outermost * math.prod(inner) == self.extent
        return SplitEntity((-1, *inner)) if is_rest else entity

    def _examples(self) -> str:
        shown = ", ".join(str(entity) for entity in self.entities[:4])
        return f"{shown}, ..." if len(self) > 4 else shown


def _keys(values: Sequence[object]) -> Sequence[Hashable]:
    """Return a key for each value; keys are equal only where the values are, and of the same types."""
    types = set(map(type, values))
    if len(types) == 1 and types <= _SCALARS:
        return values
    lists = (value for value in values if isinstance(value, list))
    if types <= _SCALARS | {list} and _SCALARS.issuperset(map(type, itertools.chain.from_iterable(lists))):
        return list(map(repr, values))
    return range(len(values))


def split_knob(
    name: str,
    axis: Axis | int,
    policy: str = "factors",
    *,
    num_outputs: int = 2,
    max_factor: int = MAX_FACTOR,
    filter: Callable[[SplitEntity], object] | None = None,
    no_tail: bool = False,
    candidate: Sequence[Sequence[int]] | None = None,
) -> Knob:
    """Return the knob that splits a loop into `num_outputs` nested loops.

    Args:
        name: The knob's name.
        axis: The loop, or its extent.
        policy: `factors` (divisors), `power2`, `verbose` (both) or `candidate`.
        num_outputs: How many loops come out.
        max_factor: Largest inner extent; the outermost is not limited.
        filter: Keeps the splits for which it is true.
        no_tail: Drop splits that do not divide the extent.
        candidate: The splits of the policy `candidate`.
    """
    extent = axis if isinstance(axis, int) else axis.extent
    if not isinstance(extent, int) or isinstance(extent, bool) or extent < 1:
        raise SpaceError(f"split knob {name!r}: the extent must be a positive integer, not {extent}")
    splits = enumerate_splits(
        name,
        extent,
        policy,
        num_outputs=num_outputs,
        max_factor=max_factor,
        filter=filter,
        no_tail=no_tail,
        candidate=candidate,
    )
    return Knob(name, "split", splits, extent)


def reorder_knob(
    name: str,
    axes: Sequence[object],
    policy: str,
    *,
    interval: tuple[int, int] | None = None,
    candidate: Chains | None = None,
    spatial: Chains | None = None,
    reduce: Chains | None = None,
) -> Knob:
    """Return the knob that orders `axes`: `identity`, `all`, `interval_all`, `candidate` or `interleave`."""
    orders = enumerate_reorders(
        name, axes, policy, interval=interval, candidate=candidate, spatial=spatial, reduce=reduce
    )
    return Knob(name, "reorder", orders)


def annotate_knob(name: str, axes: Sequence[object], policy: str, *, num_anchor: int | None = None) -> Knob:
    """Return the knob that annotates `axes`: none, unroll and vec joined by `_`, or `locate_cache`."""
    return Knob(name, "annotate", enumerate_annotations(name, axes, policy, num_anchor=num_anchor))


def option_knob(name: str, candidate: Sequence[object]) -> Knob:
    """Return the knob that chooses among plain values."""
    return Knob(name, "other", enumerate_options(name, candidate))
