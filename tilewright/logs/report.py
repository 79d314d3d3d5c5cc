"""Summaries of a store as plain data, for the command line and for JSON."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore

_EXAMPLES = 3


def summarize_best(store: RecordStore, op: str | None = None) -> list[dict[str, Any]]:
    """The best record of each workload, as `{"op", "workload", "seconds", "config", "index", "target"}`."""
    return [describe_best(record) for record in store.iter_best(op)]


def describe_best(record: Record) -> dict[str, Any]:
    """One record as `{"op", "workload", "seconds", "config", "index", "target"}`."""
    return {
        "op": record.workload.op,
        "workload": record.workload.args,
        "seconds": record.seconds,
        "config": record.config,
        "index": record.index,
        "target": {
            "cpu": record.target.cpu,
            "features": record.target.features,
            "threads": record.target.threads,
        },
    }


def summarize_states(store: RecordStore) -> dict[str, Any]:
    """How many trials there are and how they ended.

    As `{"trials", "workloads", "states", "failed", "pruned"}`; the last counts failures that were pruned.
    """
    states = store.states()
    failed = {state: count for state, count in sorted(states.items()) if state not in ("ok", "slow")}
    return {
        "trials": sum(states.values()),
        "workloads": len(store.workload_keys()),
        "states": states,
        "failed": failed,
        "pruned": sum(row["trials"] for row in store.pruned()),
    }


def summarize_failures(store: RecordStore, key: str | None = None) -> list[dict[str, Any]]:
    """The causes of failed trials, pruned ones too, the most frequent first, with a few messages each."""
    counts: Counter[tuple[str, str | None]] = Counter()
    messages: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for state, signal, count, found in _causes(store, key):
        cause = (state, signal)
        counts[cause] += count
        for message in found:
            if message and message not in messages[cause] and len(messages[cause]) < _EXAMPLES:
                messages[cause].append(message)
    return [
        {"state": state, "signal": signal, "count": count, "messages": messages[state, signal]}
        for (state, signal), count in counts.most_common()
    ]


def _causes(store: RecordStore, key: str | None) -> Iterator[tuple[str, str | None, int, list[str]]]:
    """Failures as state, signal, number and messages."""
    for record in store.iter_failures(key):
        yield record.state, record.signal, 1, [record.error or ""]
    for row in store.pruned():
        if key in (None, row["key"]):
            yield row["state"], row["signal"] or None, row["trials"], row["messages"]
