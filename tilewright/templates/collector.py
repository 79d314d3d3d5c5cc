"""What `get_config()` answers: a collector of knobs while a space is explored, the choice while building."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from tilewright.templates.config import Config
from tilewright.templates.constraints import Constraint
from tilewright.templates.default_config import choose_entity
from tilewright.templates.errors import ConfigError, InvalidConfigError, SpaceError
from tilewright.templates.fallback import fallback_split
from tilewright.templates.knobs import (
    Axis,
    Entity,
    Knob,
    VirtualAxis,
    annotate_knob,
    option_knob,
    reorder_knob,
    split_knob,
)
from tilewright.templates.space import ConfigSpace

if TYPE_CHECKING:
    from tilewright.compiler.target import Target


class TemplateConfig(ABC):
    """The object that a template defines its knobs on and reads its choices from."""

    def __init__(self, target: "Target | None" = None, threads: int = 1) -> None:
        self._target = target
        self.threads = threads

    @cached_property
    def target(self) -> "Target":
        """The machine that the program is for."""
        if self._target is not None:
            return self._target
        from tilewright.compiler.target import Target

        return Target.host()

    @property
    @abstractmethod
    def is_fallback(self) -> bool:
        """Whether the template may now state its own untuned choices."""

    @abstractmethod
    def __getitem__(self, name: str) -> Any:
        """Return the chosen value of a knob; its kind follows from the knob's definition."""

    def axis(self, var: Axis | int) -> VirtualAxis:
        """Return a loop to describe knobs with, from an axis or an extent."""
        if isinstance(var, int):
            return VirtualAxis(var)
        return VirtualAxis(var.extent, getattr(var, "name", ""))

    reduce_axis = axis

    def define_split(
        self, name: str, axis: Axis | int, policy: str = "factors", **options: Any
    ) -> list[VirtualAxis]:
        """Define a knob that splits a loop; the options are those of `split_knob`."""
        self._define(name, lambda: split_knob(name, axis, policy, **options))
        return [VirtualAxis(size, f"{name}.{place}") for place, size in enumerate(self[name].size)]

    def define_reorder(self, name: str, axes: Sequence[Any], policy: str, **options: Any) -> list[Any]:
        """Define a knob that orders loops; the options are those of `reorder_knob`."""
        self._define(name, lambda: reorder_knob(name, axes, policy, **options))
        return [axes[position] for position in self[name].perm]

    def define_annotate(self, name: str, axes: Sequence[Any], policy: str, **options: Any) -> list[Any]:
        """Define a knob that annotates loops; the options are those of `annotate_knob`."""
        self._define(name, lambda: annotate_knob(name, axes, policy, **options))
        return list(axes)

    def define_knob(self, name: str, candidate: Sequence[Any]) -> None:
        """Define a knob that chooses among plain values."""
        self._define(name, lambda: option_knob(name, candidate))

    @abstractmethod
    def _define(self, name: str, make: Callable[[], Knob]) -> None:
        """Take note of a knob."""

    @abstractmethod
    def multi_filter(self, filter: Callable[[Mapping[str, Any]], object]) -> None:
        """Keep the configurations for which the function of the mapping from knobs to values is true."""

    @abstractmethod
    def constrain(self, names: Sequence[str], predicate: Callable[..., object]) -> None:
        """Keep the configurations for which the function of the named knobs' values is true."""

    @abstractmethod
    def add_flop(self, flop: float) -> None:
        """Add to the operation count that the template states for itself."""

    @abstractmethod
    def raise_error(self, message: str) -> None:
        """Declare the configuration invalid."""

    @abstractmethod
    def fallback_split(self, name: str, constraints: Sequence[int]) -> None:
        """Choose the untuned split: from the inside out the largest factor within each bound, -1 for none."""

    @abstractmethod
    def __setitem__(self, name: str, entity: Entity) -> None:
        """Choose the untuned value of a knob."""


