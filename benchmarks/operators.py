"""Operators on one thread: what limits them, other libraries, Tilewright untuned and tuned, side by side.

GFLOP/s, of what does no arithmetic GB/s, are medians over rounds in which all contestants take turns on one
core, each called from Python. A library runs its fastest form; the limit is a loop that multiplies and adds
in registers (peak), or one that reads as many bytes as the row has operands, over and over (bandwidth). In
brackets is the 95 % interval of the median.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demands import check_demands
from interleave import parser, table, write_json
from libraries.form import Maker
from libraries.registry import LIBRARIES, open_libraries
from row_measurement import Measured, Plan, WrongResultError, measure_row
from rows import ROWS, Row, accuracy_rows

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.templates.registry import find_template


def main() -> int:
    """Measure the rows, one after another, then print the table; 1 where a row or a library failed."""
    given = read_options()
    accuracy = None if given.accuracy is None else read_accuracy(given.accuracy)
    rows = [*ROWS, *(() if accuracy is None else accuracy_rows(given.accuracy))]
    chosen = [row for row in rows if not given.rows or any(text in row.name for text in given.rows)]
    measured, errors = [], {}
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(given.trials, given.db or Path(folder) / "tune.db", given.rounds)
        with open_libraries(given.against) as makers:
            for row in chosen:
                extra = {"accuracy": accuracy} if row.kind == "accuracy" else {}
                found = try_row(row, makers, plan, extra)
                if isinstance(found, Measured):
                    measured.append(found)
                else:
                    errors[row.name] = found
    demands = check_demands(measured, [row for row in chosen if row.name in errors])
    failed = [f"{e.row.name}: {name} failed: {why}" for e in measured for name, why in e.failed.items()]
    failed += [f"{name} failed: {why}" for name, why in errors.items()]
    figures = {
        "target": Target.host().cpu,
        "libraries": {name: LIBRARIES[name].version for name in given.against},
        "trials": given.trials,
        "rounds": given.rounds,
        "threads": 1,
        "rows": [entry.to_json() for entry in measured],
        "failed": errors,
        "demands": [demand.to_json() for demand in demands],
    }
    write_json(given.json, figures)
    print(report(measured, given.against))
    print("\n".join(["", *map(str, demands), *failed]))
    return 1 if failed else 0


def read_options() -> argparse.Namespace:
    """The options; libraries that were asked for are installed."""
    installed = [name for name, library in LIBRARIES.items() if library.obstacle is None]
    options = parser(__doc__)
    options.add_argument("--rows", nargs="+", metavar="TEXT", help="rows that contain TEXT")
    options.add_argument(
        "--against",
        nargs="*",
        choices=LIBRARIES,
        default=installed,
        metavar="LIBRARY",
        help=f"of {', '.join(LIBRARIES)}; by default those that are installed",
    )
    options.add_argument("--trials", type=int, default=64, help="for each row")
    options.add_argument("--rounds", type=int, default=21, help="of timing for each row")
    options.add_argument("--accuracy", metavar="A", help="time 3x3 convolutions with accuracy=A too")
    options.add_argument("--db", type=Path, help="where trials are kept; by default they are not")
    given = options.parse_args()
    for name in given.against:
        obstacle = LIBRARIES[name].obstacle
        if obstacle is not None:
            options.error(f"--against {name}: {obstacle}")
    return given


def read_accuracy(text: str) -> object:
    """The value that conv2d takes for these words; the words themselves where it has no such parameter."""
    template = find_template("conv2d")
    for parameter in template.parameters:
        if parameter.name == "accuracy":
            return parameter.parse(text, "--accuracy")
    return text


def try_row(row: Row, makers: Mapping[str, Maker], plan: Plan, extra: Mapping[str, Any]) -> Measured | str:
    """What was found, or why nothing was."""
    print(f"{row.name}: tuning and timing", file=sys.stderr, flush=True)
    try:
        found = measure_row(row, makers, plan, extra)
    except (TilewrightError, WrongResultError) as error:
        print(f"{row.name}: {error}", file=sys.stderr, flush=True)
        return f"{type(error).__name__}: {error}"
    print(f"{row.name}: {found.speed('tuned'):.4g}", file=sys.stderr, flush=True)
    for name, why in found.failed.items():
        print(f"{row.name}: {name} failed: {why}", file=sys.stderr, flush=True)
    return found


def report(measured: Sequence[Measured], libraries: Sequence[str]) -> str:
    """One line a row."""
    contestants = (*libraries, "default", "tuned")
    headings = [
        "GFLOP/s or GB/s",
        "limit",
        "by",
        *contestants,
        "best library",
        "tuned/best",
        "tuned/limit",
        "default/tuned",
    ]
    has_cold = any(entry.cold for entry in measured)
    return table(
        [*headings, *(["tuned/best, cold"] if has_cold else [])],
        [[*cells(entry, contestants), *([entry.cold_to_best] if has_cold else [])] for entry in measured],
    )


def cells(entry: Measured, contestants: Sequence[str]) -> list[object]:
    """The line of a row."""
    row = entry.row
    speeds = ["failed" if name in entry.failed else entry.speed(name) for name in contestants]
    limit, default = entry.ratio("tuned", row.limit), entry.ratio("default", "tuned")
    return [
        row.name,
        entry.speed(row.limit),
        row.limit,
        *speeds,
        entry.best,
        entry.to_best,
        f"{limit.median:.3f}",
        f"{default.median:.3f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
