"""The tuners by name."""

from typing import Any

from tilewright.compiler.errors import TilewrightError
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.descent import CoordinateDescent
from tilewright.tuners.genetic import GeneticSearch
from tilewright.tuners.grid_search import GridSearch
from tilewright.tuners.model_based import ModelBasedSearch
from tilewright.tuners.random_search import RandomSearch
from tilewright.tuners.tuner import Tuner

TUNERS: dict[str, type[Tuner]] = {
    "xgb": ModelBasedSearch,
    "ga": GeneticSearch,
    "random": RandomSearch,
    "grid": GridSearch,
    "descent": CoordinateDescent,
}


class TunerError(TilewrightError, ValueError):
    """There is no tuner of the given name."""


def make_tuner(name: str, space: ConfigSpace, seed: int, **options: Any) -> Tuner:
    """Return the tuner called `name`; the options are those of `Tuner`."""
    if name not in TUNERS:
        raise TunerError(f"there is no tuner {name!r}; choose one of {', '.join(TUNERS)}")
    return TUNERS[name](space, seed, **options)
