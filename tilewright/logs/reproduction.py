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
REFUSED, WRONG, EXHAUSTED = 3, 4, 5
ENDS = {{
    "ok": "ran", "slow": "ran", "invalid": "refused", "compile_error": "refused", "wrong_result": "wrong",
    "compile_timeout": "timeout", "run_timeout": "timeout", "crash": "crash", "out_of_memory": "memory crash",
}}  # fmt: skip


def main():
    """Run the trial in a child, and compare how it ends with what was recorded."""
    if "--here" in sys.argv:
        sys.exit(run_here())
    end, what = watch_child()
    recorded = f"recorded as {{TRIAL['state']}}" + (f": {{TRIAL['error']}}" if TRIAL["error"] else "")
    print(f"{{what}}; {{recorded}}")
    sys.exit(0 if end in ENDS.get(TRIAL["state"], "").split() else 1)


def watch_child():
    """How a child that runs the trial ends, as one word and as a sentence."""
    try:
        status = subprocess.run([sys.executable, __file__, "--here"], timeout=TIMEOUT_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return "timeout", f"it did not end within {{TIMEOUT_SECONDS}} s"
    if status < 0:
        return "crash", f"it was ended by {{signal.Signals(-status).name}}"
    words = {{0: "ran", REFUSED: "refused", WRONG: "wrong", EXHAUSTED: "memory"}}
    return words.get(status, "refused"), {{0: "it ran, and its result is right"}}.get(status, "it failed")


def run_here():
    """Build the configuration, run it with guard pages beside its arrays, and compare with the reference."""
    from tilewright import TilewrightError, build
    from tilewright.deploy import make_task

    limit_memory()
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
    except MemoryError as error:
        print(f"memory is exhausted: {{error}}", file=sys.stderr)
        return EXHAUSTED
    for place in ("start", "end", "malloc"):
        wrong = run_at(place, program, kernel, task.reference)
        if wrong is not None:
            print(wrong, file=sys.stderr)
            return WRONG
    return 0


def limit_memory():
    """Let what exhausted the memory do it again, before the machine swaps."""
    import resource

    from tilewright.measure.outcome import default_limits

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    size_bytes = default_limits(TRIAL["threads"]).address_bytes
    if TRIAL["state"] == "out_of_memory" and hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, hard))


def run_at(place, program, kernel, reference):
    """Run with arrays at a place between guard pages; what is wrong then, or None."""
    import numpy as np

    from tilewright.measure.buffers import allocate, poison
    from tilewright.measure.builder import reduction_length, sum_dtype
    from tilewright.measure.inputs import make_buffers, numpy_dtype
    from tilewright.measure.verify import ReferenceData, verify_outputs

    inputs = make_buffers(program.inputs, place=place)
    outputs = [allocate(tuple(spec.shape), numpy_dtype(spec.dtype), place) for spec in program.outputs]
    for buffer in outputs:
        poison(buffer.array)
    arrays = [buffer.array for buffer in inputs]
    kernel(*arrays, out=tuple(buffer.array for buffer in outputs))
    if reference is None:
        return None
    found = reference(*[array if array.dtype.kind in "iub" else array.astype(np.float64) for array in arrays])
    expected = [np.asarray(value) for value in (found if isinstance(found, (tuple, list)) else [found])]
    data = ReferenceData(tuple(expected), reduction_length(program), sum_dtype(program))
    return verify_outputs([spec.name for spec in program.outputs], outputs, inputs, data)


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
