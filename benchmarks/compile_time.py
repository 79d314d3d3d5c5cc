"""How long a configuration takes to compile: random ones of each operator, from lowering to machine code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from interleave import parser, table, write_json

from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import CodeSizeError, TilewrightError
from tilewright.compiler.target import Target
from tilewright.templates.registry import template_names
from tilewright.templates.task import Task

MEDIAN_MS, MOST_MS = 60.0, 250.0
IMAGE = {"n": 1, "c": 64, "h": 56, "w": 56}
DOUBLE = {"kernel": 4, "stride": 2, "padding": 1}
POOL = {"kernel": 3, "stride": 2, "padding": 1}
MATRIX = {"shape": (128, 1024)}
WORKLOADS: dict[str, dict[str, Any]] = {
    "batch_matmul": {"b": 12, "m": 128, "n": 128, "k": 64},
    "conv2d": {**IMAGE, "o": 64, "kernel": 3, "padding": 1},
    "conv1d": {"n": 1, "c": 64, "w": 1000, "o": 64, "kernel": 3, "padding": 1},
    "conv3d": {**IMAGE, "d": 16, "o": 64, "kernel": 3, "padding": 1},
    "conv1d_transpose": {"n": 1, "c": 64, "w": 1000, "o": 64, **DOUBLE},
    "conv2d_transpose": {**IMAGE, "o": 64, **DOUBLE},
    "conv3d_transpose": {**IMAGE, "d": 16, "o": 64, **DOUBLE},
    "dense": {"m": 128, "n": 3072, "k": 768},
    "depthwise_conv2d": {**IMAGE, "kernel": 3, "padding": 1},
    "matmul": {"m": 512, "n": 512, "k": 512},
    **{
        f"{kind}_pool{rank}d": {"n": 1, "c": 64, **dict.fromkeys("dhw"[3 - rank :], 112), **POOL}
        for kind in ("avg", "max")
        for rank in (1, 2, 3)
    },
    **{
        f"global_avg_pool{rank}d": {"n": 1, "c": 64, **dict.fromkeys("dhw"[3 - rank :], 112)}
        for rank in (1, 2, 3)
    },
    **{f"reduce_{kind}": {**MATRIX, "axis": 0} for kind in ("sum", "mean", "prod", "max", "min")},
    **{f"arg{kind}": {**MATRIX, "axis": 1} for kind in ("max", "min")},
    **dict.fromkeys(("softmax", "log_softmax", "layer_norm", "rms_norm"), MATRIX),
    "elementwise": {"shape": (1000, 1000), "chain": "gelu(x * s + y)", "operands": ("s:1000",)},
    "resize": {**IMAGE, "size": 112},
    "concatenate": {"shape": (64, 1024), "axis": 1, "extents": (256, 768)},
    "pad": {"shape": (64, 56, 56), "padding": (0, 1, 1, 0, 1, 1)},
    "slice": {"shape": (64, 56, 56), "start": (0, 1, 1)},
    "gather": {"shape": (30000, 768), "indices": (128,)},
    "one_hot": {"shape": (128,), "depth": 1000},
    "transpose": {"shape": (1000, 1000)},
    "attention": {"b": 1, "heads": 12, "m": 128, "n": 128, "d": 64},
    "group_norm": {"shape": (1, 64, 56, 56), "groups": 32},
    "batch_norm": {"shape": (1, 64, 56, 56)},
}


@dataclass(slots=True)
class Found:
    """What was found of an operator: milliseconds of each configuration, and how many were refused."""

    op: str
    milliseconds: list[float] = field(default_factory=list)
    too_large: int = 0
    invalid: int = 0

    def percentile(self, share: float) -> float | None:
        """Of the milliseconds."""
        return float(np.percentile(self.milliseconds, share)) if self.milliseconds else None

    @property
    def is_met(self) -> bool:
        """Whether the operator compiles as fast as is demanded."""
        middle, most = self.percentile(50), self.percentile(95)
        return middle is not None and most is not None and middle <= MEDIAN_MS and most <= MOST_MS

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "op": self.op,
            "params": WORKLOADS[self.op],
            "median_ms": self.percentile(50),
            "p95_ms": self.percentile(95),
            "too_large": self.too_large,
            "invalid": self.invalid,
            "is_met": self.is_met,
            "milliseconds": self.milliseconds,
        }


def main() -> int:
    """Compile configurations of each operator, then print the table; 1 where an operator has no workload."""
    options = parser(__doc__)
    options.add_argument("--ops", nargs="+", choices=template_names(), default=template_names(), metavar="OP")
    options.add_argument("--count", type=int, default=100, help="configurations of each operator")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    missing = [op for op in given.ops if op not in WORKLOADS]
    found = []
    for op in given.ops:
        if op in WORKLOADS:
            print(f"{op}: compiling", file=sys.stderr, flush=True)
            found.append(compile_some(op, given.count, given.seed))
    cells: list[list[object]] = [
        [f.op, f.percentile(50), f.percentile(95), len(f.milliseconds), f.too_large, f.invalid,
         "met" if f.is_met else "not met"]
        for f in found
    ]  # fmt: skip
    headings = ["ms", "median", "95th percentile", "compiled", "too large", "invalid"]
    print(table([*headings, f"median {MEDIAN_MS:.0f}, 95th {MOST_MS:.0f}"], cells))
    for op in missing:
        print(f"{op}: no workload is listed for it")
    write_json(given.json, {"count": given.count, "seed": given.seed, "rows": [f.to_json() for f in found]})
    return 1 if missing else 0


def compile_some(op: str, count: int, seed: int) -> Found:
    """Compile random configurations of an operator's workload, one after another."""
    task = Task.create(op, Target.host(), 1, **WORKLOADS[op])
    found = Found(op)
    indices = task.space.sample(count, np.random.default_rng(seed))
    compile_one(task, indices[0], Found(op))  # the first program of all loads LLVM
    for index in indices:
        compile_one(task, index, found)
    return found


def compile_one(task: Task, index: int, found: Found) -> None:
    """Compile one configuration, as a trial does."""
    try:
        program = task.instantiate(task.space.config(index))
        code = compile_program(program, task.target, task.threads)
    except CodeSizeError:
        found.too_large += 1
    except TilewrightError:
        found.invalid += 1
    else:
        found.milliseconds.append((code.lower_seconds + code.codegen_seconds) * 1e3)


if __name__ == "__main__":
    sys.exit(main())
