"""A template with its arguments and a target, as AutoTVM hands it around."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te import Tensor
from tilewright.settings import call_threads
from tilewright.templates import bind_workload, find_template
from tilewright.templates.config import Config
from tilewright.templates.task import Task as Core
from tilewright.tvm.autotvm.task.args import args_to_workload, serialize_args
from tilewright.tvm.autotvm.task.space import ConfigSpace
from tilewright.tvm.target import Target


class Task:
    """A template with its arguments and a target; the template is looked for when it is needed."""

    def __init__(self, name: str, args: Sequence[Any], target: Any = None) -> None:
        self.name, self.args = name, serialize_args(args)
        self.kwargs: dict[str, Any] = {}
        self.target = Target(target or Target.current() or "llvm")
        self.target_host = None

    @property
    def workload(self) -> tuple[Any, ...]:
        """The name and the arguments."""
        return args_to_workload(self.args, self.name)

    @cached_property
    def core(self) -> Core:
        """The task as the rest of Tilewright knows it; only this needs the template to be registered."""
        found = find_template(self.name)
        names = (parameter.name for parameter in found.parameters)
        params = dict(zip(names, self.args, strict=False))
        threads = call_threads(self.target.machine.cores)
        return Core(bind_workload(found, params), self.target.machine, threads, found)

    @cached_property
    def config_space(self) -> ConfigSpace:
        """The space of the template, which may be given further constraints."""
        return ConfigSpace.from_space(self.core.space)

    @property
    def func(self) -> Any:
        """The template."""
        return self.core.template

    @property
    def flop(self) -> int:
        """The operations of one call."""
        return self.core.flops

    def instantiate(self, config: Config) -> tuple[Schedule, list[Tensor]]:
        """The schedule of a configuration, and its arguments."""
        schedule, args = self.core.instantiate(config).schedule()
        return schedule, list(args)

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (self.name, self.args, str(self.target))

    def __repr__(self) -> str:
        return f"Task(func_name={self.name}, args={self.args}, workload={self.workload})"


__all__ = ["Task"]
