"""Pruning: the best trials of each workload stay, and of the rest a summary of the failures."""

from collections import Counter, defaultdict
from typing import TypedDict

import msgspec
from sqlalchemy import bindparam, delete, insert
from sqlalchemy.engine import Connection

from tilewright.logs.errors import DatabaseError
from tilewright.logs.record import Record
from tilewright.logs.schema import pruned, trials
from tilewright.logs.store import RecordStore

_MESSAGES = 3

_Cause = tuple[str, str]


class PruneReport(TypedDict):
    """What pruning removed, or would remove, and what stays."""

    removed: int
    kept: int
    workloads: int


def prune(store: RecordStore, keep: int, *, dry: bool = False) -> PruneReport:
    """Remove all trials but the `keep` best of each workload and those that its play-offs name.

    Each workload is one transaction, in which the failures that go are counted by cause, with a few messages.

    Args:
        store: to prune.
        keep: valid trials that stay of each workload; at least 1.
        dry: only count.

    Raises:
        DatabaseError: `keep` is less than 1, or the store cannot be written.
    """
    if keep < 1:
        raise DatabaseError(f"prune: keep at least 1 trial of each workload, not {keep}")
    report = PruneReport(removed=0, kept=0, workloads=0)
    for key in store.workload_keys():
        doomed = _doomed(store, key, keep)
        report["workloads"] += 1
        report["removed"] += len(doomed)
        report["kept"] += store.count(key) - len(doomed)
        if doomed and not dry:
            _remove(store, key, doomed)
    if report["removed"] and not dry:
        store.compact()
    return report


def _doomed(store: RecordStore, key: str, keep: int) -> list[Record]:
    kept = {record.id for record in store.best_trials(key, keep)}
    configs = {record.config_hash for record in store.playoffs(key)}
    records = store.trials(key)
    return [r for r in records if r.id not in kept and not (r.state == "ok" and r.config_hash in configs)]


def _remove(store: RecordStore, key: str, doomed: list[Record]) -> None:
    place = (
        trials.c.key == key,
        trials.c.config_hash == bindparam("of"),
        trials.c.attempt == bindparam("nr"),
    )
    with store.transaction() as connection:
        _count(connection, key, [r for r in doomed if r.state not in ("ok", "slow")])
        connection.execute(
            delete(trials).where(*place), [{"of": r.config_hash, "nr": r.attempt} for r in doomed]
        )


def _count(connection: Connection, key: str, failures: list[Record]) -> None:
    """Add failures to the summary of a workload."""
    counts: Counter[_Cause] = Counter()
    messages: defaultdict[_Cause, list[str]] = defaultdict(list)
    for row in connection.execute(pruned.select().where(pruned.c.key == key)):
        cause = (row.state, row.signal)
        counts[cause] = row.trials
        messages[cause] = list(msgspec.json.decode(row.messages))
    for record in failures:
        cause = (record.state, record.signal or "")
        counts[cause] += 1
        message = record.error or ""
        if message and message not in messages[cause] and len(messages[cause]) < _MESSAGES:
            messages[cause].append(message)
    connection.execute(delete(pruned).where(pruned.c.key == key))
    rows = [
        {"key": key, "state": state, "signal": signal, "trials": count,
         "messages": msgspec.json.encode(messages[state, signal]).decode()}
        for (state, signal), count in counts.items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(pruned), rows)