class SpaceCollector(TemplateConfig):
    """Collects knobs and constraints; answers with first choices, or with defaults in a plain call."""

    def __init__(
        self, target: "Target | None" = None, threads: int = 1, *, prefer_defaults: bool = False
    ) -> None:
        super().__init__(target, threads)
        self._knobs: dict[str, Knob] = {}
        self._constraints: list[Constraint] = []
        self._prefer_defaults = prefer_defaults
        self._space: ConfigSpace | None = None
        self.fallback: dict[str, Entity] = {}
        self.flop = 0.0

    @property
    def is_fallback(self) -> bool:
        """True: what the template sets now becomes its untuned configuration."""
        return True

    @classmethod
    def from_space(cls, space: ConfigSpace) -> Self:
        """Return a collector that holds a space already and may add to it."""
        collector = cls()
        collector._knobs = {knob.name: knob for knob in space.knobs}
        collector._constraints = list(space.constraints)
        return collector

    def space(self) -> ConfigSpace:
        """Return what was collected."""
        if self._space is None:
            self._space = self._freeze()
        return self._space

    def _freeze(self) -> ConfigSpace:
        for constraint in self._constraints:
            unknown = [name for name in constraint.names or () if name not in self._knobs]
            if unknown:
                raise SpaceError(
                    f"constrain: there is no knob {unknown[0]!r}; define it with define_split or so"
                )
        return ConfigSpace(tuple(self._knobs.values()), tuple(self._constraints))

    def __getitem__(self, name: str) -> Any:
        if name in self.fallback:
            return self.fallback[name]
        knob = self._knob(name)
        if not knob.entities:
            raise SpaceError(f"knob {name!r} has no values; widen its policy, filter or limits")
        return choose_entity(knob) if self._prefer_defaults else knob.entities[0]

    def __setitem__(self, name: str, entity: Entity) -> None:
        self.fallback[name] = entity

    def multi_filter(self, filter: Callable[[Mapping[str, Any]], object]) -> None:
        """Keep the configurations for which the function is true."""
        self._add_constraint(Constraint(filter))

    def constrain(self, names: Sequence[str], predicate: Callable[..., object]) -> None:
        """Keep the configurations for which the function of the named knobs' values is true."""
        if isinstance(names, str) or not names:
            raise SpaceError("constrain: name the knobs as a sequence, for example constrain(('a', 'b'), f)")
        if len(set(names)) < len(names):
            raise SpaceError(f"constrain: a knob is named twice in {list(names)}")
        self._add_constraint(Constraint(predicate, tuple(names)))

    def _add_constraint(self, constraint: Constraint) -> None:
        self._space = None
        self._constraints.append(constraint)

    def add_flop(self, flop: float) -> None:
        """Add to the operation count."""
        self.flop += flop

    def raise_error(self, message: str) -> None:
        """Do nothing: the choices made while collecting need not be valid."""

    def fallback_split(self, name: str, constraints: Sequence[int]) -> None:
        """Choose the untuned split of a knob."""
        if name not in self.fallback:
            self.fallback[name] = fallback_split(self._knob(name), constraints)

    def _define(self, name: str, make: Callable[[], Knob]) -> None:
        if not isinstance(name, str):
            raise SpaceError(f"a knob's name must be a string, not {name!r}; write {str(name)!r}")
        knob = make()
        self._space = None
        known = self._knobs.setdefault(name, knob)
        if known != knob:
            raise SpaceError(
                f"knob {name!r} is defined twice with different values; give the second another name"
            )

    def _knob(self, name: str) -> Knob:
        if name not in self._knobs:
            raise ConfigError(f"there is no knob {name!r}; define it before cfg[{name!r}]")
        return self._knobs[name]


class ChosenConfig(TemplateConfig):
    """Answers with one configuration; definitions and constraints pass without effect."""

    def __init__(self, config: Config, target: "Target | None" = None, threads: int = 1) -> None:
        super().__init__(target, threads)
        self.config = config

    @property
    def is_fallback(self) -> bool:
        """False: every choice has been made."""
        return False

    def __getitem__(self, name: str) -> Any:
        return self.config[name]

    def __setitem__(self, name: str, entity: Entity) -> None:
        raise ConfigError(
            f"knob {name!r}: the configuration is chosen; set values only where cfg.is_fallback"
        )

    def multi_filter(self, filter: Callable[[Mapping[str, Any]], object]) -> None:
        """Do nothing: the configuration is known to be valid."""

    def constrain(self, names: Sequence[str], predicate: Callable[..., object]) -> None:
        """Do nothing: the configuration is known to be valid."""

    def add_flop(self, flop: float) -> None:
        """Do nothing: operations were counted with the space."""

    def raise_error(self, message: str) -> None:
        """Refuse the configuration."""
        raise InvalidConfigError(f"{message} (configuration {self.config})")

    def fallback_split(self, name: str, constraints: Sequence[int]) -> None:
        """Do nothing: the split is chosen."""

    def _define(self, name: str, make: Callable[[], Knob]) -> None:
        if name not in self.config:
            raise ConfigError(f"knob {name!r} is missing from the configuration {self.config}")


_active: ContextVar[TemplateConfig | None] = ContextVar("tilewright_template_config", default=None)


def get_config() -> TemplateConfig:
    """Return the configuration of the template that runs; outside of one, a fresh collector of defaults."""
    active = _active.get()
    return active if active is not None else SpaceCollector(prefer_defaults=True)


def active_config() -> TemplateConfig | None:
    """Return the configuration of the template that runs, or None outside of one."""
    return _active.get()


@contextmanager
def use_config(config: TemplateConfig) -> Iterator[TemplateConfig]:
    """Make `get_config()` answer with `config` in this context."""
    token = _active.set(config)
    try:
        yield config
    finally:
        _active.reset(token)
