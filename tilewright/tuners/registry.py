"""The tuners by name."""

from numbers import Integral
from typing import Any

from tilewright.templates.space import ConfigSpace
from tilewright.tuners.descent import CoordinateDescent
from tilewright.tuners.errors import TunerError
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


def make_tuner(name: str, space: ConfigSpace, seed: int, **options: Any) -> Tuner:
    """Return the tuner called `name`; the options are those of `Tuner`.

    Raises:
        TunerError: there is no such tuner, or the seed is none.
    """
    if not isinstance(name, str) or name not in TUNERS:
        raise TunerError(f"there is no tuner {name!r}; choose one of {', '.join(TUNERS)}")
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise TunerError(f"seed must be an integer from 0, not {seed!r}")
    return TUNERS[name](space, seed, **options)
