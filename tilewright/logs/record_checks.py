"""What the fields of a record have to be, beyond their types."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.logs.record import Record

_MAXIMUM_DEPTH = 16
_MAXIMUM_THREADS = 1 << 16
_PLAIN = frozenset({int, str, bool, type(None)})


def check_facts(record: "Record") -> None:
    """Refuse facts that no trial can have.

    Raises:
        ValueError: naming the field.
    """
    if not record.workload.op or not record.target.cpu:
        raise ValueError("workload.op and target.cpu must not be empty")
    if not 1 <= record.target.threads <= _MAXIMUM_THREADS:
        raise ValueError(f"target.threads {record.target.threads} is impossible")
    if record.attempt < 1 or (record.index is not None and record.index < 0):
        raise ValueError(
            f"attempt {record.attempt}, index {record.index}: attempts count from 1, indices from 0"
        )
    if record.at.tzinfo is None:
        raise ValueError("at has no time zone")
    if record.kinds is not None and record.kinds.keys() != record.config.keys():
        raise ValueError(f"kinds of {', '.join(record.kinds)}; the knobs are {', '.join(record.config)}")


def check_json(value: Any, name: str, depth: int = 0) -> None:
    """Refuse what JSON cannot hold, or what would not come back as it went.

    Raises:
        ValueError: saying what it is.
    """
    if depth > _MAXIMUM_DEPTH:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, dict):
        _check_names(value, name)
        value = list(value.values())
    if isinstance(value, list):
        if _PLAIN.issuperset(map(type, value)):  # most are leaves, for which calls would be slow
            return
        for item in value:
            if type(item) not in _PLAIN and not (type(item) is list and _PLAIN.issuperset(map(type, item))):
                check_json(item, name, depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} holds {value}")
    elif not (value is None or isinstance(value, bool | int | str)):
        raise ValueError(f"{name} holds a {type(value).__name__}, which is not plain data")


def _check_names(value: dict[Any, Any], name: str) -> None:
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"{name} has the key {key!r}, which is not a string")
