"""Guesses made before anything is measured, as columns that a model may lean on."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Mask, Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.features import Matrix
from tilewright.tuners.prior import Hearsay, Prior, Vector
from tilewright.tuners.scores import NormalScale

_SAMPLE = 2000
# A space of no more indices keeps what the priors said of each: a search asks for all of them at every batch.
_TABLE_LIMIT = 1_000_000
_FIRST_SLOPE = 0.8
_FIRST_WEIGHT = 4.0
# The correlation over the space of two priors that say the same; devices unlike each other have some .4.
_AGREEMENT = 0.5
# Two that are closer are one source that is given twice.
_SAME = 0.999
# The normal score of the best sixth, of which one source alone is not believed.
_BEST = -1.0
# As a logarithm: eight measurements with a correlation of .68 have it, sixteen with one of .52.
_LEAST_SUPPORT = 2.5
# Measurements that decide whether hearsay is ever heard alone: later ones lie where the search went.
_FIRST = 12
_LEAST_LEFT = 1e-6

_log = logging.getLogger(__name__)


class Guides:
    """Priors on one scale, each with a slope that follows from how well it agrees with what was measured.

    The slopes are those of a least-squares fit that are not negative, drawn towards equal shares as if
    `_FIRST_WEIGHT` measurements had agreed with them: a prior of a similar kernel leads from the first trial,
    one that disagrees is left aside after a few.

    Hearsay leads the first trials only where another prior says the same. Then measurements have to bear it
    out, and do so early: the few trials that a source unlike the target would spend are those that a search
    can spare least, and what agrees only where the search went says little of where it should go.
    A source that is given twice is heard as one, since nobody bears himself out.

    Where only one source is heard, what it says of its own best has a slope apart, which is zero at first:
    devices that agree over a space may do so least among its fastest, and the search would stay where only
    the source has its best.

    Attributes:
        heard: which of the priors have a say.
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
        self._scales = [self._scales[n] for n in _distinct(self._ask_all(sample), self._hearsay())]
        is_small = space.range_length <= _TABLE_LIMIT
        self._table = np.full((space.range_length, len(self)), np.nan, dtype=np.float32) if is_small else None
        self._is_hearsay = self._hearsay()
        self.heard = ~self._is_hearsay | _agree(self.columns(sample))
        self._begin_slopes()

    def __len__(self) -> int:
        return len(self._scales)

    @property
    def slopes(self) -> Vector:
        """What each prior adds to a score, but for what is apart; zero where it is not heard."""
        return self._slopes[: len(self)]

    def _hearsay(self) -> Mask:
        return np.array([isinstance(prior, Hearsay) for prior, _ in self._scales], dtype=bool)

    def columns(self, indices: Ordinals) -> Matrix:
        """Return what each prior says of indices, one a column, as normal scores."""
        if self._table is None:
            return self._ask_all(indices)
        new = indices[np.isnan(self._table[indices]).any(axis=1)]
        if len(new):
            self._table[new] = self._ask_all(new)
        return np.asarray(self._table[indices])

    def _ask_all(self, indices: Ordinals) -> Matrix:
        found = []
        for prior, scale in self._scales:
            values = self._ask(prior, indices)
            found.append(np.zeros(len(indices)) if values is None else scale(values))
        return (
            np.stack(found, axis=1).astype(np.float32)
            if found
            else np.zeros((len(indices), 0), dtype=np.float32)
        )

    def confront(self, columns: Matrix, scores: Vector) -> float:
        """Hear, of hearsay, what the scores of measured configurations bear out.

        Args:
            columns: what each prior says of these configurations, in the order in which they were measured.
            scores: low for fast.

        Returns:
            How much likelier the scores are for the best of what is heard, as a logarithm.
        """
        support = np.array([_support(column, scores) for column in columns.T])
        first = np.array([_support(column, scores[:_FIRST]) for column in columns[:_FIRST].T])
        self.heard = ~self._is_hearsay | (np.minimum(support, first) >= _LEAST_SUPPORT)
        return float(support[self.heard].max(initial=0.0))

    def weigh(self, columns: Matrix, targets: Vector) -> None:
        """Fit the slopes of what is heard to targets, whose priors' columns are given."""
        from scipy.optimize import nnls

        self._begin_slopes()
        if not self.heard.any():
            return
        heard = np.tile(self.heard, 2)
        terms, first = self._terms(columns)[:, heard], self._slopes[heard]
        pull = np.sqrt(_FIRST_WEIGHT) * np.eye(len(first))
        rows = np.vstack([terms - terms.mean(axis=0), pull])
        self._slopes[heard] = nnls(rows, np.concatenate([targets - targets.mean(), pull @ first]))[0]

    def expect(self, columns: Matrix) -> Vector:
        """Return the targets that the priors together expect, up to a constant."""
        return np.asarray(self._terms(columns) @ self._slopes)

    def _begin_slopes(self) -> None:
        hearsay = self.heard & self._is_hearsay
        self._is_lone: Mask = hearsay & (hearsay.sum() == 1)
        shares = np.where(self.heard, _FIRST_SLOPE / max(int(self.heard.sum()), 1), 0.0)
        self._slopes = np.concatenate([shares, np.zeros(len(self))])

    def _terms(self, columns: Matrix) -> Matrix:
        """Return all that has a slope: what each prior says, then what lone hearsay says of its own best."""
        plain = np.where(self._is_lone, np.maximum(columns, _BEST), columns)
        return np.hstack([plain, columns - plain])

    def _ask(self, prior: Prior, indices: Ordinals) -> Vector | None:
        """Return what a prior says; nothing, with a message, where it fails."""
        try:
            values = np.asarray(prior(self._space, indices), dtype=np.float64)
        except Exception as error:  # a guess that fails must not end a run
            _log.info("a prior failed (%s); the search goes on without it", error)
            return None
        if values.shape != (len(indices),) or not np.isfinite(values).all():
            _log.info("a prior gave no finite number for each configuration; the search goes on without it")
            return None
        return values


def _distinct(columns: Matrix, is_hearsay: Mask) -> list[int]:
    """Return the columns that are no hearsay which one before them repeats."""
    is_same = np.tril(_correlation(columns) >= _SAME) & np.outer(is_hearsay, is_hearsay)
    return np.flatnonzero(~is_same.any(axis=1)).tolist()


def _agree(columns: Matrix) -> Mask:
    """Return which of the columns have another that says the same."""
    return np.asarray((_correlation(columns) >= _AGREEMENT).any(axis=1))


def _correlation(columns: Matrix) -> NDArray[np.float64]:
    """Return that of each column with each other one."""
    count = columns.shape[1]
    found = np.corrcoef(columns, rowvar=False).reshape(count, count) if count else np.zeros((0, 0))
    np.fill_diagonal(found, 0.0)
    return found


def _support(column: Vector, scores: Vector) -> float:
    """Return how much likelier a line through a column makes the scores than a constant, as a logarithm."""
    if np.ptp(column) == 0 or np.ptp(scores) == 0:
        return 0.0
    correlation = float(np.corrcoef(column, scores)[0, 1])
    left = max(1 - correlation**2, _LEAST_LEFT)
    return float(-np.sign(correlation) * len(scores) / 2 * np.log(left))
