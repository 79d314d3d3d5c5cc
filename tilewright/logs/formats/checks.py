"""What every record of another program has to pass."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tilewright.logs.errors import RecordError
from tilewright.logs.record import Record, one_line
from tilewright.measure.result import State

UNKNOWN_CPU = "unknown"
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_MAXIMUM_DEPTH = 12


def check_plain(value: object, depth: int = 0) -> None:
    """Refuse what is nested deeply, and numbers that a record cannot hold.

    Raises:
        RecordError: saying which of these.
    """
    if depth > _MAXIMUM_DEPTH:
        raise RecordError("nested too deeply")
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            check_plain(item, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RecordError("an integer has more than 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"{value} is not a finite number")


def foreign_record(
    state: State, costs: Sequence[float], seconds: float | None = None, **facts: Any
) -> Record:
    """The record of a trial of another program; its cost is the mean unless it is given.

    Raises:
        RecordError: no trial can have had this outcome.
    """
    kept = tuple(map(float, costs)) if state == "ok" else ()
    mean = sum(kept) / len(kept) if kept else None
    try:
        return Record(
            state=state,
            costs=kept,
            seconds=mean if seconds is None or not kept else float(seconds),
            interval=(min(kept), max(kept)) if kept else None,
            **facts,
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise RecordError(one_line(error)) from None


def parse_time(text: str | None) -> datetime:
    """A time in ISO's form, of UTC where it names no zone; the epoch where none is given.

    Raises:
        RecordError: the text is no time.
    """
    if text is None:
        return UNKNOWN_TIME
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RecordError(f"timestamp {text[:40]!r} is no time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
