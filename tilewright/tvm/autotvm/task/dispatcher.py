"""`autotvm.task.dispatcher`: which configuration is in force."""

from collections.abc import Sequence
from typing import Any

from tilewright.templates.dispatch import Choice, Dispatcher, find_config
from tilewright.templates.task import Task as Core
from tilewright.tvm.autotvm.task.definition import Task
from tilewright.tvm.autotvm.task.entity import ConfigEntity


class _Current:
    """What a look-up through all contexts finds."""

    def __get__(self, instance: object, owner: type) -> "DispatchContext":
        return FallbackContext()


class DispatchContext(Dispatcher):
    """Answers `query`; inside `with` it is asked before the contexts around it."""

    current = _Current()

    def query(self, target: Any, workload: Sequence[Any]) -> ConfigEntity | None:
        """The configuration of a workload: this one's, else that of the contexts around, else the default."""
        task = Task(workload[0], workload[1:], target)
        with task.target, self:
            found, _ = find_config(task.core)
        return ConfigEntity.of(found or task.core.default_config)

    def choose(self, task: Core) -> Choice | None:
        """Nothing of its own."""
        return None


class FallbackContext(DispatchContext):
    """What is left where no context knows a workload: the template's default."""


class ApplyConfig(DispatchContext):
    """One configuration for every workload."""

    def __init__(self, config: ConfigEntity) -> None:
        super().__init__()
        self._config = config

    def choose(self, task: Core) -> Choice:
        """The configuration."""
        return Choice(self._config.to_json(), "ApplyConfig")


__all__ = ["ApplyConfig", "DispatchContext", "FallbackContext"]
