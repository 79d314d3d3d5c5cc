"""A prior from an estimate: a few hundred configurations are estimated, a regression stands in for the rest.

An estimate of one configuration takes milliseconds, and a tuner asks for ten thousand at a time. Trees over
the features of knobs answer in a fraction of a second; they only need to rank configurations as the
estimate does.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.errors import TilewrightError
from tilewright.templates.config import Config
from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.features import Extractor, FeatureMap, knob_features
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Prior, Vector
from tilewright.tuners.xgboost_model import XGBoostModel

# The natural logarithm of a configuration's cost, in any unit.
Estimate = Callable[[Config], float]

SAMPLE = 256
SECONDS = 2.0
_FEWEST = 2
_MEMBERS = 2
_ROUNDS = 120
# The share of the sample that is drawn where the regression of the rest expects the lowest costs, and of how
# many. Trees that saw random points only rank the few good ones badly.
_REFINED_SHARE = 0.4
_POOL = 4096

_log = logging.getLogger(__name__)


def _make_trees(seed: int) -> CostModel:
    return XGBoostModel(seed, _MEMBERS, _ROUNDS)


@dataclass(frozen=True, slots=True, eq=False)
class DistilledPrior:
    """A regression of estimates, and the estimates themselves where they are known.

    Attributes:
        known: the estimate of each index that was asked for, as a logarithm.
    """

    model: CostModel
    extract: Extractor
    known: dict[int, float]

    def __call__(self, space: ConfigSpace, indices: Ordinals) -> Vector:
        """Return the logarithm of the cost of each index, up to a constant."""
        if not len(indices):
            return np.zeros(0)
        predicted, _ = self.model.predict(Points.of_features(self.extract(indices)))
        return np.array(
            [self.known.get(index, value) for index, value in zip(indices.tolist(), predicted, strict=True)]
        )


def distil_prior(
    space: ConfigSpace,
    estimate: Estimate,
    seed: int,
    *,
    default: Config | None = None,
    sample: int = SAMPLE,
    seconds: float = SECONDS,
    features: FeatureMap = knob_features,
    make_model: Callable[[int], CostModel] = _make_trees,
) -> Prior | None:
    """Return a prior that ranks configurations as an estimate does; without one, None and a warning.

    The same seed gives the same prior, unless the time runs out. In a space of no more than ``sample``
    configurations all are estimated.

    Args:
        space: whose configurations it is for.
        estimate: the natural logarithm of the cost of a configuration, in any unit. A configuration for which
            it raises a `TilewrightError` is left out.
        seed: of the sample and the regression.
        default: estimated first, if given.
        sample: at most so many configurations are estimated.
        seconds: no further one is begun after so long.
        features: makes the function from indices to feature rows.
        make_model: makes the regression.
    """
    try:
        estimates = _Estimates(space, estimate, time.monotonic() + seconds)
        return _distil(estimates, seed, default, sample, features, make_model)
    except Exception as error:  # a guess that fails must not end a run that can do without it
        _log.warning("there is no prior (%s); the search begins without one", error)
        return None


@dataclass(slots=True)
class _Estimates:
    """What is known of a space, and how more becomes known, until the time is over."""

    space: ConfigSpace
    estimate: Estimate
    end: float
    known: dict[int, float] = field(default_factory=dict)

    def learn(self, indices: Iterable[int]) -> None:
        """Estimate configurations, as long as there is time."""
        for index in indices:
            if self.known and time.monotonic() > self.end:
                return
            try:
                value = self.estimate(self.space.config(index))
            except TilewrightError:
                continue
            if math.isfinite(value):
                self.known[index] = value


def _distil(
    found: _Estimates,
    seed: int,
    default: Config | None,
    sample: int,
    features: FeatureMap,
    make_model: Callable[[int], CostModel],
) -> Prior:
    space, rng = found.space, np.random.default_rng(seed)
    first = [] if default is None else [default.index]
    refined = round(_REFINED_SHARE * sample)
    points = space.valid_points
    if points is not None and len(points) <= sample:
        refined = 0
    found.learn([*first, *space.sample(sample - refined - len(first), rng, set(first))])
    prior = _fit(found, features, make_model(seed))
    if not refined:
        return prior
    pool: Ordinals = np.array(space.sample(_POOL, rng, set(found.known)), dtype=space.index_dtype)
    found.learn(pool[np.argsort(prior(space, pool), kind="stable")[:refined]].tolist())
    return _fit(found, features, make_model(seed))


def _fit(found: _Estimates, features: FeatureMap, model: CostModel) -> DistilledPrior:
    if len(found.known) < _FEWEST:
        raise ValueError(f"{len(found.known)} configurations could be estimated")
    indices: Ordinals = np.array(list(found.known), dtype=found.space.index_dtype)
    extract = features(found.space)
    model.fit(Points.of_features(extract(indices)), np.array(list(found.known.values())))
    return DistilledPrior(model, extract, dict(found.known))
