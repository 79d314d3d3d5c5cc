"""A program as plain data: a te graph, its arguments and the steps of its schedule.

Programs can be stored, hashed and sent to another process; making one again runs no code of the user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

import msgspec

from tilewright.compiler.errors import ArgumentError, ExpressionError, ScheduleError
from tilewright.compiler.schedule import Schedule, Step
from tilewright.compiler.schedule.schedule import check_arguments, topological_order
from tilewright.compiler.te.expr import BYTES
from tilewright.compiler.te.graph_json import MALFORMED, decode_graph, encode_graph
from tilewright.compiler.te.tensor import PlaceholderOp, Tensor

Json = Any
_MEMORY_BYTES = (1 << 63) - 1  # addresses, and NumPy's strides, are signed


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An argument of a program.

    Attributes:
        strides: in elements, those of a view; none: it is contiguous.
        values: what its elements are meant to be, from the first to below the second; None: anything.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...] = ()
    values: tuple[float, float] | None = None

    @property
    def span(self) -> int:
        """Elements from the first to the last, those between included."""
        steps = self.strides or contiguous_strides(self.shape)
        return 1 + sum((extent - 1) * step for extent, step in zip(self.shape, steps, strict=True))


@dataclass(frozen=True, slots=True)
class Program:
    """A scheduled program. ``text`` is its JSON, equal for equal programs.

    ``constants`` names the inputs that are the same in many calls.
    """

    text: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    constants: tuple[str, ...] = ()

    @staticmethod
    def from_schedule(schedule: Schedule, args: Sequence[Tensor], constants: Sequence[str] = ()) -> Program:
        """The program that a schedule computes, with its inputs and outputs in the order of a call.

        What it computes from the inputs named ``constants`` alone can be done once: see ``Kernel.bind``.
        """
        check_arguments(schedule, args)
        graph = topological_order(schedule.outputs)
        known = {tensor.op for tensor in graph}
        for tensor in args:
            if tensor.op not in known:
                raise ScheduleError(f"the argument {tensor.name} is no part of what the schedule computes")
        data = {
            "args": [tensor.name for tensor in args],
            "outputs": [tensor.name for tensor in schedule.outputs],
            "ops": encode_graph(graph),
            "steps": msgspec.to_builtins(tuple(schedule.steps)),
        }
        if constants:
            data["constants"] = list(constants)
        return _program(msgspec.json.encode(data).decode(), args, constants, {})

    @staticmethod
    def from_json(text: str) -> Program:
        """From :meth:`to_json`'s text.

        Raises:
            TilewrightError: the text is no stored program.
        """
        try:
            data = msgspec.json.decode(text)
            tensors = decode_graph(data["ops"])
            args = [tensors[name] for name in data["args"]]
            return _program(text, args, data.get("constants", ()), data.get("strides", {}))
        except MALFORMED as error:
            kind = type(error).__name__
            raise ExpressionError(f"the text is no stored program: {error} ({kind})") from error

    def with_strides(self, strides: Mapping[str, Sequence[int]]) -> Program:
        """The same program on arguments that are views: elements between neighbours, by argument.

        Raises:
            ArgumentError: a name is no argument's, or the strides are none of a view that can be used.
        """
        given = _read_strides(strides)
        check_strides(given, self.inputs, self.outputs)
        if not given:
            return self
        for tensor in self.schedule(scheduled=False)[1]:
            if tensor.name in given and tensor.op.argument_shape != tensor.shape:
                raise ArgumentError(
                    f"strides: {tensor.name} is computed as of shape {tensor.shape}, which no view has; "
                    "pass a contiguous array"
                )
        data = msgspec.json.decode(self.text) | {"strides": given}
        return Program.from_json(msgspec.json.encode(data).decode())

    @property
    def strides(self) -> dict[str, tuple[int, ...]]:
        """The strides of the arguments that are views."""
        return {spec.name: spec.strides for spec in (*self.inputs, *self.outputs) if spec.strides}

    def to_json(self) -> str:
        """As text."""
        return self.text

    @property
    def digest(self) -> str:
        """A name for the program's content."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def schedule(self, scheduled: bool = True) -> tuple[Schedule, tuple[Tensor, ...]]:
        """The schedule and the arguments again; without its steps where ``scheduled`` is false."""
        data = msgspec.json.decode(self.text)
        tensors = decode_graph(data["ops"])
        schedule = Schedule([tensors[name] for name in data["outputs"]])
        if scheduled:
            schedule.replay(_decode_steps(data["steps"]))
        return schedule, tuple(tensors[name] for name in data["args"])

    def unscheduled(self) -> Program:
        """The same computation with no steps."""
        schedule, args = self.schedule(scheduled=False)
        return Program.from_schedule(schedule, args, self.constants)


