"""Building operators with their best recorded configuration."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from tilewright.compiler.build import LINE_LIMIT_MOST, ObjectCode, compile_program
from tilewright.compiler.cache import compile_cached
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.measure.machine import usable_cores
from tilewright.templates.config import Config
from tilewright.templates.dispatch import find_config
from tilewright.templates.errors import ConfigError, TemplateError
from tilewright.templates.registry import find_template
from tilewright.templates.task import Task
from tilewright.templates.template import Template

_REMEMBERED = 1000
# Names of the options of tune, build and the commands; a template's parameters share their call with them.
_RESERVED = frozenset({
    "op", "target", "threads", "config", "backend", "trials", "seconds", "patience", "tuner", "seed",
    "transfer", "no_transfer", "db", "progress", "on_trial", "json", "against", "stage", "help", "version",
    "verbose", "quiet", "strides",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which configuration a kernel was built with, and why.

    ``source`` is ``record``, ``default``, ``chosen``, or ``schedule`` for one written by hand; ``reason``
    says it in a sentence: also what became of other records.
    """

    workload: str
    config: str
    source: str
    reason: str
    threads: int = 1

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.workload} on {threads}: {self.source}: {self.config} ({self.reason})"


_explanations: deque[Explanation] = deque(maxlen=_REMEMBERED)


def explain() -> tuple[Explanation, ...]:
    """What was built in this process, and why it runs as it does; what was built twice alike is told once."""
    latest: dict[Explanation, None] = {}
    for entry in _explanations:
        latest.pop(entry, None)
        latest[entry] = None
    return tuple(latest)


def lower(schedule: Schedule, args: Sequence[Tensor], simple_mode: bool = False) -> Any:
    """The loop nest of a schedule, which prints as loops.

    With ``simple_mode`` the loops are as the schedule wrote them; without, their tails are peeled.
    """
    return lower_schedule(schedule, args, partition=not simple_mode)


def make_task(
    op: str | Template, target: Target | None, threads: int | None, params: Mapping[str, object]
) -> Task:
    """The task of an operator here: the host and all its cores unless told otherwise.

    Raises:
        TilewrightError: the operator, a parameter or the number of threads is wrong.
    """
    count = _check_threads(threads)
    machine = _check_target(target)
    template = find_template(op)
    check_parameter_names(template)
    return Task.create(template, machine, count, **params)


def _check_target(target: Target | None) -> Target:
    if target is not None and not isinstance(target, Target):
        raise TilewrightError(f"target must be a Target, such as tilewright.Target.host(), not {target!r}")
    return target or Target.host()


def _check_threads(threads: int | None) -> int:
    count = usable_cores() if threads is None else threads
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise TilewrightError(f"threads must be a positive integer, not {threads!r}")
    return count


def check_parameter_names(template: Template) -> None:
    """Refuse a parameter that could not be given, since an option has its name.

    Raises:
        TemplateError: naming the parameter.
    """
    for parameter in template.parameters:
        if parameter.name in _RESERVED:
            raise TemplateError(
                f"template {template.name!r}: its parameter {parameter.name!r} has the name of an option of "
                "tune or build; rename the parameter"
            )


def build(
    op: str | Template,
    *,
    target: Target | None = None,
    threads: int | None = None,
    config: str | int | Config | Mapping[str, Any] = "best",
    backend: str = "llvm",
    strides: Mapping[str, Sequence[int]] | None = None,
    **params: Any,
) -> Kernel:
    """Build an operator.

    Args:
        op: a name, a template, or ``"file.py:name"``.
        target: the machine; this one by default.
        threads: at most this many; by default the cores granted to the process.
        config: ``"best"`` (the record in force through :func:`apply_best`, else the default), ``"default"``,
            an index of the space, a :class:`Config`, or values by knob.
        backend: ``llvm``, or ``numba`` and ``interpreter`` for debugging.
        strides: of arguments that will be views, elements between neighbours: ``{"A": (1024, 1)}``.
        params: the operator's parameters.
    """
    task = make_task(op, target, threads, params)
    chosen, record, explanation = choose_config(task, config)
    program = task.instantiate(chosen).with_strides(strides or {})
    kernel = load_kernel(_compile(program, task.target, task.threads, backend), chosen, record)
    _explanations.append(explanation)
    return kernel


def build_schedule(
    schedule: Schedule,
    args: Sequence[Tensor],
    *,
    target: Target | None = None,
    threads: int | None = None,
    backend: str = "llvm",
) -> Kernel:
    """Build a schedule that was written by hand.

    Args:
        schedule: of the program.
        args: its inputs and outputs, in the order of a call.
        target: the machine; this one by default.
        threads: at most this many; by default the cores granted to the process.
        backend: ``llvm``, or ``numba`` and ``interpreter`` for debugging.
    """
    program, count = Program.from_schedule(schedule, args), _check_threads(threads)
    name = ", ".join(spec.name for spec in program.outputs)
    _explanations.append(Explanation(f"program of {name}", "-", "schedule", "written by hand", count))
    return load_kernel(_compile(program, _check_target(target), count, backend))


def _compile(program: Program, target: Target, threads: int, backend: str) -> ObjectCode:
    if backend == "llvm":
        return compile_cached(program, target, threads, LINE_LIMIT_MOST)
    return compile_program(program, target, threads, backend)


def choose_config(
    task: Task, config: str | int | Config | Mapping[str, Any]
) -> tuple[Config, Any, Explanation]:
    """The configuration that is meant, the record that it comes from, and why."""
    if config == "best":
        found, choice = find_config(task)
        chosen, source = (task.default_config, "default") if found is None else (found, "record")
        return chosen, choice.record, _explanation(task, chosen, source, choice.reason)
    chosen = read_config(task, config)
    source = "default" if config == "default" else "chosen"
    return chosen, None, _explanation(task, chosen, source, "asked for by config=")


def _explanation(task: Task, config: Config, source: str, reason: str) -> Explanation:
    return Explanation(str(task.workload), str(config), source, reason, task.threads)


def read_config(task: Task, config: str | int | Config | Mapping[str, Any]) -> Config:
    """A configuration from how a user names one."""
    if config == "default":
        return task.default_config
    if isinstance(config, Config):
        return task.space.from_values(config.to_json())
    if isinstance(config, Mapping):
        return task.space.from_values(dict(config))
    if isinstance(config, Integral) and not isinstance(config, bool):
        config = int(config)
        if not 0 <= config < task.space.range_length or not task.space.is_valid(config):
            size = task.space.size_text
            raise ConfigError(
                f"{task.workload}: there is no valid configuration {config}; the space has {size}"
            )
        return task.space.config(config)
    raise ConfigError(
        f"config={config!r}: give 'default', an index, or values by knob; build also takes 'best'"
    )
