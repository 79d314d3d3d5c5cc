"""``tilewright log diff``: the best of two databases or logs side by side."""

from typing import Any

import click

from tilewright.cli.commands import Command, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.output import describe_workload, print_json, print_table


def _diff(a: str, b: str, as_json: bool) -> None:
    from tilewright.logs.comparison import compare

    report = compare(a, b)
    if as_json:
        print_json(report)
        return
    if report["diff"]:
        print_table(("workload", "threads", a, b, "ratio"), [_cells(row) for row in report["diff"]])
    for name, only in ((a, report["only_a"]), (b, report["only_b"])):
        if only:
            current_invocation().say(f"only in {name}: {len(only)} workloads")
    if not report["diff"]:
        current_invocation().say(f"{a} and {b} have no workload in common")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from tilewright.tuning.tally import describe_time

    return (
        describe_workload(row["op"], row["workload"]),
        str(row["target"]["threads"]),
        describe_time(row["a"]["seconds"]),
        describe_time(row["b"]["seconds"]),
        f"{row['ratio']:.3f}",
    )


command = Command(
    "diff",
    callback=_diff,
    params=[click.Argument(["a"]), click.Argument(["b"]), json_option()],
    help="The best of each workload in A and in B, databases or logs; the ratio is B's time over A's.",
)
