"""A workload: an operator's name and its arguments, as plain data."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.templates.errors import WorkloadError
from tilewright.templates.option import FrozenJson, Json, freeze_json, thaw_json

if TYPE_CHECKING:
    from tilewright.templates.template import Template


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Workload:
    """An operator and its arguments, in the order of its parameters."""

    op: str
    items: tuple[tuple[str, FrozenJson], ...]

    def __init__(self, op: str, args: Mapping[str, object] | Iterable[tuple[str, object]]) -> None:
        pairs = args.items() if isinstance(args, Mapping) else args
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "items", tuple((name, freeze_json(value)) for name, value in pairs))

    @property
    def args(self) -> dict[str, Json]:
        """The arguments as plain JSON data."""
        return {name: thaw_json(value) for name, value in self.items}

    @property
    def arguments(self) -> dict[str, FrozenJson]:
        """The arguments as a template takes them: sequences are tuples."""
        return dict(self.items)

    @property
    def key(self) -> str:
        """A stable text for equal workloads, whatever the order of their arguments."""
        return self.op + json.dumps(self.args, sort_keys=True, separators=(",", ":"))

    def to_json(self) -> dict[str, Json]:
        """Return `{"op": ..., "args": {...}}`."""
        return {"op": self.op, "args": self.args}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Workload":
        """Return the workload that `to_json` described."""
        op, args = data.get("op"), data.get("args")
        if not isinstance(op, str) or not isinstance(args, Mapping):
            raise WorkloadError(f'a workload is {{"op": name, "args": {{...}}}}, not {data!r}')
        return cls(op, args)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Workload):
            return NotImplemented
        return self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return f"{self.op}({', '.join(f'{name}={value}' for name, value in self.items)})"


def describe_briefly(workload: Workload, template: "Template") -> str:
    """The workload as a call that leaves out what has its default."""
    defaults = {p.name: p.default for p in template.parameters if not p.required}
    shown = [
        f"{name}={json.dumps(thaw_json(value), separators=(',', ':')) if isinstance(value, tuple) else value}"
        for name, value in workload.items
        if name not in defaults or value != defaults[name]
    ]
    return f"{workload.op}({', '.join(shown)})"


def bind_workload(template: "Template", params: Mapping[str, object]) -> Workload:
    """Check `params` against a template's parameters and return the workload, defaults filled in."""
    known = {parameter.name: parameter for parameter in template.parameters}
    unknown = [name for name in params if name not in known]
    if unknown:
        raise WorkloadError(
            f"{template.name}: unknown parameter {unknown[0]!r}; its parameters: {', '.join(known)}"
        )
    missing = [name for name, parameter in known.items() if parameter.required and name not in params]
    if missing:
        raise WorkloadError(
            f"{template.name}: {', '.join(missing)} must be given; parameters: {', '.join(known)}"
        )
    pairs = []
    for name, parameter in known.items():
        value = params.get(name, parameter.default)
        if name in template.positive and value is not None:
            _check_positive(template.name, name, value)
        is_default = name not in params or (value is None and parameter.default is None)
        pairs.append((name, parameter.default if is_default else parameter.coerce(value, template.name)))
    return Workload(template.name, pairs)


def _check_positive(owner: str, name: str, value: object) -> None:
    try:
        numbers = freeze_json(value)
    except TypeError:
        numbers = None
    several = isinstance(numbers, tuple)
    for number in numbers if isinstance(numbers, tuple) else (numbers,):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            what = "have positive integers only" if several else "be a positive integer"
            raise WorkloadError(f"{owner}: {name} must {what}, not {number!r}")
