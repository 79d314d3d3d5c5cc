"""What a call and an import cost: a 16 x 16 product against NumPy's, the import against NumPy's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from interleave import compare, operands, parser, table, write_json
from threadpoolctl import threadpool_limits

import tilewright as tw
from tilewright.cli.contest import make_runner
from tilewright.measure.slices import Runner

IMPORTS = ("numpy", "tilewright", "tilewright.deploy")
PROBE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def main() -> None:
    """Calls in turns, then imports in turns, each in a fresh process."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=16)
    options.add_argument("--seconds", type=float, default=3.0, help="of timing calls")
    options.add_argument("--imports", type=int, default=10, help="processes for each import")
    given = options.parse_args()
    calls = time_calls(given.size, given.seconds)
    imports = time_imports(given.imports)
    print(table([f"call, {given.size} x {given.size}", "us"], [[name, s * 1e6] for name, s in calls.items()]))
    print()
    print(table(["import", "ms"], [[name, s * 1e3] for name, s in imports.items()]))
    write_json(given.json, {"call_seconds": calls, "import_seconds": imports})


def time_calls(size: int, seconds: float) -> dict[str, float]:
    """The seconds of one call from Python."""
    a, b, c = operands(size, size, size)
    kernel = tw.build("matmul", m=size, n=size, k=size, threads=1, config="default")
    runners: dict[str, Runner] = {
        "tilewright kernel(a, b)": make_runner(lambda: kernel(a, b)),
        "numpy a @ b": make_runner(lambda: a @ b),
        "tilewright kernel(a, b, out=c)": make_runner(lambda: kernel(a, b, out=c)),
        "numpy matmul(a, b, out=c)": make_runner(lambda: np.matmul(a, b, out=c)),
        "tilewright, inside the kernel": kernel.prepare(a, b).run,
    }
    with threadpool_limits(1):
        return compare(runners, seconds, slice_seconds=0.003)


def time_imports(count: int) -> dict[str, float]:
    """The least seconds of each import, in processes of their own, in turns."""
    best = dict.fromkeys(IMPORTS, float("inf"))
    for _ in range(count):
        for name in IMPORTS:
            command = [sys.executable, "-c", PROBE.format(name)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            best[name] = min(best[name], float(answer.stdout))
    return best


if __name__ == "__main__":
    main()
