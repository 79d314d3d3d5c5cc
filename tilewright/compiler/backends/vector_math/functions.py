"""The functions of float32 that kernels compute by polynomials, and the definition of each in a module."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from tilewright.compiler.backends.llvm_types import vector
from tilewright.compiler.backends.vector_math.error_function import ERROR_FUNCTION
from tilewright.compiler.backends.vector_math.exponential import exponential, logistic, power_of_two
from tilewright.compiler.backends.vector_math.hyperbolic_tangent import HYPERBOLIC_TANGENT
from tilewright.compiler.backends.vector_math.lane_code import LaneCode, LaneValue
from tilewright.compiler.backends.vector_math.logarithm import logarithm
from tilewright.compiler.backends.vector_math.piecewise import piecewise
from tilewright.compiler.backends.vector_math.power import power
from tilewright.compiler.backends.vector_math.reciprocal_root import reciprocal_root
from tilewright.compiler.backends.vector_math.sine import cosine, sine
from tilewright.compiler.target import Target

FUNCTIONS: dict[str, Callable[..., LaneValue]] = {
    "cos": cosine,
    "erf": partial(piecewise, table=ERROR_FUNCTION),
    "exp": exponential,
    "exp2": power_of_two,
    "log": logarithm,
    "pow": power,
    "rsqrt": reciprocal_root,
    "sigmoid": logistic,
    "sin": sine,
    "tanh": partial(piecewise, table=HYPERBOLIC_TANGENT),
}
ARGUMENTS = {name: 2 if name == "pow" else 1 for name in FUNCTIONS}


def function_name(name: str, lanes: int) -> str:
    """What a module calls a function of so many lanes, 0 being a scalar."""
    return f"{name}_lanes{lanes}" if lanes else f"{name}_scalar"


@cache
def define_function(name: str, lanes: int, target: Target) -> frozenset[str]:
    """The definition of a function in a module, and of what else it needs there: tables and declarations."""
    code = LaneCode(target)
    parameters = [code.parameter(number, lanes) for number in range(ARGUMENTS[name])]
    result = FUNCTIONS[name](code, *parameters)
    kind = vector("float", lanes)
    head = f"{kind} @{function_name(name, lanes)}({', '.join(p.typed for p in parameters)})"
    lines = [f"define internal {head} #1 {{", "entry:", *code.lines, f"  ret {result.typed}", "}"]
    return frozenset(code.globals | {"\n".join(lines)})
