"""A small template with four configurations, for tests of what surrounds measuring."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.template import template

FACTORS = (1, 2, 4, 8)


def double(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return 2 * a


@template("scaling", reference=double, default=lambda target, threads, n, fails: {"factor": 2})
def scaling(n: int, fails: str = "") -> tuple[Schedule, list[Tensor]]:
    a = te.placeholder((n,), "float32", name="A")
    c = te.compute((n,), lambda i: a[i] * np.float32(2).item(), name="C")
    s = create_schedule(c)
    cfg = get_config()
    cfg.define_knob("factor", list(FACTORS))
    factor = cfg["factor"].val
    if str(factor) in fails.split("+") and not cfg.is_fallback:
        raise ValueError(f"{factor} is refused")
    s[c].split(s[c].op.axis[0], factor)
    return s, [a, c]
