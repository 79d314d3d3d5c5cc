"""Optuna's multivariate TPE on our spaces; optuna is optional."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.templates import ConfigSpace
from tilewright.templates.knobs import Knob
from tilewright.tuners import Observation, Tuner

# Proposals in vain, invalid or known, after which a random configuration is taken.
ATTEMPTS = 100


class OptunaSearch(Tuner):
    """Asks a study and tells it: what is invalid or fails is pruned, what is known has its cost."""

    def __init__(self, space: ConfigSpace, seed: int, **options: Any) -> None:
        """Make a study.

        Raises:
            SystemExit: optuna is not installed.
        """
        try:
            import optuna
        except ImportError:
            raise SystemExit("tpe needs optuna: pip install optuna") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._pruned = optuna.trial.TrialState.PRUNED
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        self._study = optuna.create_study(sampler=sampler)
        self._distributions = {knob.name: _distribution(knob, optuna.distributions) for knob in space.knobs}
        self._asked: dict[int, Any] = {}
        super().__init__(space, seed, **options)

    def update(self, observations: Iterable[Observation]) -> None:
        """Tell the study too what it asked for."""
        observations = list(observations)
        super().update(observations)
        for observation in observations:
            trial = self._asked.pop(self.space.index(observation.config), None)
            if trial is not None:
                self._tell(trial, observation.cost_seconds)

    def _propose(self, count: int) -> Sequence[int]:
        proposed: list[int] = []
        for _ in range(count * ATTEMPTS):
            if len(proposed) == count:
                break
            trial = self._study.ask(self._distributions)
            index = self.space.knob_to_point([trial.params[name] for name in self.space.names])
            if self.space.is_valid(index) and index not in self.seen and index not in self._asked:
                self._asked[index] = trial
                proposed.append(index)
            else:
                self._tell(trial, self.costs.get(index))
        return proposed

    def _tell(self, trial: Any, cost: float | None) -> None:
        if cost is None:
            self._study.tell(trial, state=self._pruned)
        else:
            self._study.tell(trial, cost)


def _distribution(knob: Knob, distributions: Any) -> Any:
    """The places of a knob's choices: in order where these are numbers in order, else unordered."""
    values = [entity.to_json() for entity in knob.entities]
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and numbers == sorted(numbers):
        return distributions.IntDistribution(0, len(knob) - 1)
    return distributions.CategoricalDistribution(tuple(range(len(knob))))
