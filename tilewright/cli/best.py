"""``tilewright best``: the best record of each workload."""

from typing import Any

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.operators import load_template
from tilewright.cli.output import describe_config, describe_workload, print_json, print_table
from tilewright.cli.records import count_operations


def _best(op: str | None, db: str, as_json: bool) -> None:
    from tilewright.logs.report import summarize_best
    from tilewright.logs.store import RecordStore

    name = load_template(op).name if op is not None and ":" in op else op
    with RecordStore(db, read_only=True) as store:
        rows = [_with_speed(row) for row in summarize_best(store, name)]
    if as_json:
        print_json({"best": rows})
        return
    if not rows:
        current_invocation().say(f"{db} has no valid record{f' of {name}' if name else ''}")
        return
    print_table(("workload", "threads", "time", "GFLOP/s", "configuration"), [_cells(row) for row in rows])


def _with_speed(row: dict[str, Any]) -> dict[str, Any]:
    """A summary with its operations a second, null where the template is not known here."""
    operations = count_operations(row["op"], row["workload"])
    gflops = None if operations is None else operations / row["seconds"] / 1e9
    ordered = ("op", "workload", "seconds", "gflops", "config", "index", "target")
    return {name: {**row, "gflops": gflops}[name] for name in ordered}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from tilewright.tuning.tally import describe_time

    return (
        describe_workload(row["op"], row["workload"]),
        str(row["target"]["threads"]),
        describe_time(row["seconds"]),
        "-" if row["gflops"] is None else f"{row['gflops']:.1f}",
        describe_config(row["config"]),
    )


command = Command(
    "best",
    callback=_best,
    params=[click.Argument(["op"], required=False), database_option(), json_option()],
    help="The best record of each workload, of all operators or of OP.",
)
