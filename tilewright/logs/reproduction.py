"""A script that does a trial again. What a record says stands in it as literals, never as code."""

import pprint

from tilewright.logs.errors import RecordError
from tilewright.logs.record import Record

_WIDTH = 100

_SCRIPT = '''\
"""Does a trial again: builds its configuration and runs it in a child process.

    python SCRIPT          tells how it ends; exit status 0 where that is as recorded, else 1
    python SCRIPT --here   builds and runs it in this process, for a debugger
"""

import signal
import subprocess
import sys

TRIAL = {trial}

TIMEOUT_SECONDS = 60
REFUSED, WRONG = 3, 4
ENDS = {{
    "ok": "ran", "slow": "ran", "invalid": "refused", "compile_error": "refused", "wrong_result": "wrong",
    "compile_timeout": "timeout", "run_timeout": "timeout", "crash": "crash", "out_of_memory": "crash",
}}  # fmt: skip


def main():
    """Run the trial in a child, and compare how it ends with what was recorded."""
    if "--here" in sys.argv:
        sys.exit(run_here())
    end, what = watch_child()
    recorded = f"recorded as {{TRIAL['state']}}" + (f": {{TRIAL['error']}}" if TRIAL["error"] else "")
    print(f"{{what}}; {{recorded}}")
    sys.exit(0 if end == ENDS.get(TRIAL["state"]) else 1)


def watch_child():
    """How a child that runs the trial ends, as one word and as a sentence."""
    try:
        status = subprocess.run([sys.executable, __file__, "--here"], timeout=TIMEOUT_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return "timeout", f"it did not end within {{TIMEOUT_SECONDS}} s"
    if status < 0:
        return "crash", f"it was ended by {{signal.Signals(-status).name}}"
    words = {{0: "ran", REFUSED: "refused", WRONG: "wrong"}}
    return words.get(status, "refused"), {{0: "it ran, and its result is right"}}.get(status, "it failed")


def run_here():
    """Build the configuration, run it once and compare the result with the reference."""
    import numpy as np

    from tilewright import TilewrightError, build
    from tilewright.deploy import make_task
    from tilewright.measure.builder import reduction_length, sum_dtype
    from tilewright.measure.inputs import make_inputs
    from tilewright.measure.verify import describe_mismatch

    try:
        task = make_task(TRIAL["op"], None, TRIAL["threads"], TRIAL["args"])
        if (task.target.cpu, task.target.feature_hash) != (TRIAL["cpu"], TRIAL["features"]):
            print(f"recorded on {{TRIAL['cpu']}}, this is {{task.target.cpu}}", file=sys.stderr)
        if task.template_hash != TRIAL["source"]:
            print("the template was another one when this was recorded", file=sys.stderr)
        program = task.instantiate(task.space.from_values(TRIAL["config"]))
        kernel = build(TRIAL["op"], threads=TRIAL["threads"], config=TRIAL["config"], **TRIAL["args"])
    except TilewrightError as error:
        print(error, file=sys.stderr)
        return REFUSED
    inputs = make_inputs(program.inputs)
    found = kernel(*inputs)
    if task.reference is None:
        return 0
    wide = [array if array.dtype.kind in "iub" else array.astype(np.float64) for array in inputs]
    results = (found, task.reference(*wide))
    pairs = [value if isinstance(value, (tuple, list)) else [value] for value in results]
    about = (reduction_length(program), sum_dtype(program))
    for spec, output, expected in zip(program.outputs, *pairs):
        wrong = describe_mismatch(spec.name, np.asarray(output), np.asarray(expected), *about)
        if wrong is not None:
            print(wrong, file=sys.stderr)
            return WRONG
    return 0


if __name__ == "__main__":
    main()
'''


def write_script(record: Record, op: str | None = None) -> str:
    """The script that does a trial again.

    Args:
        record: of the trial.
        op: ``"file.py:name"`` of its template, where that is not one of the package's.

    Raises:
        RecordError: the trial is another program's, or its template is not known.
    """
    from tilewright.templates.registry import OPERATORS

    if record.origin is not None:
        raise RecordError(f"trial {record.id} was made by another program ({record.origin.format})")
    if op is None and record.workload.op not in OPERATORS:
        raise RecordError(
            f"trial {record.id} is of the template {record.workload.op!r}, which is not one of the package's:"
            " say where it is, as --op FILE.py:NAME"
        )
    trial = {
        "id": record.id,
        "op": op or record.workload.op,
        "args": record.workload.args,
        "threads": record.target.threads,
        "config": record.config,
        "state": record.state,
        "signal": record.signal,
        "error": record.error,
        "cpu": record.target.cpu,
        "features": record.target.features,
        "source": record.template.source,
        "versions": record.versions,
        "at": record.at.isoformat(),
    }
    return _SCRIPT.format(trial=pprint.pformat(trial, width=_WIDTH, sort_dicts=False))
