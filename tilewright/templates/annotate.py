"""Annotate knobs: which loops are unrolled or vectorized, and where caches are attached."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tilewright.templates.errors import InvalidConfigError, SpaceError

if TYPE_CHECKING:
    from tilewright.compiler.schedule import Schedule
    from tilewright.compiler.te import IterVar, Tensor

Annotation = str | int
ANNOTATIONS = ("none", "unroll", "vec")


class _RaisesErrors(Protocol):
    def raise_error(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class AnnotateEntity:
    """One annotation for each axis; for `locate_cache`, the positions of the axes that hold the caches."""

    anns: tuple[Annotation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "anns", tuple(self.anns))

    def apply(
        self,
        s: "Schedule",
        op: "Tensor",
        axes: Sequence["IterVar"],
        axis_lens: Sequence[int] | None = None,
        max_unroll: int | None = None,
        vec_size: Sequence[int] | None = None,
        cfg: _RaisesErrors | None = None,
        source: Sequence[Sequence["Tensor"]] | None = None,
    ) -> list["IterVar"]:
        """Annotate `axes` of the stage of `op`, or attach the `source` caches to them; return the axes.

        Args:
            s: The schedule.
            op: The tensor whose stage is annotated.
            axes: The axes, in the order in which the knob was defined.
            axis_lens: The extents of the axes; without them the axes' own.
            max_unroll: Longest axis that may be unrolled.
            vec_size: The vector lengths that are allowed.
            cfg: Receives the error of an axis that breaks a limit; without it the error is raised.
            source: For `locate_cache`, one list of cache tensors for each anchor.
        """
        if source is not None:
            for tensors, position in zip(source, self.anns, strict=True):
                for tensor in tensors:
                    s[tensor].compute_at(s[op], axes[int(position)])
            return list(axes)
        extents = [axis.extent for axis in axes] if axis_lens is None else list(axis_lens)
        for axis, extent, annotation in zip(axes, extents, self.anns, strict=False):
            problem = _broken_limit(annotation, extent, max_unroll, vec_size)
            if problem:
                _report(cfg, f"axis {axis.name} of {extent} iterations: {problem}")
            elif annotation == "unroll":
                s[op].unroll(axis)
            elif annotation == "vec":
                s[op].vectorize(axis)
        return list(axes)

    def to_json(self) -> list[Annotation]:
        """Return the annotations as a list."""
        return list(self.anns)

    def __str__(self) -> str:
        return "[" + ", ".join(str(annotation) for annotation in self.anns) + "]"


def enumerate_annotations(
    name: str, axes: Sequence[object], policy: str, *, num_anchor: int | None = None
) -> tuple[AnnotateEntity, ...]:
    """Return the annotations of `axes` that a policy allows, the last axis changing fastest."""
    if policy == "locate_cache":
        if num_anchor is None:
            raise SpaceError(f"annotate knob {name!r}: policy 'locate_cache' needs num_anchor")
        return tuple(
            AnnotateEntity(places) for places in itertools.combinations(range(len(axes)), num_anchor)
        )
    if policy.startswith("bind_gpu"):
        raise SpaceError(
            f"annotate knob {name!r}: policy {policy!r} is for GPUs; Tilewright compiles for CPUs"
        )
    options = policy.replace("try", "none").split("_")
    unknown = [option for option in options if option not in ANNOTATIONS]
    if unknown:
        raise SpaceError(
            f"annotate knob {name!r}: unknown policy {policy!r}; join none, unroll and vec by '_', "
            "for example try_unroll_vec, or use locate_cache"
        )
    choices = itertools.product(dict.fromkeys(options), repeat=len(axes))
    return tuple(AnnotateEntity(choice) for choice in choices if choice.count("vec") <= 1)


def _broken_limit(
    annotation: Annotation, extent: int, max_unroll: int | None, vec_size: Sequence[int] | None
) -> str | None:
    if annotation == "unroll" and max_unroll is not None and extent > max_unroll:
        return f"too long to unroll (at most {max_unroll})"
    if annotation == "vec" and vec_size is not None and extent not in vec_size:
        return f"not a vector length (one of {list(vec_size)})"
    return None


def _report(cfg: _RaisesErrors | None, message: str) -> None:
    if cfg is None:
        raise InvalidConfigError(message)
    cfg.raise_error(message)
