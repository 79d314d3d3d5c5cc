"""AutoTVM's XGBTuner on our spaces (Chen et al., NeurIPS 2018), with the defaults of its last release.

Boosted trees are fitted after each plan of 64 trials, and simulated annealing on their predictions makes the
next plan, the last twentieth of which is random. Configurations are described by their knobs (the feature
type ``knob``): a recorded space has no loop nests to describe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from searches.simulated_annealing import Annealing, Indices, Scores
from tilewright.templates import ConfigSpace
from tilewright.tuners import Tuner
from tilewright.tuners.features import Matrix

PLAN = 64
RANDOM_SHARE = 0.05
ROUNDS = 8000
# Rounds without a higher recall after which fitting ends.
PATIENCE = 20
PARAMETERS: dict[str, Any] = {
    "max_depth": 3, "gamma": 1e-4, "min_child_weight": 1, "subsample": 1.0, "eta": 0.3, "lambda": 1.0,
    "alpha": 0, "verbosity": 0, "nthread": 1,
}  # fmt: skip
LOSSES: dict[str, dict[str, Any]] = {
    "reg": {"objective": "reg:squarederror"},
    # One random pair for each row and no normalisation: what the objective did before xgboost 2.0.
    "rank": {
        "objective": "rank:pairwise", "lambdarank_pair_method": "mean", "lambdarank_num_pair_per_sample": 1,
        "lambdarank_normalization": False,
    },
}  # fmt: skip


class AutoTvmSearch(Tuner):
    """Plans of trials by annealing on boosted trees."""

    def __init__(self, space: ConfigSpace, seed: int, *, loss: str, **options: Any) -> None:
        """``loss`` is ``rank`` or ``reg``."""
        self._parameters = {**PARAMETERS, **LOSSES[loss], "seed": seed}
        self._plan: list[int] = []
        self._planned = 0
        self._fits = 0
        super().__init__(space, seed, **options)

    @cached_property
    def _annealing(self) -> Annealing:
        return Annealing(self.space, self.rng)

    @cached_property
    def _extract(self) -> Callable[[Indices], Matrix]:
        return self.features(self.space)

    def _propose(self, count: int) -> Sequence[int]:
        proposed: list[int] = []
        last = len(self._plan) - int(RANDOM_SHARE * PLAN)
        while self._planned < last and len(proposed) < count:
            proposed.append(self._plan[self._planned])
            self._planned += 1
        return proposed  # what is missing is filled at random

    def _learn(self, fresh: Sequence[int]) -> None:
        if len(self.costs) < PLAN * (self._fits + 1):
            return
        known: Indices = np.array(list(self.costs), dtype=self.space.index_dtype)
        speeds = np.array([0.0 if cost is None else 1 / cost for cost in self.costs.values()])
        if speeds.max() <= 0:
            return
        order = self.rng.permutation(len(known))
        model = fit(self._parameters, self._extract(known[order]), (speeds / speeds.max())[order])

        def score(indices: Indices) -> Scores:
            return np.asarray(model.inplace_predict(self._extract(indices)), np.float64)

        self._plan = self._annealing.find_maximums(score, PLAN, self.seen)
        self._planned, self._fits = 0, self._fits + 1


def fit(parameters: dict[str, Any], rows: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Any:
    """Trees that are added while the recall of the best rows on the training set rises."""
    import xgboost

    class UntilRecallStays(xgboost.callback.TrainingCallback):
        """Ends the training."""

        best, since = -1.0, 0

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            found = recall(np.asarray(model.predict(data)), labels, PLAN)
            self.best, self.since = (found, 0) if found > self.best else (self.best, self.since + 1)
            return self.since >= PATIENCE

    data = xgboost.DMatrix(rows, labels)
    if parameters["objective"].startswith("rank"):
        data.set_group([len(rows)])
    return xgboost.train(parameters, data, ROUNDS, callbacks=[UntilRecallStays()])


def recall(predicted: npt.NDArray[Any], labels: npt.NDArray[Any], most: int) -> float:
    """The mean over n up to ``most`` of the share of the true best n among the n that are predicted best."""
    ranks = np.empty(len(labels), np.int64)
    ranks[np.argsort(-labels, kind="stable")] = np.arange(len(labels))
    ordered = ranks[np.argsort(-predicted, kind="stable")]
    counts = range(1, min(most, len(labels)) + 1)
    return float(np.mean([(ordered[:n] < n).mean() for n in counts]))
