"""`tvm.te`: the tensor-expression language."""

from typing import Any, NoReturn

from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.schedule import Schedule, Stage
from tilewright.te import *  # noqa: F403
from tilewright.te import __all__ as _language
from tilewright.tvm.tir import div, indexdiv, indexmod, size_var, truncdiv, truncmod, var


def thread_axis(*dom: Any, **options: Any) -> NoReturn:
    """Refuse an axis of a GPU's threads."""
    tag = options.get("tag") or (dom[-1] if dom else "")
    raise ScheduleError(
        f"thread_axis({tag!r}): Tilewright compiles for CPUs and has no GPU; use parallel and vectorize"
    )


__all__ = [  # noqa: PLE0604
    *_language,
    "Schedule",
    "Stage",
    "div",
    "indexdiv",
    "indexmod",
    "size_var",
    "thread_axis",
    "truncdiv",
    "truncmod",
    "var",
]
