"""Other knobs: a free choice among plain values."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.templates.errors import SpaceError

FrozenJson = str | int | float | bool | None | tuple["FrozenJson", ...]
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class OtherOptionEntity:
    """One value of a free choice."""

    val: FrozenJson

    def __post_init__(self) -> None:
        object.__setattr__(self, "val", freeze_json(self.val))

    def to_json(self) -> Json:
        """Return the value as JSON data."""
        return thaw_json(self.val)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OtherOptionEntity):
            return NotImplemented
        return _typed(self.val) == _typed(other.val)

    def __hash__(self) -> int:
        return hash(_typed(self.val))

    def __str__(self) -> str:
        return json.dumps(self.to_json())


def enumerate_options(name: str, candidate: Sequence[object]) -> tuple[OtherOptionEntity, ...]:
    """Return the candidates in their order, each once."""
    try:
        entities = tuple(dict.fromkeys(OtherOptionEntity(freeze_json(value)) for value in candidate))
    except TypeError as error:
        raise SpaceError(f"knob {name!r}: {error}") from None
    for entity in entities:
        if freeze_json(entity.to_json()) != entity.val:
            raise SpaceError(f"knob {name!r}: {entity.val} cannot be recorded; give finite numbers, or names")
    return entities


def freeze_json(value: object) -> FrozenJson:
    """Return plain data in its hashable form: lists as tuples, NumPy scalars as Python's."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return tuple(freeze_json(item) for item in value)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return freeze_json(item())
    raise TypeError(
        f"{value!r} is not plain data; use numbers, strings, booleans, None, or lists and tuples of them"
    )


def thaw_json(value: FrozenJson) -> Json:
    """Return frozen data as JSON data: tuples as lists, infinities and NaN, which JSON lacks, by name."""
    if isinstance(value, tuple):
        return [thaw_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _typed(value: FrozenJson) -> object:
    """Tell True from 1, which Python calls equal and JSON does not."""
    if isinstance(value, tuple):
        return tuple(_typed(item) for item in value)
    return (isinstance(value, bool), value)
