"""What ships when busy processes come and go: a known space, tuned by Tilewright and by a plain harness.

First the candidates are timed in turns without noise, which gives the quiet winner. Then each run starts
four busy processes on two cores, which work and rest at random, and both harnesses choose among the same
candidates: ours with its reference loop and play-off; the plain one by the mean of ten samples of 10 ms. What
counts is how the choice did in the quiet.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, take_rounds, write_json

import tilewright as tw
from tilewright.compiler.errors import TilewrightError
from tilewright.deploy import make_task
from tilewright.measure.slices import Runner, fill_slice

OP = "matmul"
WITHIN = 0.05
NEIGHBOURS, CORES = 4, 2
SAMPLES, SAMPLE_SECONDS = 10, 0.01
SCREENED, STEP = 5, 0.015
SCREENING_ROUNDS, SCREENING_SECONDS = 5, 0.004
# Works and rests for a tenth of a second to two seconds at a time, as long as who started it is there.
NEIGHBOUR = """
import os, random, sys, time
seed, core, parent = map(int, sys.argv[1:])
chance = random.Random(seed)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    end = time.monotonic() + chance.uniform(0.1, 2.0)
    while time.monotonic() < end:
        sum(range(1000))
    time.sleep(chance.uniform(0.1, 2.0))
"""


@dataclass(frozen=True)
class Outcome:
    """One run: by how much each choice is slower than the quiet winner, and how long choosing took."""

    ours: float
    plain: float
    ours_seconds: float
    plain_seconds: float


def main() -> None:
    """Find the quiet winner, then tune with noise, again and again."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=256, help="of the square matrices")
    options.add_argument("--candidates", type=int, default=24)
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--quiet-seconds", type=float, default=12.0, help="to find the quiet winner")
    given = options.parse_args()
    runners = known_space(given.size, given.candidates, given.seed)
    quiet = compare({str(index): run for index, run in runners.items()}, given.quiet_seconds)
    ratios = {index: quiet[str(index)] / min(quiet.values()) for index in runners}
    good = sum(ratio <= 1 + WITHIN for ratio in ratios.values())
    print(f"{len(ratios)} candidates, {good} of them within {WITHIN:.0%} of the best in the quiet")
    outcomes = []
    for number in range(given.runs):
        outcomes.append(found := run_once(given.size, runners, ratios, given.seed + number))
        print(f"run {number}: tilewright {found.ours:.1%}, plain {found.plain:.1%} off", flush=True)
    print(report(outcomes))
    write_json(given.json, {"ratios": ratios, "runs": [asdict(outcome) for outcome in outcomes]})


def known_space(size: int, count: int, seed: int) -> dict[int, Runner]:
    """The default and random configurations, each a step slower than the one before, by index."""
    task = make_task(OP, None, 1, {"m": size, "n": size, "k": size})
    a, b, c = operands(size, size, size)
    chosen = task.space.sample(SCREENED * count, np.random.default_rng(seed), {task.default_config.index})
    runners: dict[str, Runner] = {}
    for index in (task.default_config.index, *map(int, chosen)):
        with contextlib.suppress(TilewrightError):  # too large to be compiled
            kernel = tw.build(OP, threads=1, config=index, m=size, n=size, k=size)
            runners[str(index)] = kernel_runner(kernel, (a, b, c)[: len(kernel.inputs)])
    times = take_rounds(runners, lambda rounds: rounds < SCREENING_ROUNDS, SCREENING_SECONDS)
    default, *others = runners
    kept, reached = [default], 0.0
    for name in sorted(others, key=lambda name: float(times[name].min())):
        if times[name].min() >= reached and len(kept) < count:
            kept.append(name)
            reached = (1 + STEP) * float(times[name].min())
    return {int(name): runners[name] for name in kept}


def run_once(size: int, runners: dict[int, Runner], ratios: dict[int, float], seed: int) -> Outcome:
    """Both harnesses among the same neighbours, one after the other."""
    with neighbours(seed):
        start = time.monotonic()
        ours = choose(size, list(runners))
        between = time.monotonic()
        plain = choose_plainly(runners)
        end = time.monotonic()
    return Outcome(ratios[ours] - 1, ratios[plain] - 1, between - start, end - between)


@contextlib.contextmanager
def neighbours(seed: int) -> Iterator[None]:
    """Four busy processes that come and go on two cores."""
    cores = sorted(os.sched_getaffinity(0))[:CORES] if hasattr(os, "sched_getaffinity") else [0]
    started = []
    try:
        for number in range(NEIGHBOURS):
            words = [NEIGHBOURS * seed + number, cores[number % len(cores)], os.getpid()]
            started.append(subprocess.Popen([sys.executable, "-c", NEIGHBOUR, *map(str, words)]))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def choose(size: int, indices: Sequence[int]) -> int:
    """What ships when Tilewright has measured the candidates: the winner of its play-off."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "noise.db"
        with tw.Session(OP, threads=1, db=database, m=size, n=size, k=size) as session:
            session.measure_all(indices)
            result = session.finish()
    assert result.best is not None
    return result.best.index


def choose_plainly(runners: dict[int, Runner]) -> int:
    """The candidate with the lowest mean of its samples, each calibrated to ten milliseconds."""
    means = {}
    for index, run in runners.items():
        run(1)
        calls = fill_slice(run, SAMPLE_SECONDS)
        means[index] = mean(run(calls) / calls for _ in range(SAMPLES))
    return min(means, key=lambda index: means[index])


def report(outcomes: Sequence[Outcome]) -> str:
    """The share of runs whose choice is good enough, and how far the choices are from the quiet winner."""
    rows = []
    for name, losses, seconds in (
        ("tilewright", [o.ours for o in outcomes], [o.ours_seconds for o in outcomes]),
        ("mean of samples", [o.plain for o in outcomes], [o.plain_seconds for o in outcomes]),
    ):
        good = sum(loss <= WITHIN for loss in losses)
        row = (
            f"{good} of {len(losses)}",
            f"{median(losses):.1%}",
            f"{max(losses):.1%}",
            f"{mean(seconds):.1f}",
        )
        rows.append((name, *row))
    return table(
        (f"within {WITHIN:.0%} of the quiet winner", "runs", "median", "worst", "seconds a run"), rows
    )


if __name__ == "__main__":
    main()
