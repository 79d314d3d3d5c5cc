"""`tvm.te`: the tensor-expression language."""

from collections.abc import Iterable
from typing import Any, NoReturn

from tilewright import te
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import Schedule as Schedule
from tilewright.compiler.schedule import Stage as Stage
from tilewright.compiler.schedule import create_schedule as create_schedule
from tilewright.compiler.te import IterVar as IterVar
from tilewright.compiler.te import Tensor as Tensor
from tilewright.tvm.absent import refuse_absent
from tilewright.tvm.tir import *  # noqa: F403

__getattr__ = refuse_absent(__name__)


def placeholder(  # type: ignore[no-redef]
    shape: Any, dtype: str | None = None, name: str = "placeholder"
) -> Tensor:
    """An input tensor."""
    return te.placeholder(_extents(shape), dtype or "float32", name)


def compute(  # type: ignore[no-redef]
    shape: Any, fcompute: Any, name: str = "compute", tag: str = "", attrs: Any = None
) -> Tensor:
    """A tensor whose element at `(i, j, ...)` is `fcompute(i, j, ...)`."""
    return te.compute(_extents(shape), fcompute, name, tag, attrs)


def reduce_axis(dom: Any, name: str = "rv") -> IterVar:  # type: ignore[no-redef]
    """An axis to reduce over."""
    begin, end = _extents(dom)
    return te.reduce_axis((begin, end), name)


def thread_axis(*dom: Any, **options: Any) -> NoReturn:
    """Refuse an axis of a GPU's threads."""
    tag = options.get("tag") or (dom[-1] if dom else "")
    raise ScheduleError(
        f"thread_axis({tag!r}): Tilewright compiles for CPUs and has no GPU; use parallel and vectorize"
    )


def _extents(shape: Iterable[Any]) -> list[Any]:
    """Extents with quotients as the integers that they are: `N / 32` is a float in Python."""
    return [int(e) if isinstance(e, float) and e.is_integer() else e for e in shape]
