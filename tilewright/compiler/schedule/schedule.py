"""A schedule: the stages of a program and the steps that made them what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import steps
from tilewright.compiler.schedule.definitions import check_definition
from tilewright.compiler.schedule.plain_numbers import whole
from tilewright.compiler.schedule.rewrites import apply_step, replace_axes
from tilewright.compiler.schedule.stage import Stage, stage_names
from tilewright.compiler.te.expr import IterVar
from tilewright.compiler.te.tensor import ComputeOp, Operation, PlaceholderOp, Tensor, loads

Reader = Tensor | Stage | ComputeOp


class Schedule:
    """How a program is to be computed. Every primitive appends one step to ``steps``."""

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        self.outputs = tuple(outputs)
        self.steps: list[steps.Step] = []
        self.stages: list[Stage] = []
        self._by_name: dict[str, Stage] = {}
        self._tensors: dict[str, Tensor] = {}
        for tensor in topological_order(self.outputs):
            check_definition(tensor.op)
            # Tensors that were not given names of their own share the default one.
            tensor.op.name = self.fresh_name(tensor.name)
            self.insert_stage(tensor, len(self.stages))

    def __getitem__(self, item: Tensor | Operation | Stage) -> Stage:
        stage = self._by_name.get(item.name)
        op = item.op if isinstance(item, (Tensor, Stage)) else item
        if stage is None or (op is not stage.op and op is not self._tensors[item.name].op):
            raise ScheduleError(
                f"{item.name} is not part of this schedule; create_schedule takes its outputs"
            )
        return stage

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        if name not in self._by_name:
            raise ScheduleError(f"there is no stage {name}; the stages are {', '.join(self._by_name)}")
        return self._by_name[name]

    def place_of(self, axis: IterVar, primitive: str) -> tuple[str, str]:
        """The names of the stage that has a loop, and of the loop."""
        for stage in self.stages:
            if axis in stage.leaf:
                return stage.name, axis.name
        raise ScheduleError(f"{primitive}: {axis!r} is not a loop of any stage")

    def tensor_of(self, name: str) -> Tensor:
        """The tensor that the stage of that name computes."""
        return self._tensors[name]

    def insert_stage(self, tensor: Tensor, position: int, scope: str = "global") -> Stage:
        """Add a stage for a tensor, in the order of computation."""
        stage = Stage(self, tensor.name, self._own_axes(tensor.op), scope)
        self.stages.insert(position, stage)
        self._by_name[tensor.name] = stage
        self._tensors[tensor.name] = tensor
        return stage

    def _own_axes(self, op: Operation) -> Operation:
        """The operation, with reduction axes of its own where another stage reduces over the same ones."""
        taken = {axis for stage in self.stages for axis in stage.op.reduce_axis}
        shared = {
            axis: IterVar(axis.name, axis.extent, axis.kind) for axis in op.reduce_axis if axis in taken
        }
        if not shared or not isinstance(op, ComputeOp):
            return op
        return ComputeOp(op.name, op.axis, replace_axes(op.body, shared))

    def fresh_name(self, name: str) -> str:
        """A stage name that is not taken."""
        number, unique = 1, name
        while unique in self._by_name:
            unique = f"{name}.{number}"
            number += 1
        return unique

    def readers(self, name: str) -> list[Stage]:
        """The stages whose bodies read the stage of that name."""
        return [stage for stage in self.stages if reads(stage, name)]

    def apply(self, step: steps.Step) -> tuple[IterVar, ...]:
        """Carry out one step and remember it; the axes that it makes."""
        result = apply_step(self, step)
        self.steps.append(step)
        return result

    def normalize(self) -> Schedule:
        """The schedule itself: TVM's scripts ask for its normal form, which lowering makes here."""
        return self

    def replay(self, recorded: Iterable[steps.Step]) -> None:
        """Carry out recorded steps."""
        for step in recorded:
            self.apply(step)

    # -- primitives that make stages ------------------------------------------------------------

    def cache_read(self, tensor: Tensor, scope: str, readers: Sequence[Reader] | Reader) -> Tensor:
        """Give ``readers`` a copy of ``tensor``: see the step ``CacheRead``."""
        return self._cache(steps.CacheRead(self[tensor].name, scope, self._readers(readers)))

    def pack(
        self,
        tensor: Tensor,
        readers: Sequence[Reader] | Reader,
        tile: dict[int, int] | None = None,
        scope: str = "call",
        pad: bool = False,
    ) -> Tensor:
        """Give ``readers`` a copy of ``tensor`` stored in tiles, ``{dimension: factor}``.

        The copy's layout is the tiles' outer indices, the untiled dimensions, then the indices inside the
        tiles: ``pack(B, C, {1: 16})`` stores ``B[k, n]`` at ``[n // 16][k][n % 16]``. With ``pad`` the last
        tiles are whole too, zeros at their ends.
        """
        given = (tile or {}).items()
        tiles = tuple(
            sorted((whole(dimension, "pack"), whole(factor, "pack")) for dimension, factor in given)
        )
        names = self._readers(readers)
        return self._cache(steps.CacheRead(self[tensor].name, scope, names, tiles, "pack", bool(pad)))

    def cache_write(self, tensor: Tensor, scope: str) -> Tensor:
        """Compute ``tensor`` in a cache: see the step ``CacheWrite``."""
        return self._cache(steps.CacheWrite(self[tensor].name, scope))

    def cache_inplace(self, tensor: Tensor, scope: str, axis: IterVar) -> Tensor:
        """Accumulate across ``axis`` in a cache: see the step ``CacheInplace``."""
        stage = self[tensor]
        return self._cache(steps.CacheInplace(stage.name, scope, stage._name(axis, "cache_inplace")))

    def rfactor(self, tensor: Tensor, axis: IterVar, factor_axis: int = 0) -> Tensor:
        """Compute partial results, one for each step of ``axis``, in a new stage: see ``Rfactor``."""
        stage = self[tensor]
        return self._cache(
            steps.Rfactor(stage.name, stage._name(axis, "rfactor"), whole(factor_axis, "rfactor"))
        )

    def _cache(self, step: steps.Step) -> Tensor:
        before = set(self._by_name)
        self.apply(step)
        (name,) = set(self._by_name) - before
        return self._tensors[name]

    def _readers(self, readers: Sequence[Reader] | Reader) -> tuple[str, ...]:
        items = (readers,) if isinstance(readers, (Tensor, Stage, ComputeOp)) else tuple(readers)
        return stage_names(items)


