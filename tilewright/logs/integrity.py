"""Checking a database or a log: what SQLite finds, what cannot be read, what contradicts itself."""

from collections import Counter
from typing import Any

from tilewright.logs.brief_record import line_checksum
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.record import Record, trial_id
from tilewright.logs.sources import PathArgument, is_log, read_log
from tilewright.logs.store import RecordStore

_NAMED = 20


class _Findings:
    """Problems: the first few of each kind by name, the others counted."""

    def __init__(self) -> None:
        self.trials = 0
        self._problems: dict[str, list[str]] = {}

    def add(self, kind: str, what: str) -> None:
        """Note a problem."""
        self._problems.setdefault(kind, []).append(what)

    def to_json(self) -> dict[str, Any]:
        """As `{"trials", "problems": [...]}`."""
        lines = []
        for kind, found in self._problems.items():
            lines += [f"{kind}: {what}" for what in found[:_NAMED]]
            if len(found) > _NAMED:
                lines.append(f"{kind}: {len(found) - _NAMED} more")
        return {"trials": self.trials, "problems": lines}


def check(source: PathArgument) -> dict[str, Any]:
    """Look for damage in a database or a log, as `{"trials", "problems": ["kind: what"]}`.

    Kinds are `damaged` (SQLite's own check), `unreadable` (no record: torn, altered or with an impossible
    cost), `duplicate` (one trial twice) and `contradiction` (a column is not what the record says).

    Raises:
        TilewrightError: it cannot be opened.
    """
    findings = _Findings()
    if is_log(source):
        _check_log(source, findings)
    else:
        with RecordStore(source, read_only=True) as store:
            _check_store(store, findings)
    return findings.to_json()


def _check_log(source: PathArgument, findings: _Findings) -> None:
    seen: Counter[str] = Counter()
    for line in read_log(source):
        findings.trials += 1
        record = line.record
        if record is None:
            findings.add("unreadable", f"line {line.number}: {line.reason}")
            continue
        name = record.id if record.origin is None else record.to_json()
        seen[name] += 1
        if seen[name] == 2:
            findings.add("duplicate", f"line {line.number}: trial {record.id} is there before")


def _check_store(store: RecordStore, findings: _Findings) -> None:
    try:
        for problem in store.problems():
            findings.add("damaged", problem)
        seen: set[str] = set()
        for row in store.iter_rows():
            findings.trials += 1
            _check_row(row, seen, findings)
    except DatabaseError as error:
        findings.add("damaged", str(error))


def _check_row(row: tuple[Any, ...], seen: set[str], findings: _Findings) -> None:
    number, *columns, checksum, line = row
    try:
        record = Record.from_json(line)
    except RecordError as error:
        findings.add("unreadable", f"row {number}: {error}")
        return
    key, config_hash, attempt, *_ = columns
    name = trial_id(key, config_hash, attempt)
    if name in seen:
        findings.add("duplicate", f"row {number}: trial {name} is there before")
    seen.add(name)
    for what, found, meant in zip(_NAMES, columns, _columns_of(record), strict=True):
        if found != meant:
            findings.add("contradiction", f"row {number}: {what} is {found!r}, the record says {meant!r}")
    if checksum is not None and checksum != line_checksum(line):
        findings.add("contradiction", f"row {number}: checksum is {checksum!r}, not that of the line")


_NAMES = ("key", "config_hash", "attempt", "op", "state", "seconds", "reference_ratio")


def _columns_of(record: Record) -> tuple[Any, ...]:
    return (
        record.key,
        record.config_hash,
        record.attempt,
        record.workload.op,
        record.state,
        record.seconds,
        record.reference_ratio,
    )
