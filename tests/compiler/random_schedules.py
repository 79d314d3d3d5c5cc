"""Random legal schedules: primitives drawn one after the other, those that are refused left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.compiler.computes import Compute, all_computes
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.te import ComputeOp, IterVar

PRIMITIVES = (
    "split", "split", "split", "tile", "fuse", "reorder", "vectorize", "unroll", "parallel",
    "cache_write", "cache_write", "cache_inplace", "cache_inplace", "cache_inplace", "cache_inplace",
    "cache_read", "pack", "compute_at", "compute_at", "compute_inline", "compute_inline",
    "decompose_reduction", "outline", "loop_partition", "rfactor", "rfactor", "rfactor", "pragma",
    "prefetch", "storage_align", "store_nontemporal", "trim", "trim",
)  # fmt: skip
T = TypeVar("T")
SCOPES = ("register", "stack", "thread", "call")


@dataclass
class Drawn:
    """A schedule that was drawn, and what it is made of."""

    compute: Compute
    schedule: Schedule
    used: Counter[str] = field(default_factory=Counter)
    splits: int = 0
    uneven_splits: int = 0


class Drawer:
    """Draws primitives for one schedule."""

    def __init__(self, random: Random, compute: Compute) -> None:
        self.random = random
        self.result = Drawn(compute, create_schedule(compute.output))
        self.schedule = self.result.schedule

    def pick(self, items: Sequence[T]) -> T:
        if not items:
            raise ScheduleError("nothing to choose from")
        return self.random.choice(items)

    def stages(self) -> list[Stage]:
        return [s for s in self.schedule.stages if isinstance(s.op, ComputeOp) and s.attach.kind != "inline"]

    def stage(self) -> Stage:
        return self.pick(self.stages())

    def axis(self, stage: Stage, kind: str | None = None) -> IterVar:
        axes = [a for a in stage.leaf if kind is None or a.kind == kind]
        return self.pick(axes)

    def step(self) -> None:
        name = self.pick(PRIMITIVES)
        before = len(self.schedule.steps)
        try:
            getattr(self, f"draw_{name}")()
        except ScheduleError:
            return
        if len(self.schedule.steps) > before:
            self.result.used[name] += 1

    def split(self, stage: Stage, axis: IterVar) -> tuple[IterVar, IterVar]:
        number = self.random.randint(1, min(9, axis.extent + 1))
        by_parts = self.random.random() < 0.5
        self.result.splits += 1
        self.result.uneven_splits += axis.extent % number != 0
        if by_parts:
            return stage.split(axis, nparts=number)
        tail = self.pick(["", "", "shift_inwards", "guard"]) if axis.kind == "data" else ""
        return stage.split(axis, factor=number, tail=tail)

    def draw_split(self) -> None:
        stage = self.stage()
        self.split(stage, self.axis(stage))

    def draw_tile(self) -> None:
        stage = self.stage()
        axes = [a for a in stage.leaf if a.kind == "data" and a not in stage.marks]
        if len(axes) < 2:
            return
        x, y = self.random.sample(axes, 2)
        factors = [self.random.randint(1, 6) for _ in range(2)]
        stage.tile(x, y, *factors)
        self.result.splits += 2
        self.result.uneven_splits += sum(a.extent % f != 0 for a, f in zip((x, y), factors, strict=True))

    def draw_fuse(self) -> None:
        stage = self.stage()
        pairs = [(a, b) for a, b in zip(stage.leaf, stage.leaf[1:], strict=False) if a.kind == b.kind]
        pairs = [(a, b) for a, b in pairs if a not in stage.marks and b not in stage.marks]
        if pairs:
            stage.fuse(*self.pick(pairs))

    def draw_reorder(self) -> None:
        stage = self.stage()
        axes = self.random.sample(stage.leaf, len(stage.leaf))
        stage.reorder(*axes[: self.random.randint(2, max(2, len(axes)))])

    def draw_vectorize(self) -> None:
        stage = self.stage()
        stage.vectorize(self.axis(stage, "data"))

    def draw_unroll(self) -> None:
        stage = self.stage()
        axis = self.axis(stage)
        stage.unroll(axis, self.pick([0, 1, 2, 3] if axis.extent < 10 else [1, 2, 3]))

    def draw_parallel(self) -> None:
        stage = self.stage()
        stage.parallel(self.axis(stage, "data"))

    def draw_outline(self) -> None:
        stage = self.stage()
        stage.outline(self.axis(stage))

    def draw_loop_partition(self) -> None:
        stage = self.stage()
        stage.loop_partition(self.axis(stage))

    def draw_cache_write(self) -> None:
        self.schedule.cache_write(self.stage().tensor, self.pick(SCOPES))

    def draw_cache_inplace(self) -> None:
        stage = self.stage()
        axis = self.axis(stage, "reduce")
        outer, _ = self.split(stage, axis)
        stage.reorder(outer, *[a for a in stage.leaf if a is not outer])
        cache = self.schedule.cache_inplace(stage.tensor, self.pick(SCOPES), outer)
        inside = [a for a in stage.leaf if a.kind == "data"]
        self.schedule[cache].compute_at(stage, self.pick([outer, *inside]))

    def source(self) -> tuple[Stage, list[Stage]]:
        found = [
            (s, self.schedule.readers(s.name)) for s in self.schedule.stages if s.attach.kind != "inline"
        ]
        found = [(s, [r for r in readers if r.attach.kind != "inline"]) for s, readers in found]
        return self.pick([(s, r) for s, r in found if r])

    def draw_cache_read(self) -> None:
        stage, readers = self.source()
        self.schedule.cache_read(stage.tensor, self.pick(SCOPES), readers)

    def draw_pack(self) -> None:
        stage, readers = self.source()
        dimension = self.random.randint(0, len(stage.op.shape) - 1)
        self.schedule.pack(stage.tensor, readers, {dimension: self.random.randint(1, 8)})

    def draw_compute_at(self) -> None:
        stage = self.stage()
        readers = self.schedule.readers(stage.name)
        if readers:
            reader = self.pick(readers)
            stage.compute_at(reader, self.axis(reader))

    def draw_compute_inline(self) -> None:
        self.stage().compute_inline()

    def draw_rfactor(self) -> None:
        stage = self.stage()
        axis = self.axis(stage, "reduce")
        if axis.extent > 1 and axis not in stage.marks and self.random.random() < 0.7:
            axis = self.pick(self.split(stage, axis))
        partial = self.schedule.rfactor(stage.tensor, axis, self.random.randint(-1, len(stage.axis)))
        if self.random.random() < 0.5:
            self.schedule[partial].compute_at(stage, self.axis(stage))
        if self.random.random() < 0.5:
            self.schedule[partial].vectorize(self.axis(self.schedule[partial], "data"))

    def draw_pragma(self) -> None:
        stage = self.stage()
        axis = self.axis(stage)
        stage.pragma(axis, "auto_unroll_max_step", self.pick([4, 16, 64]))
        if self.random.random() < 0.3:
            stage.pragma(axis, "unroll_explicit", False)
        if self.random.random() < 0.2:
            stage.pragma(axis, "auto_unroll_max_extent", self.random.randint(0, 3))
        if self.random.random() < 0.3:
            stage.pragma(self.axis(stage), "fuse_loops")

    def draw_prefetch(self) -> None:
        stage = self.stage()
        assert isinstance(stage.op, ComputeOp)
        stage.prefetch(self.pick(stage.op.inputs), self.axis(stage), self.random.randint(0, 5))

    def draw_store_nontemporal(self) -> None:
        self.stage().store_nontemporal()

    def draw_trim(self) -> None:
        self.pick([stage for stage in self.stages() if stage.op.reduce_axis]).trim()

    def draw_storage_align(self) -> None:
        inner = [s for s in self.stages() if s.tensor.name != self.result.compute.output.name]
        stage = self.pick(inner)
        factor = self.random.randint(1, 20)
        stage.storage_align(self.pick(stage.axis), factor, self.random.randint(0, factor - 1))

    def draw_decompose_reduction(self) -> None:
        stage = self.stage()
        first = next((n for n, a in enumerate(stage.leaf) if a.kind == "reduce"), None)
        if first is not None:
            stage.decompose_reduction(stage.leaf[self.random.randint(0, first)])


def draw_schedule(random: Random) -> Drawn:
    """A computation at small, often odd extents, with a random schedule."""
    makers = all_computes(lambda most: random.randint(1, most))
    drawer = Drawer(random, random.choice(makers)())
    for _ in range(random.randint(5, 16)):
        drawer.step()
    return drawer.result
