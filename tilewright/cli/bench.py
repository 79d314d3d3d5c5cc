"""``tilewright bench``: time an operator beside its untuned default and other libraries."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import database_option, json_option, threads_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.operators import OperatorGroup
from tilewright.cli.output import describe_workload, print_json, print_table
from tilewright.cli.records import apply_records

if TYPE_CHECKING:
    from tilewright.cli.peers import Arrays, Call
    from tilewright.compiler.kernel import Kernel
    from tilewright.templates.task import Task
    from tilewright.templates.template import Template

OURS, DEFAULT = "tilewright", "tilewright_default"


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--against"],
            metavar="PEER,...",
            callback=_read_peers,
            help="Libraries to compare with: numpy, torch; by default those that are installed.",
        ),
        threads_option(),
        database_option(),
        json_option(),
    ]


def _read_peers(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    return list(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))


def _bench(
    template: "Template",
    params: dict[str, Any],
    against: list[str] | None,
    threads: int | None,
    db: str,
    as_json: bool,
) -> None:
    from tilewright.cli.contest import time_in_turns
    from tilewright.cli.peers import limit_threads
    from tilewright.compiler.target import Target
    from tilewright.deploy import make_task
    from tilewright.tuning.history import operations

    task = make_task(template, Target.host(), threads, params)
    calls, arrays = _prepare_kernels(template, task, params, db)
    peers = _prepare_peers(task, arrays, against)
    with limit_threads(list(peers), task.threads):
        seconds = time_in_turns({**calls, **peers})
    flops = operations(task)
    _print(task, seconds, {name: flops / time / 1e9 for name, time in seconds.items()}, as_json)


def _prepare_kernels(
    template: "Template", task: "Task", params: dict[str, Any], db: str
) -> tuple[dict[str, "Call"], "Arrays"]:
    """Our kernels as calls, and the arrays on which all run."""
    from tilewright.deploy import build, explain
    from tilewright.measure.inputs import make_inputs

    with apply_records(db) or contextlib.nullcontext():
        best = build(template, threads=task.threads, **params)
    current_invocation().say(str(explain()[-1]))
    default = build(template, threads=task.threads, config="default", **params)
    arrays = make_inputs(best.inputs)
    return {OURS: _make_call(best, arrays), DEFAULT: _make_call(default, arrays)}, arrays


def _make_call(kernel: "Kernel", arrays: "Arrays") -> "Call":
    """The kernel on its arrays, the constant ones bound as a user binds them."""
    if not kernel.constants:
        return lambda: kernel(*arrays)
    bound, others = kernel.bind_among(arrays)
    return lambda: bound(*others)


def _prepare_peers(task: "Task", arrays: "Arrays", names: Sequence[str] | None) -> dict[str, "Call"]:
    """The peers that can take part; each of the others is warned of, if it was asked for."""
    from tilewright.cli.peers import PEERS, PeerError, prepare_peer

    found: dict[str, Call] = {}
    for name in PEERS if names is None else names:
        try:
            call = prepare_peer(name, task, arrays)
            call()
        except PeerError as error:
            if names is not None:
                current_invocation().warn(str(error))
            continue
        except Exception as error:
            current_invocation().warn(f"{name} fails: {type(error).__name__}: {error}")
            continue
        found[name] = call
    return found


def _print(task: "Task", seconds: dict[str, float], gflops: dict[str, float], as_json: bool) -> None:
    from tilewright.tuning.tally import describe_time

    op, arguments = task.workload.op, task.workload.args
    if as_json:
        print_json({"op": op, "workload": arguments, "seconds": seconds, "gflops": gflops})
        return
    click.echo(f"{describe_workload(op, arguments)}, threads: {task.threads}")
    unit, speeds = ("GFLOP/s", gflops) if any(gflops.values()) else ("GB/s", _bandwidths(task, seconds))
    rows = [
        (name, describe_time(time), f"{speeds[name]:.1f}", f"{time / seconds[OURS]:.2f}")
        for name, time in seconds.items()
    ]
    print_table(("", "time", unit, "time / ours"), rows)


def _bandwidths(task: "Task", seconds: dict[str, float]) -> dict[str, float]:
    """How fast operands are read and written: the speed of what does no arithmetic."""
    from tilewright.tuning.reference import operand_bytes

    size = operand_bytes(task.instantiate(task.default_config))
    return {name: size / time / 1e9 for name, time in seconds.items()}


command = OperatorGroup(
    "bench", "Time an operator beside its untuned default and other libraries.", _bench, _options
)
