"""Fixed-length numeric features of configurations, taken from the values of their knobs."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.annotate import AnnotateEntity
from tilewright.templates.config import Config
from tilewright.templates.constraints import Ordinals
from tilewright.templates.knobs import Entity, Knob
from tilewright.templates.option import FrozenJson, OtherOptionEntity
from tilewright.templates.reorder import ReorderEntity
from tilewright.templates.space import ConfigSpace
from tilewright.templates.split import SplitEntity

Matrix = NDArray[np.float32]
Extractor = Callable[[Ordinals], Matrix]
FeatureMap = Callable[[ConfigSpace], Extractor]
# The numbers of one configuration, always as many; they may take milliseconds.
Describe = Callable[[Config], NDArray[np.float32]]


def knob_features(space: ConfigSpace) -> Extractor:
    """Return the function from indices of `space` to feature rows, one table look-up a knob."""
    tables = [knob_table(knob) for knob in space.knobs]

    def extract(indices: Ordinals) -> Matrix:
        ordinals = space.ordinals(indices)
        columns = [table[ordinals[:, position]] for position, table in enumerate(tables)]
        return np.hstack(columns) if columns else np.zeros((len(ordinals), 0), dtype=np.float32)

    return extract


def knob_table(knob: Knob) -> Matrix:
    """Return the features of each choice of a knob, one choice a row."""
    if knob.kind == "other":
        return _option_table(knob.entities)
    rows = [_row(entity, knob.extent) for entity in knob.entities]
    return _distinct_columns(np.array(rows, dtype=np.float32).reshape(len(rows), -1))


def _row(entity: Entity, extent: int | None) -> list[float]:
    match entity:
        case SplitEntity(size):
            return _split_row(size, extent)
        case ReorderEntity(perm):
            return [
                float(perm.index(axis)) if axis in perm else -1.0 for axis in range(max(perm, default=-1) + 1)
            ]
        case AnnotateEntity(anns):
            return [value for annotation in anns for value in _annotation_row(annotation)]
        case OtherOptionEntity():
            raise TypeError("options are encoded together")


def _split_row(size: Sequence[int], extent: int | None) -> list[float]:
    """Return the binary logarithms of the extents and of the tiles they span, and the share of a tail."""
    inner = math.prod(size[1:])
    outer = -(-(extent or inner) // inner) if size[0] == -1 else size[0]
    sizes = (outer, *size[1:])
    spans = [math.prod(size[place:]) for place in range(1, len(size) - 1)]
    tail = outer * inner / extent - 1 if extent else 0.0
    alignments = [_alignment(factor) for factor in size[1:]]
    return [math.log2(max(value, 1)) for value in (*sizes, *spans)] + [tail, *alignments]


def _annotation_row(annotation: str | int) -> list[float]:
    if isinstance(annotation, int):
        return [float(annotation)]
    return [float(annotation == name) for name in ("none", "unroll", "vec")]


def _option_table(entities: Sequence[Entity]) -> Matrix:
    values = [entity.val for entity in entities if isinstance(entity, OtherOptionEntity)]
    if all(isinstance(value, int | float) for value in values):
        rows = [[_signed_log(value), _alignment(value)] for value in values]
        return _distinct_columns(np.array(rows, dtype=np.float32))
    lengths = {len(value) if isinstance(value, tuple) else -1 for value in values}
    if len(lengths) == 1 and all(_is_numeric_tuple(value) for value in values):
        rows = [[_signed_log(item) for item in value] for value in values if isinstance(value, tuple)]
        return np.array(rows, dtype=np.float32).reshape(len(rows), -1)
    return np.eye(len(values), dtype=np.float32)


def _is_numeric_tuple(value: FrozenJson) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int | float) for item in value)


def _distinct_columns(table: Matrix) -> Matrix:
    """Drop the columns that say the same, up to scale, as one before them."""
    if len(table) < 2:
        return table[:, :1]
    spread = table - table.mean(axis=0)
    length = np.sqrt((spread**2).sum(axis=0))
    kept: list[int] = []
    for column in range(table.shape[1]):
        others = [
            abs(spread[:, column] @ spread[:, k]) / (length[column] * length[k])
            for k in kept
            if length[column]
        ]
        if length[column] and max(others, default=0.0) < 0.999:
            kept.append(column)
    return table[:, kept or [0]]


def _alignment(value: object) -> float:
    """Return how often two divides an integer: vectors, cache lines and banks prefer some sizes so."""
    if not isinstance(value, int) or value == 0:
        return 0.0
    return float((value & -value).bit_length() - 1)


def _signed_log(value: object) -> float:
    number = float(value) if isinstance(value, int | float) else 0.0
    return math.copysign(math.log2(1 + abs(number)), number)
