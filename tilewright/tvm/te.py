"""`tvm.te`: the tensor-expression language."""

from typing import Any, NoReturn

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import Schedule as Schedule
from tilewright.compiler.schedule import Stage as Stage
from tilewright.te import *  # noqa: F403
from tilewright.tvm.tir import div as div
from tilewright.tvm.tir import indexdiv as indexdiv
from tilewright.tvm.tir import indexmod as indexmod
from tilewright.tvm.tir import size_var as size_var
from tilewright.tvm.tir import truncdiv as truncdiv
from tilewright.tvm.tir import truncmod as truncmod
from tilewright.tvm.tir import var as var


def thread_axis(*dom: Any, **options: Any) -> NoReturn:
    """Refuse an axis of a GPU's threads."""
    tag = options.get("tag") or (dom[-1] if dom else "")
    raise ScheduleError(
        f"thread_axis({tag!r}): Tilewright compiles for CPUs and has no GPU; use parallel and vectorize"
    )
