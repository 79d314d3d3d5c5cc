"""Guesses made before anything is measured, as columns that a model may lean on."""

import logging
from collections.abc import Sequence

import numpy as np

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.features import Matrix
from tilewright.tuners.prior import Prior, Vector
from tilewright.tuners.scores import NormalScale

_SAMPLE = 2000
_FIRST_SLOPE = 0.8
_FIRST_WEIGHT = 4.0

_log = logging.getLogger(__name__)


class Guides:
    """Priors on one scale, each with a slope that follows from how well it agrees with what was measured.

    The slopes are those of a least-squares fit that are not negative, drawn towards equal shares as if
    `_FIRST_WEIGHT` measurements had agreed with them: a prior of a similar kernel leads from the first trial,
    one that disagrees is left aside after a few.
    """

    def __init__(self, space: ConfigSpace, priors: Sequence[Prior]) -> None:
        self._space = space
        rng = np.random.default_rng(0)
        sample: Ordinals = np.array(space.sample(_SAMPLE, rng), dtype=space.index_dtype)
        self._scales: list[tuple[Prior, NormalScale]] = []
        for prior in priors:
            values = self._ask(prior, sample)
            if values is not None and np.ptp(values) > 0:
                self._scales.append((prior, NormalScale(values)))
        self.slopes: Vector = np.full(len(self), _FIRST_SLOPE / max(len(self), 1))

    def __len__(self) -> int:
        return len(self._scales)

    def columns(self, indices: Ordinals) -> Matrix:
        """Return what each prior says of indices, one a column, as normal scores."""
        found = []
        for prior, scale in self._scales:
            values = self._ask(prior, indices)
            found.append(np.zeros(len(indices)) if values is None else scale(values))
        return (
            np.stack(found, axis=1).astype(np.float32)
            if found
            else np.zeros((len(indices), 0), dtype=np.float32)
        )

    def weigh(self, columns: Matrix, targets: Vector) -> None:
        """Fit the slopes to targets, whose priors' columns are given."""
        from scipy.optimize import nnls

        if not len(self):
            return
        first = np.full(len(self), _FIRST_SLOPE / len(self))
        pull = np.sqrt(_FIRST_WEIGHT) * np.eye(len(self))
        rows = np.vstack([columns - columns.mean(axis=0), pull])
        self.slopes = nnls(rows, np.concatenate([targets - targets.mean(), pull @ first]))[0]

    def expect(self, columns: Matrix) -> Vector:
        """Return the targets that the priors together expect, up to a constant."""
        return np.asarray(columns @ self.slopes)

    def _ask(self, prior: Prior, indices: Ordinals) -> Vector | None:
        """Return what a prior says; nothing, with a warning, where it fails."""
        try:
            values = np.asarray(prior(self._space, indices), dtype=np.float64)
        except Exception as error:  # a guess that fails must not end a run
            _log.warning("a prior failed (%s); the search goes on without it", error)
            return None
        if values.shape != (len(indices),) or not np.isfinite(values).all():
            _log.warning(
                "a prior gave no finite number for each configuration; the search goes on without it"
            )
            return None
        return values
