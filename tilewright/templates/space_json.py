"""Spaces as plain JSON data, so that recorded trials carry the space they were measured in."""

from collections.abc import Iterable, Mapping
from typing import Any

from tilewright.templates.annotate import AnnotateEntity
from tilewright.templates.errors import SpaceError
from tilewright.templates.knobs import Entity, Knob
from tilewright.templates.option import OtherOptionEntity, freeze_json
from tilewright.templates.reorder import ReorderEntity
from tilewright.templates.space import ConfigSpace
from tilewright.templates.split import SplitEntity


def space_to_json(space: ConfigSpace) -> dict[str, Any]:
    """Return `{knob: {"kind": ..., "extent": ..., "values": [...]}}` in the order of definition."""
    described: dict[str, Any] = {}
    for knob in space.knobs:
        values = [entity.to_json() for entity in knob.entities]
        described[knob.name] = {"kind": knob.kind, "values": values}
        if knob.extent is not None:
            described[knob.name]["extent"] = knob.extent
    return described


def space_from_json(
    data: Mapping[str, Any], points: Iterable[Mapping[str, object]] | None = None
) -> ConfigSpace:
    """Return the space that `space_to_json` described, valid only at `points` where they are given."""
    knobs = tuple(_knob(name, described) for name, described in data.items())
    return ConfigSpace(knobs) if points is None else ConfigSpace.from_points(knobs, points)


def _knob(name: str, described: Mapping[str, Any]) -> Knob:
    kind, values = described.get("kind"), described.get("values")
    if kind not in ("split", "reorder", "annotate", "other") or not isinstance(values, list):
        raise SpaceError(
            f"knob {name!r} must be described by its kind (split, reorder, annotate, other) and values"
        )
    extent = described.get("extent")
    return Knob(
        name,
        kind,
        tuple(entity_from_json(kind, value) for value in values),
        extent if isinstance(extent, int) else None,
    )


def entity_from_json(kind: str, value: Any) -> Entity:
    """Return the choice of a knob of some kind that plain data stands for."""
    match kind:
        case "split":
            return SplitEntity(tuple(value))
        case "reorder":
            return ReorderEntity(tuple(value))
        case "annotate":
            return AnnotateEntity(tuple(value))
        case _:
            return OtherOptionEntity(freeze_json(value))
