"""Which dimensions of a shape an operator runs along."""

from __future__ import annotations

from tilewright.templates.errors import WorkloadError

Axes = int | tuple[int, ...]


def normalize_axes(owner: str, shape: tuple[int, ...], axis: Axes | None) -> tuple[int, ...]:
    """The axes of a shape in order, none of them twice; None stands for all.

    Raises:
        WorkloadError: one is out of range, or named twice.
    """
    rank = len(shape)
    if axis is None:
        return tuple(range(rank))
    given = (axis,) if isinstance(axis, int) else axis
    wrong = [one for one in given if not -rank <= one < rank]
    if wrong or not given:
        raise WorkloadError(f"{owner}: axis {axis} must be from {-rank} to {rank - 1}, as shape={shape} is")
    axes = tuple(sorted(one % rank for one in given))
    if len(set(axes)) < len(axes):
        raise WorkloadError(f"{owner}: axis {axis} names one of the {rank} dimensions twice")
    return axes
