"""Mathematical functions of an array, beside NumPy and torch on one core: nanoseconds a vector."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from interleave import compare, one_core, parser, table, write_json

from tilewright import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.target import Target
from tilewright.measure.slices import Runner

ALIGNMENT = 64
SLOPE = math.sqrt(2 / math.pi)
FUNCTIONS: dict[str, Callable[[te.Expr], te.Expr]] = {
    **{name: getattr(te, name) for name in ("exp", "log", "tanh", "sigmoid", "rsqrt", "erf", "sin", "cos")},
    "power": lambda x: te.power(x, 1.7),
    "gelu": lambda x: x * 0.5 * (te.erf(x * math.sqrt(0.5)) + 1),
    "gelu_tanh": lambda x: x * 0.5 * (te.tanh(x * (x * x * (0.044715 * SLOPE) + SLOPE)) + 1),
    "silu": lambda x: x * te.sigmoid(x),
}
POSITIVE = ("log", "rsqrt", "power")


def main() -> None:
    """Time each function in turns with what else computes it."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=2048, help="floats of the array")
    options.add_argument("--seconds", type=float, default=2.0, help="for each function")
    given = options.parse_args()
    lanes = Target.host().lanes(4)
    rows, figures = [], {}
    for name in FUNCTIONS:
        x, out = aligned(given.size), aligned(given.size)
        x[:] = np.random.default_rng(0).uniform(0.1 if name in POSITIVE else -4, 4, given.size)
        runners = {"tilewright": build(name, given.size).prepare(x, out=out).run, **peers(name, x, out)}
        with one_core():
            seconds = compare(runners, given.seconds, 0.002)
        figures[name] = {peer: value * 1e9 * lanes / given.size for peer, value in seconds.items()}
        rows.append([name, *(figures[name].get(peer) for peer in ("tilewright", "numpy", "torch"))])
    print(table([f"ns for {lanes} floats", "tilewright", "numpy", "torch"], rows))
    write_json(given.json, {"size": given.size, "lanes": lanes, "nanoseconds": figures})


def build(name: str, count: int) -> Kernel:
    """A vectorized loop over the elements."""
    x = te.placeholder((count,), name="x")
    out = te.compute((count,), lambda i: FUNCTIONS[name](x[i]), name="out")
    s = te.create_schedule(out)
    s[out].vectorize(out.op.axis[0])
    return load_kernel(compile_program(Program.from_schedule(s, [x, out]), Target.host()))


def aligned(count: int) -> Any:
    """An array of floats that begins with a line of the caches."""
    memory = np.zeros(count * 4 + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + count * 4].view(np.float32)


def peers(name: str, x: Any, out: Any) -> dict[str, Runner]:
    """The functions of NumPy and, where it is installed, torch, that write into the same array."""
    found: dict[str, Runner] = {}
    if name in ("exp", "log", "tanh", "sin", "cos"):
        function = getattr(np, name)
        found["numpy"] = repeated(lambda: function(x, out=out))
    elif name == "power":
        found["numpy"] = repeated(lambda: np.power(x, np.float32(1.7), out=out))
    if importlib.util.find_spec("torch") is not None:
        found["torch"] = repeated(torch_function(name, x, out))
    return found


def torch_function(name: str, x: Any, out: Any) -> Callable[[], object]:
    """What torch calls the function, on one thread."""
    import torch

    torch.set_num_threads(1)
    source, result = torch.from_numpy(x), torch.from_numpy(out)
    operators = torch.ops.aten
    if name == "power":
        return lambda: torch.pow(source, 1.7, out=result)
    if name in ("gelu", "gelu_tanh"):
        approximate = "tanh" if name == "gelu_tanh" else "none"
        return lambda: operators.gelu.out(source, approximate=approximate, out=result)
    return lambda: getattr(operators, name).out(source, out=result)


def repeated(call: Callable[[], object]) -> Runner:
    """A runner of a Python call."""

    def run(times: int) -> int:
        start = time.perf_counter_ns()
        for _ in range(times):
            call()
        return time.perf_counter_ns() - start

    return run


if __name__ == "__main__":
    main()
