"""Which configuration of a template is in force: dispatchers, in a context or in the whole process."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tilewright.compiler.errors import TilewrightError
from tilewright.settings import call_threads
from tilewright.templates.collector import ChosenConfig, SpaceCollector, TemplateConfig
from tilewright.templates.config import Config
from tilewright.templates.errors import ConfigError, SpaceError

if TYPE_CHECKING:
    from tilewright.templates.task import Task
    from tilewright.templates.template import Template

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration that is in force: its `{knob: value}`, why it is, and the record that it comes from.

    Without values none is, for that reason.
    """

    values: Mapping[str, object] | None
    reason: str
    record: Any = None


UNTUNED = Choice(None, "no record for this key is in force")


class Dispatcher(ABC):
    """Answers which configuration a task has: inside `with`, or from `install` to `uninstall`.

    Threads and tasks may enter the same one, each for itself.
    """

    def __init__(self) -> None:
        self._entered = 0  # how often, and not yet left

    @abstractmethod
    def choose(self, task: "Task") -> Choice | None:
        """The configuration of a task; None, or a choice without values, leaves it to those around."""

    def __enter__(self) -> Self:
        with _process.lock:
            self._entered += 1
        _context.set((self, *_context.get()))
        return self

    def __exit__(self, *_: object) -> None:
        around = list(_context.get())
        around.remove(self)
        _context.set(tuple(around))
        with _process.lock:
            self._entered -= 1
            self._release_unused()

    def install(self) -> Self:
        """Put it in force in the whole process, in front of those installed before."""
        with _process.lock:
            _process.dispatchers = (self, *(other for other in _process.dispatchers if other is not self))
        return self

    def uninstall(self) -> None:
        """Undo `install`."""
        with _process.lock:
            _process.dispatchers = tuple(other for other in _process.dispatchers if other is not self)
            self._release_unused()

    def _release_unused(self) -> None:
        if not self.is_in_force:
            self.release()

    @property
    def is_in_force(self) -> bool:
        """Whether a context or the process uses it."""
        return self._entered > 0 or self in _process.dispatchers

    def release(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of files and connections; called when it is no longer in force."""


class _Process:
    """What is installed for all threads; a context does not reach threads that others start."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.dispatchers: tuple[Dispatcher, ...] = ()


_context: ContextVar[tuple[Dispatcher, ...]] = ContextVar("tilewright_dispatchers", default=())
_process = _Process()


def dispatchers() -> tuple[Dispatcher, ...]:
    """Those in force, in the order in which they are asked: the innermost context's first."""
    return (*_context.get(), *_process.dispatchers)


def find_config(task: "Task") -> tuple[Config | None, Choice]:
    """The configuration in force for a task and where it comes from; None leaves the default, and says why.

    A choice that no longer fits the template is passed over with a warning, and the default holds.
    """
    missed = UNTUNED
    for dispatcher in dispatchers():
        choice = dispatcher.choose(task)
        if choice is None or choice.values is None:
            missed = choice if choice is not None and missed is UNTUNED else missed
            continue
        try:
            return task.space.from_values(choice.values), choice
        except (ConfigError, SpaceError) as error:
            reason = f"the configuration in force no longer fits the template: {error}"
            _log.warning("%s: the default is used, since %s", task.workload, reason)
            return None, Choice(None, reason)
    return None, missed


def config_of_call(
    template: "Template", args: Sequence[object], params: Mapping[str, object]
) -> TemplateConfig:
    """What `get_config()` answers when a template is called directly: what is in force, else defaults."""
    from tilewright.compiler.target import Target
    from tilewright.templates.task import Task

    defaults = SpaceCollector(prefer_defaults=True)
    if not dispatchers():
        return defaults
    named = dict(zip((parameter.name for parameter in template.parameters), args, strict=False))
    try:
        target, threads = Target.host(), call_threads(Target.host().cores)
        task = Task.create(template, target, threads, **named, **params)
        config, choice = find_config(task)
    except TilewrightError as error:
        _log.warning("%s: no record is looked up for this call: %s", template.name, error)
        return defaults
    if config is None:
        _log.info("%s: the defaults are used: %s", task.workload, choice.reason)
        return defaults
    return ChosenConfig(config, target, threads)
