"""Summaries of a store as plain data, for the command line and for JSON."""

from collections import Counter, defaultdict
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
    """How many trials there are and how they ended, as `{"trials", "workloads", "states", "failed"}`."""
    states = store.states()
    failed = {state: count for state, count in sorted(states.items()) if state not in ("ok", "slow")}
    workloads = len({record.key for record in store.iter_trials()})
    return {"trials": sum(states.values()), "workloads": workloads, "states": states, "failed": failed}


def summarize_failures(store: RecordStore, key: str | None = None) -> list[dict[str, Any]]:
    """The causes of failed trials, the most frequent first, with a few messages each."""
    counts: Counter[tuple[str, str | None]] = Counter()
    messages: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for record in store.iter_trials() if key is None else store.trials(key):
        if record.state in ("ok", "slow"):
            continue
        cause = (record.state, record.signal)
        counts[cause] += 1
        message = record.error or ""
        if message and message not in messages[cause] and len(messages[cause]) < _EXAMPLES:
            messages[cause].append(message)
    return [
        {"state": state, "signal": signal, "count": count, "messages": messages[state, signal]}
        for (state, signal), count in counts.most_common()
    ]