def check_arguments(schedule: object, args: object) -> None:
    """Refuse what is no schedule, or no list of tensors to call its kernel with.

    Raises:
        ScheduleError: naming it.
    """
    if not isinstance(schedule, Schedule):
        raise ScheduleError(f"schedule must be one that create_schedule made, not {schedule!r}")
    if not isinstance(args, Sequence) or not all(isinstance(tensor, Tensor) for tensor in args):
        raise ScheduleError(f"args must be a list of tensors, the inputs and the outputs, not {args!r}")


def reads(stage: Stage, name: str) -> bool:
    """Whether a stage's body reads the stage of that name."""
    return isinstance(stage.op, ComputeOp) and any(load.source.name == name for load in loads(stage.op.body))


def topological_order(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that the outputs need, each after those that it reads."""
    order: dict[Tensor, None] = {}
    for output in outputs:
        path = [] if output in order else [(output, _sources(output))]
        while path:
            tensor, sources = path[-1]
            source = next((source for source in sources if source not in order), None)
            if source is None:
                order[tensor] = None
                path.pop()
            else:
                path.append((source, _sources(source)))
    return list(order)


def _sources(tensor: Tensor) -> Iterator[Tensor]:
    """The tensors that a tensor reads."""
    return iter(tensor.op.inputs if isinstance(tensor.op, ComputeOp) else ())


def create_schedule(outputs: Operation | Tensor | Sequence[Operation | Tensor]) -> Schedule:
    """The plain schedule of a program, given its outputs (tensors, or their ``.op``)."""
    items = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    tensors = []
    for item in items:
        if isinstance(item, Tensor):
            tensors.append(item)
        elif isinstance(item, (ComputeOp, PlaceholderOp)):
            tensors.append(Tensor(item))
        else:
            raise ScheduleError(f"create_schedule takes tensors or operations, not {type(item).__name__}")
    return Schedule(tensors)
