"""A space that is known by its recorded trials, for tuners to search without measuring."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewright.logs.errors import RecordError

if TYPE_CHECKING:
    from tilewright.templates.knobs import Knob
    from tilewright.templates.space import ConfigSpace

_LARGEST_RANGE = 2**62

_logger = logging.getLogger(__name__)

Trial = tuple[dict[str, Any], float | None]


@dataclass(frozen=True, slots=True)
class RecordedSpace:
    """The points of a space and what they cost.

    Attributes:
        name: of the file, without its ending.
        space: valid at the recorded points only.
        costs: seconds of each valid index; None where the trial failed.
    """

    name: str
    space: "ConfigSpace"
    costs: Mapping[int, float | None]

    @property
    def failures(self) -> int:
        """How many configurations failed."""
        return sum(cost is None for cost in self.costs.values())

    @property
    def optimum(self) -> float:
        """The lowest cost."""
        return min(cost for cost in self.costs.values() if cost is not None)


def options_space(
    name: str, trials: Iterable[Trial], values: Mapping[str, Sequence[Any]] | None = None
) -> RecordedSpace:
    """The space of plain choices that trials tell of; of equal configurations the first counts.

    Args:
        name: of the file.
        trials: configurations and seconds.
        values: the choices of each knob in their order; those that were tried are added. Without it they are
            the tried ones, numbers in ascending order.

    Raises:
        RecordError: there is no trial that ran, or the trials are not of one space.
    """
    from tilewright.templates.errors import SpaceError
    from tilewright.templates.knobs import option_knob

    kept = list(trials)
    names = list(values or _usual_names(kept))
    fitting = _fitting(name, names, kept)
    try:
        choices = {
            knob: [*(values or {}).get(knob, ()), *_tried([config[knob] for config, _ in fitting])]
            for knob in names
        }
        knobs = [option_knob(knob, found) for knob, found in choices.items()]
    except SpaceError as error:
        raise RecordError(f"{name}: {error}") from None
    return points_space(name, knobs, fitting)


def _usual_names(trials: Sequence[Trial]) -> Iterable[str]:
    """The knobs that most trials have, in the order of the first such."""
    if not trials:
        return ()
    [(usual, _)] = Counter(frozenset(config) for config, _ in trials).most_common(1)
    return next(config for config, _ in trials if config.keys() == usual)


def points_space(name: str, knobs: "Sequence[Knob]", trials: Sequence[Trial]) -> RecordedSpace:
    """The space of `knobs` that is valid at the tried points.

    Raises:
        RecordError: no trial ran, or the space has more points than can be numbered.
    """
    from tilewright.templates.errors import ConfigError
    from tilewright.templates.space import ConfigSpace

    fitting = _fitting(name, [knob.name for knob in knobs], trials)
    if all(cost is None for _, cost in fitting):
        raise RecordError(f"{name}: no configuration ran")
    if math.prod(len(knob) for knob in knobs) >= _LARGEST_RANGE:
        raise RecordError(f"{name}: the product of its knobs' choices is too large to be searched")
    try:
        whole = ConfigSpace(tuple(knobs))
        costs: dict[int, float | None] = {}
        for config, cost in fitting:
            costs.setdefault(whole.from_values(config).index, cost)
    except ConfigError as error:
        raise RecordError(f"{name}: {error}") from None
    return RecordedSpace(name, ConfigSpace(tuple(knobs), (), frozenset(costs)), costs)


def _fitting(name: str, names: Sequence[str], trials: Sequence[Trial]) -> list[Trial]:
    """The trials that have these knobs; a cost that is none counts as a failure."""
    fitting = [
        (config, cost if cost is not None and 0 < cost < math.inf else None)
        for config, cost in trials
        if config.keys() == set(names)
    ]
    if len(fitting) < len(trials):
        _logger.warning(
            "%s: %d configurations are left out: their knobs are not %s",
            *(name, len(trials) - len(fitting), ", ".join(names)),
        )
    return fitting


def _tried(values: Sequence[Any]) -> list[Any]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return sorted(values)
    return list(values)
