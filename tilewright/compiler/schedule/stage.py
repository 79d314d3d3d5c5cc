"""A stage: how one tensor of the program is computed, and the primitives that change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.ir.loops import LoopKind
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.plain_numbers import plain, whole
from tilewright.compiler.te.expr import Expr, IterVar
from tilewright.compiler.te.tensor import ComputeOp, PlaceholderOp, Tensor
from tilewright.compiler.te.tensor_intrin import TensorIntrin

if TYPE_CHECKING:
    from tilewright.compiler.schedule.schedule import Schedule


@dataclass(frozen=True, slots=True)
class SplitRelation:
    """``parent = outer * factor + inner``; with ``nparts`` the factor follows from the parent's extent.

    ``tail`` is what becomes of a partial block: see the step ``Split``.
    """

    parent: IterVar
    outer: IterVar
    inner: IterVar
    factor: int | None
    nparts: int | None
    tail: str = ""

    @property
    def is_data(self) -> bool:
        """Whether it is about loops of the output."""
        return self.parent.kind == "data"


@dataclass(frozen=True, slots=True)
class FuseRelation:
    """``outer = fused // extent(inner)`` and ``inner = fused % extent(inner)``."""

    outer: IterVar
    inner: IterVar
    fused: IterVar

    @property
    def is_data(self) -> bool:
        """Whether it is about loops of the output."""
        return self.fused.kind == "data"


@dataclass(frozen=True, slots=True)
class Ahead:
    """A prefetch: of which tensor, how far ahead, to which cache, and the loop whose iterations share it."""

    tensor: str
    offset: int
    level: int
    over: IterVar | None


@dataclass(frozen=True, slots=True)
class LoopMark:
    """How a loop is to run."""

    kind: LoopKind = LoopKind.SERIAL
    factor: int = 0
    outline: bool = False
    partition: bool = False
    pragmas: tuple[tuple[str, int], ...] = ()
    prefetches: tuple[Ahead, ...] = ()
    pipeline: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        if self.kind is not LoopKind.SERIAL:
            return str(self.kind)
        said = {
            "a pragma": self.pragmas,
            "a prefetch": self.prefetches,
            "outline": self.outline,
            "software_pipeline": self.pipeline,
        }
        return "marked with " + next((what for what, is_said in said.items() if is_said), "loop_partition")


@dataclass(frozen=True, slots=True)
class Attach:
    """Where a stage is computed: ``root``, ``inline``, or ``at`` a loop of another stage."""

    kind: str = "root"
    stage: str = ""
    axis: IterVar | None = None


@dataclass(frozen=True, slots=True)
class Inplace:
    """The accumulation that a stage continues: the stage it reads back, and the loops that begin it."""

    stage: str
    outer_axes: tuple[IterVar, ...]


