"""Comparing two sources of records: the best of each workload that both know."""

from typing import Any

from tilewright.logs.record import Record
from tilewright.logs.report import describe_best
from tilewright.logs.sources import PathArgument, best_records


def compare(first: PathArgument, second: PathArgument) -> dict[str, Any]:
    """The best of each workload in both, as `{"diff": [...], "only_a": [...], "only_b": [...]}`.

    A row of `diff` is `{"op", "workload", "target", "a": {"seconds", "config"}, "b": ..., "ratio"}`, the
    ratio b's seconds over a's: below 1 b is the faster. Workloads are the same where their whole key is:
    on one kind of CPU with as many threads.

    Raises:
        TilewrightError: a source cannot be read.
    """
    a, b = ({record.key: record for record in best_records(source)} for source in (first, second))
    return {
        "diff": [_row(a[key], b[key]) for key in a if key in b],
        "only_a": [describe_best(record) for key, record in a.items() if key not in b],
        "only_b": [describe_best(record) for key, record in b.items() if key not in a],
    }


def _row(a: Record, b: Record) -> dict[str, Any]:
    assert a.seconds is not None
    assert b.seconds is not None
    about = describe_best(a)
    return {
        "op": about["op"],
        "workload": about["workload"],
        "target": about["target"],
        "a": {"seconds": a.seconds, "config": a.config},
        "b": {"seconds": b.seconds, "config": b.config},
        "ratio": b.seconds / a.seconds,
    }
