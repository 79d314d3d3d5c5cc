"""What the benchmarks share: slices of all contestants taken in turns, tables, and common options.

What disturbs one slice disturbs its neighbours too, so contestants are compared round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tilewright as tw
from tilewright.compiler.kernel import Kernel
from tilewright.measure.slices import Runner, fill_slice

NANOSECOND = 1e-9
FEWEST_ROUNDS = 5
Times = dict[str, npt.NDArray[np.float64]]


def compare(runners: Mapping[str, Runner], seconds: float, slice_seconds: float = 0.01) -> dict[str, float]:
    """The seconds of one call of each, over slices taken in turns for ``seconds`` altogether.

    The first contestant's are the least of its slices; another's are that times the median, over the rounds,
    of its time to the first's. A core's clock may change from round to round, and seldom inside one.
    """
    end = time.perf_counter() + seconds
    times = take_rounds(
        runners, lambda count: count < FEWEST_ROUNDS or time.perf_counter() < end, slice_seconds
    )
    first = times[next(iter(runners))]
    return {name: float(first.min() * np.median(found / first)) for name, found in times.items()}


def take_rounds(
    runners: Mapping[str, Runner], goes_on: Callable[[int], bool], slice_seconds: float = 0.01
) -> Times:
    """The seconds of one call of each contestant in each round, while it ``goes_on`` after so many rounds.

    A round is one slice of each, in an order that changes from round to round. A call that is not timed
    goes before a slice of several, so that the caches are the contestant's.
    """
    repeats = {name: _calls(run, slice_seconds) for name, run in runners.items()}
    samples: dict[str, list[float]] = {name: [] for name in runners}
    names = list(runners)
    order = np.random.default_rng(0)
    rounds = 0
    while goes_on(rounds):
        for place in order.permutation(len(names)):
            name = names[place]
            if repeats[name] > 1:
                runners[name](1)
            samples[name].append(runners[name](repeats[name]) * NANOSECOND / repeats[name])
        rounds += 1
    return {name: np.array(found) for name, found in samples.items()}


def _calls(run: Runner, slice_seconds: float) -> int:
    run(1)  # the first call of all may load or compile
    return fill_slice(run, slice_seconds)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and all that it starts, on one core; elsewhere than on Linux this does nothing."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    granted = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(granted)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, granted)


def kernel_runner(kernel: Kernel, arrays: Sequence[Any]) -> Runner:
    """A runner of a kernel with its arguments in place, its constants bound."""
    return kernel.prepare(*arrays).run


def tune_and_build(op: str, params: Mapping[str, Any], trials: int, db: Path) -> dict[str, Kernel]:
    """An operator on one thread, ``default`` and ``tuned``."""
    default = tw.build(op, threads=1, config="default", **params)
    tw.tune(op, trials=trials, threads=1, db=db, **params)
    with tw.apply_best(db):
        return {"default": default, "tuned": tw.build(op, threads=1, **params)}


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
