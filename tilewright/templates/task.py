"""A task: a workload on a target with a number of threads, and the space of programs for it."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from tilewright.compiler.analysis.flops import count_flops
from tilewright.compiler.build import lower_for_analysis
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import ChosenConfig, SpaceCollector, TemplateConfig, use_config
from tilewright.templates.config import Config
from tilewright.templates.default_config import choose_entity, default_config
from tilewright.templates.errors import (
    ConfigError,
    InvalidConfigError,
    SpaceError,
    TemplateError,
    WorkloadError,
)
from tilewright.templates.registry import find_template
from tilewright.templates.space import ConfigSpace
from tilewright.templates.template import Template
from tilewright.templates.template_file import locate_call, locate_error
from tilewright.templates.workload import Workload, bind_workload

Scheduled = tuple[Schedule, Sequence[Tensor]]


@dataclass(frozen=True)
class Task:
    """What is tuned: a workload, a target and a number of threads."""

    workload: Workload
    target: Target
    threads: int = 1
    template: Template = field(default=None, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.template is None:
            object.__setattr__(self, "template", find_template(self.workload.op))

    @classmethod
    def create(cls, op: str | Template, target: Target, threads: int = 1, **params: object) -> "Task":
        """Return the task of an operator, checking its parameters."""
        template = find_template(op)
        return cls(bind_workload(template, params), target, threads, template)

    @cached_property
    def _collected(self) -> tuple[SpaceCollector, Scheduled]:
        collector = SpaceCollector(self.target, self.threads)
        return collector, self._run(collector)

    @cached_property
    def space(self) -> ConfigSpace:
        """The space of the template, collected once."""
        space = self._collected[0].space()
        if self._is_empty(space):
            raise SpaceError(
                f"{self.workload}: the template has no valid configuration; loosen its constraints"
            )
        return space

    def _is_empty(self, space: ConfigSpace) -> bool:
        try:
            return space.range_length == 0 or (space.valid_points is not None and not len(space.valid_points))
        except SpaceError as error:
            raise SpaceError(f"template {self.template.name!r}: {error}") from error

    @cached_property
    def default_config(self) -> Config:
        """The configuration of an untuned build: the template's own, else a generic one."""
        fallback = self._collected[0].fallback
        if self.template.default is not None:
            config = self._complete(self._stated_default(self.template.default))
        elif fallback:
            config = self._complete(dict(fallback))
        else:
            config = default_config(self.space, max(1, self.target.vector_bits // 32))
        return Config(config.names, config.entities, config.index, is_default=True)

    def instantiate(self, config: Config) -> Program:
        """Return the program of one configuration."""
        schedule, tensors = self._run(ChosenConfig(config, self.target, self.threads))
        try:
            return Program.from_schedule(schedule, tensors, self.constants)
        except TilewrightError as error:
            raise InvalidConfigError(f"{self.workload}, configuration {config}: {error}") from error

    def lower_for_analysis(self, config: Config) -> LoopNest:
        """Return the loop nest of one configuration for cost models, without compiling anything.

        Raises:
            InvalidConfigError: the configuration cannot be lowered.
        """
        schedule, tensors = self._run(ChosenConfig(config, self.target, self.threads))
        try:
            return lower_for_analysis(schedule, tensors, self.target)
        except TilewrightError as error:
            raise InvalidConfigError(f"{self.workload}, configuration {config}: {error}") from error

    @cached_property
    def flops(self) -> int:
        """The operations of one call: what the template states, else what its expressions count."""
        collector, (_, tensors) = self._collected
        if collector.flop:
            return self._operations(collector.flop, "add_flop")
        if self.template.flops is not None:
            return self._operations(self._ask("flops(**arguments)", self.template.flops), "flops=")
        return int(count_flops(tensors))

    @cached_property
    def reference(self) -> Callable[..., Any] | None:
        """The NumPy reference as a function of the input arrays alone, or None."""
        function = self.template.reference
        if function is None:
            return None
        accepted = inspect.signature(function).parameters.values()
        keywords = {parameter.name for parameter in accepted if parameter.kind is parameter.KEYWORD_ONLY}
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted)
        arguments = self.workload.arguments
        given = arguments if takes_all else {name: arguments[name] for name in arguments if name in keywords}
        return functools.partial(function, **given) if given else function

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of the operands that are the same in many calls: the workload's, else the template's."""
        stated = self.workload.arguments.get("constant", self.template.constants)
        return tuple(str(name) for name in stated) if isinstance(stated, tuple) else ()

    @property
    def template_hash(self) -> str:
        """A hash of the sources of the template and of its reference."""
        return self.template.source_hash

    def _stated_default(self, default: Callable[..., Any]) -> dict[str, object]:
        values = self._ask("default(target, threads, **arguments)", default, self.target, self.threads)
        if not isinstance(values, Mapping):
            raise TemplateError(
                f"template {self.template.name!r}: default= must return {{knob: value}}, not {values!r}"
            )
        return dict(values)

    def _operations(self, stated: object, source: str) -> int:
        if not isinstance(stated, int | float | np.number) or not isfinite(stated) or stated < 0:
            raise TemplateError(
                f"template {self.template.name!r}: {source} must be the number of operations, not {stated!r}"
            )
        return int(stated)

    def _ask(self, call: str, function: Callable[..., Any], *given: object) -> Any:
        """Call what the author gave beside the template."""
        try:
            return function(*given, **self.workload.arguments)
        except TilewrightError:
            raise  # it says what is wrong
        except Exception as error:
            place = locate_call(error, function)
            where = f" at {place}" if place else ""
            raise TemplateError(
                f"template {self.template.name!r}: {call} failed{where}: {error} ({type(error).__name__})"
            ) from error

    def _complete(self, values: dict[str, object]) -> Config:
        for knob in self.space.knobs:
            values.setdefault(knob.name, choose_entity(knob))
        try:
            return self.space.from_values(values)
        except (ConfigError, SpaceError) as error:
            raise ConfigError(f"the default configuration of {self.workload}: {error}") from error

    def _run(self, config: TemplateConfig) -> Scheduled:
        try:
            with use_config(config):
                result = self.template.function(**self.workload.arguments)
        except WorkloadError:
            raise  # it says what is wrong with the arguments
        except Exception as error:
            raise self._explain(error, isinstance(config, ChosenConfig)) from error
        return self._scheduled(result)

    def _scheduled(self, result: object) -> Scheduled:
        """What a template returned, if that is what one must."""
        must = f"template {self.template.name!r} must return (schedule, tensors)"
        if not isinstance(result, tuple) or len(result) != 2:
            raise TemplateError(f"{must}, not {type(result).__name__}")
        schedule, tensors = result
        if not isinstance(schedule, Schedule):
            raise TemplateError(f"{must}, not {type(schedule).__name__} in place of the schedule")
        if not isinstance(tensors, list | tuple):
            raise TemplateError(f"{must}, the tensors as a list, not {type(tensors).__name__}")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TemplateError(f"{must}, not {type(tensor).__name__} among the tensors")
        return schedule, tensors

    def _explain(self, error: Exception, building: bool) -> TilewrightError:
        """Name the template and the user's line; a choice that the compiler refuses is not theirs."""
        place = locate_error(error, self.template.source_file)
        where = f" at {place}" if place else ""
        message = f"template {self.template.name!r} failed{where}: {error or type(error).__name__}"
        if building and isinstance(error, TilewrightError) and not isinstance(error, TemplateError):
            return InvalidConfigError(message)
        if isinstance(error, SpaceError):
            return type(error)(message)
        return TemplateError(
            message if isinstance(error, TilewrightError) else f"{message} ({type(error).__name__})"
        )
