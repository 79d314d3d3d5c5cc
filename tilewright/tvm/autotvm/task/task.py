"""`autotvm.task.task`: templates by name and the tasks made of them."""

from collections.abc import Callable, Sequence
from typing import Any

from tilewright.compiler.analysis.flops import FlopCountError, count_flops
from tilewright.compiler.schedule import Schedule
from tilewright.templates import get_config
from tilewright.templates import template as register
from tilewright.tvm.autotvm.task.args import args_to_workload, deserialize_args, serialize_args
from tilewright.tvm.autotvm.task.definition import Task

FlopCalculationError = FlopCountError


def create(task_name: str, args: Sequence[Any], target: Any = None, target_host: Any = None) -> Task:
    """The task of a template on arguments; its space is collected, so that an unknown name is told."""
    task = Task(task_name, args, target)
    task.config_space  # noqa: B018 - collects it
    return task


def template(task_name: str, func: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Register a function as a template; a decorator without `func`."""
    return register(task_name) if func is None else register(task_name)(func)


def compute_flop(sch: Schedule) -> int:
    """The operations of a program."""
    return count_flops(sch.outputs)


__all__ = [
    "FlopCalculationError",
    "Task",
    "args_to_workload",
    "compute_flop",
    "create",
    "deserialize_args",
    "get_config",
    "serialize_args",
    "template",
]
