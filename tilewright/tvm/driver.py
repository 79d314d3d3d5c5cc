"""`tvm.lower` and `tvm.build`."""

from collections.abc import Sequence
from typing import Any

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import PlaceholderOp, Tensor
from tilewright.deploy import build_schedule
from tilewright.deploy import lower as lower_loops
from tilewright.settings import tvm_threads
from tilewright.tvm.ignored import warn_ignored
from tilewright.tvm.module import Module
from tilewright.tvm.target import Target


class LoweredModule:
    """The loops of a schedule; printing shows them, and `build` takes them."""

    def __init__(self, schedule: Schedule, args: Sequence[Tensor], name: str, simple_mode: bool) -> None:
        self.schedule, self.args, self.name = schedule, tuple(args), name
        self.loops = lower_loops(schedule, _parts(schedule, args), simple_mode)

    def __str__(self) -> str:
        return str(self.loops)

    script = astext = __str__


def lower(
    inp: Schedule, args: Sequence[Tensor], name: str = "main", binds: Any = None, simple_mode: bool = False
) -> LoweredModule:
    """The loops of a schedule; with `simple_mode` as it wrote them, without with their tails peeled."""
    warn_ignored("lower", ["binds"] if binds else [])
    return LoweredModule(inp, args, name, simple_mode)


def build(
    inputs: Schedule | LoweredModule,
    args: Sequence[Tensor] | None = None,
    target: Any = None,
    target_host: Any = None,
    name: str = "main",
    **options: Any,
) -> Module:
    """Compile a schedule, or what `lower` made of one, for a target: the given one, else that in force."""
    warn_ignored("build", [option for option, value in options.items() if value])
    if isinstance(inputs, LoweredModule):
        return build(inputs.schedule, inputs.args, target, target_host, inputs.name)
    if args is None:
        raise ScheduleError("build: give the arguments, every input and output tensor, as args=[...]")
    machine = Target(target or Target.current() or "llvm").machine
    parts = _parts(inputs, args)
    kernel = build_schedule(inputs, parts, target=machine, threads=tvm_threads())
    return Module(kernel, [isinstance(t.op, PlaceholderOp) if t in parts else None for t in args], name)


def _parts(schedule: Schedule, args: Sequence[Tensor]) -> list[Tensor]:
    """The arguments without the inputs that nothing reads; TVM takes those and so does the module."""
    read = {stage.op for stage in schedule.stages}
    return [tensor for tensor in args if tensor.op in read or not isinstance(tensor.op, PlaceholderOp)]


__all__ = ["LoweredModule", "build", "lower"]