@dataclass(slots=True, eq=False)
class Stage:
    """The mutable state of one stage while a schedule is being made."""

    schedule: Schedule
    name: str
    op: ComputeOp | PlaceholderOp
    scope: str = "global"
    leaf: list[IterVar] = field(default_factory=list)
    relations: list[SplitRelation | FuseRelation] = field(default_factory=list)
    marks: dict[IterVar, LoopMark] = field(default_factory=dict)
    attach: Attach = field(default_factory=Attach)
    layout: tuple[tuple[int, int], ...] = ()
    init_axis: IterVar | None = None
    inplace: Inplace | None = None
    extra_axes: tuple[IterVar, ...] = ()
    limits: list[tuple[Expr, int]] = field(default_factory=list)
    names: dict[str, IterVar] = field(default_factory=dict)
    aligns: dict[IterVar, tuple[int, int]] = field(default_factory=dict)
    tensorized: tuple[IterVar, TensorIntrin] | None = None
    rounded: set[IterVar] = field(default_factory=set)
    nontemporal: bool = False
    trimmed: bool = False

    def __post_init__(self) -> None:
        for axis in (*self.op.axis, *self.op.reduce_axis):
            self.add_axis(axis)

    # -- what the steps use ---------------------------------------------------------------------

    def add_axis(self, axis: IterVar) -> None:
        """Make an axis known by a name of its own and put it innermost."""
        if axis.name in self.names:
            axis.name = self.fresh_name(axis.name)
        self.names[axis.name] = axis
        self.leaf.append(axis)

    def fresh_name(self, name: str) -> str:
        """The name, with a number where it is taken."""
        number = 1
        unique = name
        while unique in self.names:
            unique = f"{name}.{number}"
            number += 1
        return unique

    def derive_axis(self, name: str, extent: int, kind: str) -> IterVar:
        """A new axis that a split or a fusion makes; not yet among the loops."""
        axis = IterVar(self.fresh_name(name), extent, kind)
        self.names[axis.name] = axis
        return axis

    def loop(self, name: str, primitive: str) -> IterVar:
        """The present loop of that name; an error that names the loops there are where it is none."""
        axis = self.names.get(name)
        if axis is None or axis not in self.leaf:
            gone = " any more (it was split or fused)" if axis is not None else ""
            loops = ", ".join(a.name for a in self.leaf) or "none"
            raise ScheduleError(
                f"{primitive}: {name} is not a loop of {self.name}{gone}; its loops are {loops}"
            )
        return axis

    def mark(self, axis: IterVar) -> LoopMark:
        """How a loop is to run."""
        return self.marks.get(axis, LoopMark())

    @property
    def tensor(self) -> Tensor:
        """The tensor that the stage computes."""
        return self.schedule.tensor_of(self.name)

    @property
    def axis(self) -> tuple[IterVar, ...]:
        """The stage's own axes."""
        return self.op.axis

    @property
    def leaf_iter_vars(self) -> tuple[IterVar, ...]:
        """The loops, outermost first."""
        return tuple(self.leaf)

    # -- primitives -----------------------------------------------------------------------------

    def _name(self, axis: IterVar, primitive: str) -> str:
        if not isinstance(axis, IterVar):
            raise ScheduleError(f"{primitive}: {axis!r} is not an axis; take one from s[{self.name}].op.axis")
        if self.names.get(axis.name) is not axis:
            raise ScheduleError(f"{primitive}: axis {axis.name} does not belong to stage {self.name}")
        return axis.name

    def split(
        self, parent: IterVar, factor: int | None = None, nparts: int | None = None, tail: str = ""
    ) -> tuple[IterVar, IterVar]:
        """Split a loop in two: ``(outer, inner)``; ``tail`` may be ``shift_inwards`` or ``guard``."""
        sizes = (plain(factor), plain(nparts))
        result = self.schedule.apply(steps.Split(self.name, self._name(parent, "split"), *sizes, tail))
        return result[0], result[1]

    def tile(
        self, x_parent: IterVar, y_parent: IterVar, x_factor: int, y_factor: int
    ) -> tuple[IterVar, IterVar, IterVar, IterVar]:
        """Split two loops and order them ``x_outer, y_outer, x_inner, y_inner``."""
        x_outer, x_inner = self.split(x_parent, x_factor)
        y_outer, y_inner = self.split(y_parent, y_factor)
        self.reorder(x_outer, y_outer, x_inner, y_inner)
        return x_outer, y_outer, x_inner, y_inner

    def fuse(self, *axes: IterVar) -> IterVar:
        """Fuse neighbouring loops, outermost first, into one."""
        if not axes:
            raise ScheduleError(f"fuse: give the loops of {self.name} to fuse")
        fused = axes[0]
        for axis in axes[1:]:
            step = steps.Fuse(self.name, self._name(fused, "fuse"), self._name(axis, "fuse"))
            (fused,) = self.schedule.apply(step)
        return fused

    def reorder(self, *axes: IterVar) -> None:
        """Put loops into the given order."""
        self.schedule.apply(steps.Reorder(self.name, tuple(self._name(a, "reorder") for a in axes)))

    def vectorize(self, axis: IterVar) -> None:
        """Run a loop's iterations in the lanes of vectors."""
        self.schedule.apply(steps.Annotate(self.name, self._name(axis, "vectorize"), "vectorize"))

    def unroll(self, axis: IterVar, factor: int = 0) -> None:
        """Write a loop's body out ``factor`` times: 0 for every iteration, 1 to keep it rolled."""
        self.schedule.apply(
            steps.Annotate(self.name, self._name(axis, "unroll"), "unroll", whole(factor, "unroll"))
        )

    def parallel(self, axis: IterVar) -> None:
        """Share a loop's iterations among threads."""
        self.schedule.apply(steps.Annotate(self.name, self._name(axis, "parallel"), "parallel"))

    def round_up(self, axis: IterVar) -> None:
        """Compute what whole tiles of the reader ask for of an axis, past the tensor's end too."""
        self.schedule.apply(steps.RoundUp(self.name, self._name(axis, "round_up")))

    def trim(self) -> None:
        """Run the reduction's loops over just the steps that its ``where`` may not leave out."""
        self.schedule.apply(steps.Trim(self.name))

    def outline(self, axis: IterVar) -> None:
        """Make a loop's body a function."""
        self.schedule.apply(steps.Outline(self.name, self._name(axis, "outline")))

    def loop_partition(self, axis: IterVar) -> None:
        """Peel a loop's tail."""
        self.schedule.apply(steps.LoopPartition(self.name, self._name(axis, "loop_partition")))

    def compute_at(self, parent: Stage, scope: IterVar) -> None:
        """Compute this stage inside loop ``scope`` of the stage ``parent`` that reads it."""
        axis = parent._name(scope, "compute_at")
        self.schedule.apply(steps.ComputeAt(self.name, parent.name, axis))

    def compute_inline(self) -> None:
        """Replace every read of this stage by its body."""
        self.schedule.apply(steps.ComputeInline(self.name))

    def compute_root(self) -> None:
        """Compute this stage whole, ahead of its readers."""
        self.schedule.apply(steps.ComputeRoot(self.name))

    def pragma(self, axis: IterVar, pragma_type: str, pragma_value: int | bool | str | None = None) -> None:
        """Say how loops inside a loop are unrolled: ``auto_unroll_max_step``, ``unroll_explicit``, ..."""
        name = self._name(axis, "pragma")
        self.schedule.apply(steps.Pragma(self.name, name, str(pragma_type), plain(pragma_value)))

    def prefetch(
        self, tensor: Tensor, var: IterVar, offset: int, level: int = 1, over: IterVar | None = None
    ) -> None:
        """Bring to a cache what a loop's body reads of a tensor ``offset`` iterations later.

        ``over`` is a loop around, each iteration of which brings a share.
        """
        source, name = self.schedule[tensor].name, self._name(var, "prefetch")
        numbers = whole(offset, "prefetch"), whole(level, "prefetch")
        around = ("", "") if over is None else self.schedule.place_of(over, "prefetch")
        self.schedule.apply(steps.Prefetch(self.name, source, name, *numbers, *around))

    def software_pipeline(self, axis: IterVar, *groups: Sequence[Tensor]) -> None:
        """Overlap iterations: each group of the stages inside is computed one iteration ahead of the next."""
        names = tuple(stage_names(group) for group in groups)
        self.schedule.apply(steps.SoftwarePipeline(self.name, self._name(axis, "software_pipeline"), names))

    def storage_align(self, axis: IterVar, factor: int, offset: int) -> None:
        """Space the scratch buffer so that the stride of an axis, modulo ``factor``, is ``offset``."""
        sizes = (whole(factor, "storage_align"), whole(offset, "storage_align"))
        self.schedule.apply(steps.StorageAlign(self.name, self._name(axis, "storage_align"), *sizes))

    def store_nontemporal(self) -> None:
        """Write an output past the caches: for what is too large to be found there again."""
        self.schedule.apply(steps.StoreNontemporal(self.name))

    def tensorize(self, axis: IterVar, intrin: TensorIntrin) -> None:
        """Replace the loops from ``axis`` inwards by a call of an intrinsic."""
        name = self._name(axis, "tensorize")
        if not isinstance(intrin, TensorIntrin):
            raise ScheduleError(f"tensorize({name}): give an intrinsic made by te.decl_tensor_intrin")
        self.schedule.apply(steps.Tensorize(self.name, name, intrin))

    def decompose_reduction(self, axis: IterVar) -> None:
        """Initialise the reduction just ahead of loop ``axis``."""
        name = self._name(axis, "decompose_reduction")
        self.schedule.apply(steps.DecomposeReduction(self.name, name))

    def __repr__(self) -> str:
        return f"Stage({self.name}, loops={[a.name for a in self.leaf]})"


def stage_names(items: Sequence[Tensor | Stage | ComputeOp]) -> tuple[str, ...]:
    """The names of the stages that tensors, operations or stages stand for."""
    return tuple(item.name for item in items)
