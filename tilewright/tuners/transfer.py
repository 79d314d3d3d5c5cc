"""What other workloads and machines have shown, as a guess for a space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Ordinals
from tilewright.templates.errors import ConfigError, SpaceError
from tilewright.templates.knobs import Entity, Knob
from tilewright.templates.space import ConfigSpace
from tilewright.templates.space_json import entity_from_json
from tilewright.tuners.features import Matrix, knob_table
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Hearsay, Vector
from tilewright.tuners.scores import normal_scores
from tilewright.tuners.xgboost_model import XGBoostModel

LEAST_TRIALS = 8
_MOST_TRIALS = 5000
_ROUNDS = 200

Trial = tuple[Mapping[str, Any], float | None]


@dataclass(frozen=True, slots=True)
class TransferPrior(Hearsay):
    """Boosted trees over the trials of another space with the same knobs.

    The values of a knob need not be the same: what the trees see are their features, the logarithms of tile
    sizes among them. Scores are ranks, since other shapes and machines have other speeds.
    """

    model: XGBoostModel
    tables: tuple[Matrix, ...]

    @classmethod
    def fit(cls, space: ConfigSpace, trials: Sequence[Trial], seed: int = 0) -> "TransferPrior | None":
        """Return the prior for `space` that trials give; None where they are too few or of other knobs.

        Args:
            space: the space to guess in.
            trials: knob values by name, and seconds; None for a failure.
            seed: of the trees.
        """
        names = set(space.names)
        fitting = [(values, cost) for values, cost in trials if values.keys() == names]
        if sum(cost is not None for _, cost in fitting) < LEAST_TRIALS:
            return None
        fitting = _even_share(fitting)
        tables, rows = [], []
        try:
            for knob in space.knobs:
                union, choices = _joined(knob, [values[knob.name] for values, _ in fitting])
                table = knob_table(union)
                tables.append(table[: len(knob)])
                rows.append(table[choices])
        except (ConfigError, SpaceError, TypeError, ValueError):
            return None
        model = XGBoostModel(seed, members=1, rounds=_ROUNDS)
        costs = np.array([np.inf if cost is None else cost for _, cost in fitting])
        model.fit(_stack(rows), normal_scores(costs))
        return cls(model, tuple(tables))

    def __call__(self, space: ConfigSpace, indices: Ordinals) -> Vector:
        """Return the expected score of each index of the space that the prior was made for."""
        ordinals = space.ordinals(indices)
        rows = [table[ordinals[:, column]] for column, table in enumerate(self.tables)]
        return self.model.predict(_stack(rows))[0]


def _joined(knob: Knob, values: Sequence[Any]) -> tuple[Knob, NDArray[np.int64]]:
    """Return a knob with the choices of `knob`, then the other values, and the place of each value."""
    places: dict[Entity, int] = {entity: place for place, entity in enumerate(knob.entities)}
    choices = []
    for value in values:
        try:
            entity = knob.entity_of(value)
        except ConfigError:
            entity = entity_from_json(knob.kind, value)
        choices.append(places.setdefault(entity, len(places)))
    return Knob(knob.name, knob.kind, tuple(places)), np.array(choices, dtype=np.int64)


def _even_share(trials: list[Trial]) -> list[Trial]:
    """Return the trials, of very many an even share of the ranks."""
    if len(trials) <= _MOST_TRIALS:
        return trials
    ranked = sorted(trials, key=lambda trial: np.inf if trial[1] is None else trial[1])
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, _MOST_TRIALS).astype(int)]


def _stack(rows: Sequence[Matrix]) -> Points:
    return Points.of_features(np.hstack(rows) if rows else np.zeros((0, 0), dtype=np.float32))
