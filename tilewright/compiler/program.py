"""A program as plain data: a te graph, its arguments and the steps of its schedule.

Programs can be stored, hashed and sent to another process; making one again runs no code of the user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tilewright.compiler.errors import ExpressionError, ScheduleError
from tilewright.compiler.schedule import Schedule, Step
from tilewright.compiler.te.graph_json import MALFORMED, decode_graph, encode_graph
from tilewright.compiler.te.tensor import PlaceholderOp, Tensor

Json = Any


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An argument of a program."""

    name: str
    shape: tuple[int, ...]
    dtype: str


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
        graph = _graph(schedule)
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
        return _program(msgspec.json.encode(data).decode(), args, constants)

    @staticmethod
    def from_json(text: str) -> Program:
        """From :meth:`to_json`'s text.

        Raises:
            TilewrightError: the text is no stored program.
        """
        try:
            data = msgspec.json.decode(text)
            tensors = decode_graph(data["ops"])
            return _program(text, [tensors[name] for name in data["args"]], data.get("constants", ()))
        except MALFORMED as error:
            kind = type(error).__name__
            raise ExpressionError(f"the text is no stored program: {error} ({kind})") from error

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


def _program(text: str, args: Sequence[Tensor], constants: Sequence[str]) -> Program:
    specs = [(TensorSpec(t.name, t.shape, t.dtype), isinstance(t.op, PlaceholderOp)) for t in args]
    inputs = tuple(spec for spec, is_input in specs if is_input)
    unknown = set(constants) - {spec.name for spec in inputs}
    if unknown:
        raise ScheduleError(f"constant {min(unknown)!r} is no input of the program")
    outputs = tuple(spec for spec, is_input in specs if not is_input)
    return Program(text, inputs, outputs, tuple(constants))


def _graph(schedule: Schedule) -> list[Tensor]:
    from tilewright.compiler.schedule.schedule import topological_order

    return topological_order(schedule.outputs)
