"""`autotvm.callback`: what looks on while a tuner works."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from tilewright.logs.formats.lines import append_lines
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.record import encode
from tilewright.tvm.autotvm.tuner.monitor import Monitor, score

if TYPE_CHECKING:
    from tilewright.tvm.autotvm.database import Database
    from tilewright.tvm.autotvm.tuner.tuner import Tuner

Callback = Callable[["Tuner", Sequence[MeasureInput], Sequence[MeasureResult]], None]
_SCALES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def log_to_file(file_out: str | os.PathLike[str] | IO[str], protocol: str = "json") -> Callback:
    """Append every trial to a log, a path or an open file."""

    def log(tuner: "Tuner", inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]) -> None:
        lines = [encode(*pair, protocol) for pair in zip(inputs, results, strict=True)]
        if isinstance(file_out, str | os.PathLike):
            append_lines(lines, file_out)
        else:
            file_out.write("".join(line + "\n" for line in lines))
            file_out.flush()

    return log


def log_to_database(db: "Database") -> Callback:
    """Store every trial."""

    def log(tuner: "Tuner", inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]) -> None:
        for inp, result in zip(inputs, results, strict=True):
            db.save(inp, result)

    return log


def progress_bar(total: int, prefix: str = "", si_prefix: str = "G") -> Callback:
    """Show the current and the best speed and the progress, in one line of standard error."""
    scale, started, done = _SCALES[si_prefix.upper()], time.monotonic(), 0

    def show(tuner: "Tuner", inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]) -> None:
        nonlocal done
        done += len(results)
        current = max((score(*pair) for pair in zip(inputs, results, strict=True)), default=0.0)
        speeds = f"Current/Best: {current / scale:7.2f}/{tuner.best_flops / scale:7.2f} {si_prefix}FLOPS"
        elapsed = time.monotonic() - started
        sys.stderr.write(f"\r{prefix} {speeds} | Progress: ({done}/{total}) | {elapsed:.2f} s")
        sys.stderr.write(" Done.\n" if done >= total else "")
        sys.stderr.flush()

    return show


__all__ = ["Monitor", "log_to_database", "log_to_file", "progress_bar"]