def _decode_steps(items: Json) -> tuple[Step, ...]:
    try:
        return msgspec.convert(items, tuple[Step, ...])
    except msgspec.ValidationError as error:
        raise ScheduleError(f"a stored program has a step that is none: {error}") from error


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements between neighbours where all lie side by side, the last dimension fastest."""
    steps = [1]
    for extent in reversed(shape[1:]):
        steps.insert(0, steps[0] * extent)
    return tuple(steps[: len(shape)])


def _read_strides(strides: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Strides that a caller gave, as plain integers."""
    if not isinstance(strides, Mapping):
        raise ArgumentError(f"strides: {strides!r} is no mapping; write {{argument: strides in elements}}")
    return {name: _read_steps(name, steps) for name, steps in strides.items()}


def _read_steps(name: str, steps: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(int(index(step)) for step in steps)
    except TypeError:
        raise ArgumentError(
            f"strides: those of {name} must be integers, one a dimension, not {steps!r}"
        ) from None


def check_strides(
    strides: Mapping[str, tuple[int, ...]], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    """Refuse strides that no kernel can use.

    They are of nothing, negative, further apart than memory reaches, or of outputs whose elements coincide.
    """
    specs = {spec.name: spec for spec in (*inputs, *outputs)}
    for name, steps in strides.items():
        if name not in specs:
            raise ArgumentError(f"strides: {name!r} is no argument; they are {', '.join(specs)}")
        spec = specs[name]
        if len(steps) != len(spec.shape):
            raise ArgumentError(f"strides: {name} has {len(spec.shape)} dimensions, {len(steps)} are given")
        if min(steps, default=0) < 0:
            raise ArgumentError(f"strides: those of {name} are negative, {steps}; pass a copy of the array")
        if max(replace(spec, strides=steps).span, *steps, 0) * BYTES[spec.dtype] > _MEMORY_BYTES:
            raise ArgumentError(
                f"strides: those of {name} reach beyond all memory, {steps}; give elements between neighbours"
            )
        if spec in outputs and not _is_distinct(spec.shape, steps):
            raise ArgumentError(f"strides: elements of the output {name} would coincide, with {steps}")


def _is_distinct(shape: Sequence[int], steps: Sequence[int]) -> bool:
    """Whether each dimension steps over all of those that step less."""
    reach = 0
    for step, extent in sorted((s, e) for s, e in zip(steps, shape, strict=True) if e > 1):
        if step <= reach:
            return False
        reach += step * (extent - 1)
    return True


def _program(
    text: str, args: Sequence[Tensor], constants: Sequence[str], strides: Mapping[str, Sequence[int]]
) -> Program:
    specs = [(_spec(tensor, strides), isinstance(tensor.op, PlaceholderOp)) for tensor in args]
    inputs = tuple(spec for spec, is_input in specs if is_input)
    unknown = set(constants) - {spec.name for spec in inputs}
    if unknown:
        raise ScheduleError(f"constant {min(unknown)!r} is no input of the program")
    outputs = tuple(spec for spec, is_input in specs if not is_input)
    return Program(text, inputs, outputs, tuple(constants))


def _spec(tensor: Tensor, strides: Mapping[str, Sequence[int]]) -> TensorSpec:
    steps = tuple(strides.get(tensor.name, ()))
    values = tensor.op.values if isinstance(tensor.op, PlaceholderOp) else None
    return TensorSpec(tensor.name, tensor.op.argument_shape, tensor.dtype, steps, values)
