"""Workloads with weights, as users list them in a file or in Python."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from tilewright.compiler.target import Target
from tilewright.deploy import make_task
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task
from tilewright.templates.template import Template

WorkloadEntry = Mapping[str, Any] | tuple[str | Template, Mapping[str, Any]]

_FORM = '{"op": name, parameters ..., "weight": number}'


@dataclass(frozen=True, slots=True)
class WeightedTask:
    """A task, and how much a second of it counts in a total."""

    task: Task
    weight: float


def read_workloads(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The entries of a file: JSON, either a list or an object with a list ``workloads``, or JSON lines.

    Raises:
        WorkloadError: the file cannot be read, or is something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"{os.fspath(path)} cannot be read: {error}") from None
    try:
        found = json.loads(text)
    except ValueError:
        return [_parse_line(line, f"{path}:{number}") for number, line in _lines(text)]
    if isinstance(found, dict) and "op" not in found:
        found = found.get("workloads")
    entries = [found] if isinstance(found, dict) else found
    if not isinstance(entries, list):
        raise WorkloadError(f"{os.fspath(path)} must hold a list of workloads, each {_FORM}")
    return entries


def weighted_tasks(
    workloads: Iterable[WorkloadEntry],
    weights: Sequence[float] | None,
    target: Target | None,
    threads: int | None,
) -> list[WeightedTask]:
    """The tasks of workloads; equal ones are one, their weights added.

    Args:
        workloads: ``(op, parameters)``, or a mapping of ``op``, the parameters and perhaps ``weight``; its
            parameters may be together in ``args`` instead.
        weights: of the workloads, in place of those in mappings; 1 by default.
        target: the machine; this one by default.
        threads: of the kernels; by default the cores granted to the process.

    Raises:
        WorkloadError: there is no workload, or one is wrong.
    """
    entries = _items(workloads, "workloads", f"each (op, parameters) or {_FORM}")
    if not entries:
        raise WorkloadError("there is no workload to tune")
    given = None if weights is None else _items(weights, "weights", "one number for each workload")
    if given is not None and len(given) != len(entries):
        raise WorkloadError(f"there are {len(given)} weights for {len(entries)} workloads")
    found: dict[Task, float] = {}
    for place, entry in enumerate(entries):
        op, params, weight = _split(entry, place)
        task = make_task(op, target, threads, params)
        weight = _check_weight(weight if given is None else given[place], task)
        found[task] = found.get(task, 0.0) + weight
    return [WeightedTask(task, weight) for task, weight in found.items()]


def _items(given: object, name: str, form: str) -> list[Any]:
    """What is listed; a word and a mapping list something else than is meant."""
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise WorkloadError(f"{name} must be a list, {form}, not {given!r}")
    return list(given)


def _split(entry: WorkloadEntry, place: int) -> tuple[str | Template, Mapping[str, Any], object]:
    """Operator, parameters and weight of an entry."""
    if isinstance(entry, Mapping):
        rest = {name: value for name, value in entry.items() if name not in ("op", "weight")}
        args = rest.pop("args", None) if isinstance(rest.get("args"), Mapping) else None
        op = entry.get("op")
        if isinstance(op, (str, Template)) and not (args is not None and rest):
            return op, rest if args is None else args, entry.get("weight", 1)
    elif isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 2:
        op, params = entry
        if isinstance(op, (str, Template)) and isinstance(params, Mapping):
            return op, params, 1
    raise WorkloadError(f"workload {place + 1} must be (op, parameters) or {_FORM}, not {entry!r}")


def _check_weight(weight: object, task: Task) -> float:
    is_number = isinstance(weight, Real) and not isinstance(weight, bool)
    if not (is_number and math.isfinite(weight) and weight > 0):  # type: ignore[arg-type, operator]
        raise WorkloadError(f"{task.workload}: its weight must be a positive number, not {weight!r}")
    return float(weight)  # type: ignore[arg-type]


def _lines(text: str) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _parse_line(line: str, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise WorkloadError(f"{place}: {error}") from None
    if not isinstance(entry, dict):
        raise WorkloadError(f"{place}: a line must be {_FORM}")
    return entry
