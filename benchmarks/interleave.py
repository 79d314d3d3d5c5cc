"""Comparing speeds side by side: slices of all candidates in turns, compared round by round."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.compiler.kernel import Kernel

Runner = Callable[[int], int]  # calls to make -> nanoseconds that they took
NANOSECOND = 1e-9


def compare(runners: Mapping[str, Runner], seconds: float, slice_seconds: float = 0.01) -> dict[str, float]:
    """The seconds of one call of each, over slices taken in turns for ``seconds`` altogether.

    The first candidate's are the least of its slices; another's are that times the median, over the rounds,
    of its time to the first's. A core's clock may change from round to round, and seldom inside one.
    """
    repeats = {name: calls_per_slice(run, slice_seconds) for name, run in runners.items()}
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 5 or time.perf_counter() < end:
        rounds.append([run(repeats[name]) * NANOSECOND / repeats[name] for name, run in runners.items()])
    samples = np.array(rounds)
    ratios = np.median(samples / samples[:, :1], axis=0)
    return dict(zip(runners, (samples[:, 0].min() * ratios).tolist(), strict=True))


def calls_per_slice(run: Runner, slice_seconds: float) -> int:
    """The calls that take about ``slice_seconds``."""
    run(1)
    repeats = 1
    while True:
        nanoseconds = max(1, run(repeats))
        wanted = repeats * slice_seconds / (nanoseconds * NANOSECOND)
        if wanted < 2 * repeats:
            return max(1, round(wanted))
        repeats = int(min(wanted, 10 * repeats))


def repeat(call: Callable[[], object]) -> Runner:
    """A runner of a Python call."""

    def run(repeats: int) -> int:
        start = time.perf_counter_ns()
        for _ in range(repeats):
            call()
        return time.perf_counter_ns() - start

    return run


def kernel_runner(kernel: Kernel, arrays: Sequence[Any]) -> Runner:
    """A runner of a kernel with its arguments in place."""
    return kernel.prepare(*arrays).run


def operands(m: int, n: int, k: int, dtype: str = "float32") -> tuple[Any, Any, Any]:
    """Two matrices of random numbers, and room for their product; all written."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    return a.astype(dtype), b.astype(dtype), np.ones((m, n), dtype)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns that line up, numbers to the right."""
    cells = [list(headings), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = []
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]))
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return "-" if value is None else str(value)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return made


def write_json(path: Path | None, figures: object) -> None:
    """Write the figures where a file was named."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
