"""What more threads gain: each row that arithmetic limits on one thread and on several, in turns, untuned.

Beside it stands what the machine itself gains: the loop that measures a core's peak, on as many at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from comparison import Ratio, speed_ratio
from interleave import kernel_runner, parser, table, take_rounds, write_json
from rows import ROWS, Row

import tilewright as tw
from tilewright.compiler.peak import reference_loop
from tilewright.measure.inputs import make_inputs
from tilewright.measure.slices import Runner

# Of the threads that a row must gain, such as 1.7 of two.
WANTED = 0.85


def main() -> int:
    """Time every row."""
    options = parser(__doc__)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=15, help="of timing for each row")
    options.add_argument("--rows", nargs="+", metavar="TEXT", help="only rows whose name has one of these")
    given = options.parse_args()
    gains = {"(the machine)": machine_gain(given.threads, given.rounds)}
    print(f"the machine: {gains['(the machine)']}", file=sys.stderr, flush=True)
    for row in chosen(given.rows):
        gains[row.name] = row_gain(row, given.threads, given.rounds)
        print(f"{row.name}: {gains[row.name]}", file=sys.stderr, flush=True)
    wanted = WANTED * given.threads
    rows = [[name, f"{gain}", "met" if gain.reaches(wanted) else "not met"] for name, gain in gains.items()]
    print(table(["row", f"{given.threads} threads to 1", f"{wanted:.2f}"], rows))
    figures = {name: gain.to_json() for name, gain in gains.items()}
    write_json(given.json, {"threads": given.threads, "wanted": wanted, "gains": figures})
    return 0


def chosen(names: Sequence[str] | None) -> list[Row]:
    """The rows that arithmetic limits, those of some names."""
    limited = [row for row in ROWS if row.limit == "peak" and row.kind != "depthwise"]
    return limited if names is None else [row for row in limited if any(name in row.name for name in names)]


def row_gain(row: Row, threads: int, rounds: int) -> Ratio:
    """How much faster a row is on so many threads."""
    kernels = {n: tw.build(row.op, threads=n, config="default", **row.params) for n in (1, threads)}
    arrays = make_inputs(kernels[1].inputs)
    runners = {str(n): kernel_runner(kernel, arrays) for n, kernel in kernels.items()}
    times = take_rounds(runners, lambda count: count < rounds)
    return speed_ratio(times[str(threads)], times["1"])


def machine_gain(threads: int, rounds: int) -> Ratio:
    """How much more arithmetic so many cores do at once than one."""
    loops = [reference_loop("compute") for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def all_at_once(repeats: int) -> int:
            times: list[int] = list(pool.map(lambda loop: loop.run(repeats), loops))
            return max(times)

        runners: dict[str, Runner] = {"one": loops[0].run, "all": all_at_once}
        times = take_rounds(runners, lambda count: count < rounds)
    return speed_ratio(times["all"] / threads, times["one"])


if __name__ == "__main__":
    sys.exit(main())
