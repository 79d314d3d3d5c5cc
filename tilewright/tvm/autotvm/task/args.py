"""The arguments of tasks as plain data."""

from collections.abc import Sequence
from typing import Any

from tilewright.compiler.te import Tensor, placeholder


def args_to_workload(args: Sequence[Any], task_name: str | None = None) -> tuple[Any, ...]:
    """The arguments as a key, after the name where it is given."""
    return (*(() if task_name is None else (task_name,)), *serialize_args(args))


def serialize_args(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments as plain data: lists as tuples, tensors as `("TENSOR", shape, dtype)`."""
    return tuple(_serialize(arg) for arg in args)


def deserialize_args(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments again, tensors as placeholders."""
    return tuple(
        placeholder(a[1], a[2]) if isinstance(a, tuple) and a[:1] == ("TENSOR",) else a for a in args
    )


def _serialize(arg: Any) -> Any:
    if isinstance(arg, Tensor):
        return ("TENSOR", arg.shape, arg.dtype)
    if isinstance(arg, list | tuple):
        return serialize_args(arg)
    if arg is None or isinstance(arg, str | int | float):
        return arg
    raise RuntimeError(f"an argument of a task is plain data or a tensor, not {arg!r}")


__all__ = ["args_to_workload", "deserialize_args", "serialize_args"]
