"""The command line, which gets Ctrl-C at a moment that its argument chooses.

python -m tests.faults.stopping PHASE [SIGNAL]

Tunes into tune.db. When a trial enters the phase, `compiling` or `timing`, for the third time, SIGINT comes,
or another signal.
The phase `hanging` is that of a kernel that never ends; it is told on standard output, and SIGINT is left to
who started this. The last line on standard error says how many trials were stored, and how many seconds after
the last of them the program was through.
"""

import os
import signal
import sys
import time
from typing import Any

from tests.faults.crashing import QuickMeasurer
from tilewright.cli.application import run
from tilewright.measure.pool import WorkerPool
from tilewright.tuning import workers
from tilewright.tuning.run import Run

OCCASION = 3
TRIALS = 16
OPERATOR = "tests/faults/crashing.py:crashing"


def main(phase: str, signal_name: str = "SIGINT") -> int:
    """Tune; the exit status."""
    is_hanging = phase == "hanging"
    phases, stored = [], [0.0]
    enter, store = WorkerPool._enter_phase, Run.store

    def enter_and_tell(pool: WorkerPool, handle: Any, message: Any) -> None:
        enter(pool, handle, message)
        phases.append(message.name)
        if not is_hanging and message.name == phase and phases.count(phase) == OCCASION:
            os.kill(os.getpid(), signal.Signals[signal_name])
        if is_hanging and phases.count("verifying") == OCCASION:
            print("hanging", flush=True)

    def store_and_note(run: Run, *arguments: Any) -> Any:
        record = store(run, *arguments)
        stored.append(time.monotonic())
        return record

    WorkerPool._enter_phase = enter_and_tell  # type: ignore[method-assign,assignment]
    Run.store = store_and_note  # type: ignore[method-assign,assignment]
    workers.Measurer = QuickMeasurer  # type: ignore[attr-defined]
    ends = ["right"] * (OCCASION - 1) + ["forever" if is_hanging else "right"] * (TRIALS - OCCASION + 1)
    workload = ("--n", "4000", "--ends", ",".join(ends), "--threads", "1")
    status = run(["tune", OPERATOR, *workload, "--trials", str(TRIALS), "--tuner", "grid"])
    print(len(stored) - 1, time.monotonic() - stored[-1], file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
