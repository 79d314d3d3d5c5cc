"""Priors on one scale, weighed by how well they agree; experts that are heard as they foretell."""

import logging
from typing import Any

import numpy as np
import pytest

from tilewright.templates import ConfigSpace, option_knob
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.expert import FAITH, Expert, shares
from tilewright.tuners.guides import Guides
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Hearsay
from tilewright.tuners.scores import NormalScale, cost_scores, log_scores, normal_scores

SPACE = ConfigSpace((option_knob("x", range(16)), option_knob("y", range(16))))
INDICES = np.arange(256)


def good(space: Any, indices: Any) -> Any:
    return np.asarray(indices, dtype=np.float64)


def bad(space: Any, indices: Any) -> Any:
    return -good(space, indices)


def test_scores_are_ranks() -> None:
    scores = normal_scores(np.array([3.0, 1.0, np.inf, 2.0, np.inf]))
    assert scores.argsort(kind="stable").tolist() == [1, 3, 0, 2, 4]
    assert scores[2] == scores[4]
    assert normal_scores(np.arange(9.0))[4] == pytest.approx(0.0)


def test_scores_of_costs_order_them_and_bear_outliers() -> None:
    costs = np.array([1.0, 1.01, 2.0, 3.0, 4.0, 1e9, np.inf])
    scores = cost_scores(costs)
    assert (np.diff(scores) > 0).all()
    assert scores[1] - scores[0] < scores[2] - scores[1]  # their distance counts, not their rank alone
    assert scores[6] - scores[4] < 2
    assert cost_scores(np.full(3, np.inf)).tolist() == [0.0, 0.0, 0.0]
    assert cost_scores(np.ones(3)).tolist() == pytest.approx([0.0, 0.0, 0.0])


def test_logarithms_of_costs_tell_bad_from_useless() -> None:
    scores = log_scores(np.array([1.0, 2.0, 100.0, np.inf]))
    assert scores[2] - scores[1] > 5 * (scores[1] - scores[0]) > 0
    assert scores[3] == scores[2]
    assert scores.mean() == pytest.approx(0.0)
    assert log_scores(np.full(3, np.inf)).tolist() == [0.0, 0.0, 0.0]
    assert log_scores(np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_a_scale_is_that_of_its_reference() -> None:
    scale = NormalScale(np.arange(100.0))
    assert np.abs(scale(np.array([-5.0, 49.5, 1e9])) - [-2.6, 0.0, 2.6]).max() < 0.1


def test_a_prior_that_agrees_leads_and_one_that_does_not_is_left_aside() -> None:
    guides = Guides(SPACE, [good, bad])
    assert guides.slopes[0] == guides.slopes[1] > 0
    known = np.arange(0, 256, 8)
    guides.weigh(guides.columns(known), normal_scores(known.astype(np.float64)))
    assert guides.slopes[0] > 0.7
    assert guides.slopes[1] < 0.1
    expected = guides.expect(guides.columns(INDICES))
    assert (np.diff(expected) >= 0).all()


def nearly_good(space: Any, indices: Any) -> Any:
    return good(space, indices) + 5 * (indices % 7)


class Heard(Hearsay):
    """Hearsay of a function's opinion."""

    def __init__(self, prior: Any) -> None:
        self.prior = prior

    def __call__(self, space: Any, indices: Any) -> Any:
        return self.prior(space, indices)


def test_hearsay_is_heard_where_another_prior_agrees() -> None:
    assert Guides(SPACE, [good]).heard.tolist() == [True]
    assert Guides(SPACE, [Heard(good)]).heard.tolist() == [False]
    assert Guides(SPACE, [Heard(good), Heard(bad)]).heard.tolist() == [False, False]
    assert Guides(SPACE, [Heard(good), Heard(nearly_good), Heard(bad)]).heard.tolist() == [True, True, False]
    assert Guides(SPACE, [good, Heard(good), Heard(bad)]).heard.tolist() == [True, True, False]


def test_what_is_given_twice_does_not_bear_itself_out() -> None:
    guides = Guides(SPACE, [good, Heard(bad), Heard(bad), Heard(bad)])
    assert guides.heard.tolist() == [True, False]


def test_hearsay_is_heard_while_measurements_bear_it_out() -> None:
    guides = Guides(SPACE, [Heard(good), Heard(bad)])
    columns = guides.columns(np.arange(0, 256, 32))
    rising = normal_scores(np.arange(8.0))
    assert guides.confront(columns, rising) > 5
    assert guides.heard.tolist() == [True, False]
    guides.weigh(columns, rising)
    assert guides.slopes[0] > 0.5
    assert guides.slopes[1] == 0.0
    assert guides.confront(columns, np.ones(8)) == 0.0
    assert guides.heard.tolist() == [False, False]
    guides.weigh(columns, np.ones(8))
    assert guides.expect(columns).tolist() == [0.0] * 8


def test_what_one_source_says_of_its_own_best_is_heard_as_measurements_bear_it_out() -> None:
    guides = Guides(SPACE, [Heard(good), Heard(bad)])
    best, others = INDICES[:36], INDICES[48:]
    spread = guides.columns(INDICES[4::16])
    guides.confront(spread, spread[:, 0].astype(np.float64))
    few = guides.columns(others[::16])
    guides.weigh(few, few[:, 0].astype(np.float64))
    assert guides.heard.tolist() == [True, False]
    expected = guides.expect(guides.columns(INDICES))
    assert np.ptp(expected[best]) == 0
    assert (np.diff(expected[others]) > 0).all()
    assert expected[best].max() < expected[others].min()
    guides.weigh(spread, spread[:, 0].astype(np.float64))
    assert (np.diff(guides.expect(guides.columns(best))) > 0).all()


def test_what_two_sources_say_of_their_best_is_heard_at_once() -> None:
    guides = Guides(SPACE, [Heard(good), Heard(nearly_good)])
    assert (np.diff(guides.expect(guides.columns(np.arange(0, 35, 7)))) > 0).all()


def test_more_measurements_bear_out_a_weaker_agreement() -> None:
    guides, rng = Guides(SPACE, [Heard(good)]), np.random.default_rng(2)
    known = rng.permutation(256)
    columns = guides.columns(known)
    scores = 0.5 * columns[:, 0] + rng.standard_normal(256)
    heard = []
    for count in (4, 128):
        guides.confront(columns[:count], scores[:count])
        heard.append(bool(guides.heard[0]))
    assert heard == [False, True]


def test_agreement_that_comes_late_is_not_heard() -> None:
    """The first measurements lie everywhere; later ones lie where the search went."""
    guides, rng = Guides(SPACE, [Heard(good)]), np.random.default_rng(0)
    columns = guides.columns(rng.permutation(256))
    scores = columns[:, 0].astype(np.float64)
    first, later = -scores[:12], scores[12:]
    late = np.concatenate([first, later])
    assert guides.confront(columns, late) == 0.0
    assert guides.heard.tolist() == [False]
    assert guides.confront(columns[12:], later) > 0
    assert guides.heard.tolist() == [True]


@pytest.mark.parametrize(
    "prior",
    [
        lambda space, indices: 1 / 0,
        lambda space, indices: np.full(len(indices), np.nan),
        lambda space, indices: np.zeros(3),
    ],
)
def test_a_prior_that_fails_is_one_message(prior: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        guides = Guides(SPACE, [prior, good])
    assert len(guides) == 1
    assert len(caplog.records) == 1


def test_a_prior_that_says_nothing_is_dropped() -> None:
    assert len(Guides(SPACE, [lambda space, indices: np.ones(len(indices))])) == 0


class Flat(CostModel):
    """Expects the same everywhere, and is as sure as it is told."""

    def __init__(self, mean: float, spread: float) -> None:
        self.mean, self.spread = mean, spread

    def fit(self, points: Points, targets: Any) -> None:
        self.seen = targets

    def predict(self, points: Points) -> tuple[Any, Any]:
        return np.full(len(points), self.mean), np.full(len(points), self.spread)


def points(guides: Guides, indices: Any) -> Points:
    empty = np.zeros((len(indices), 0))
    return Points(SPACE.ordinals(indices), empty.astype(np.float32), guides.columns(indices))


def test_an_expert_with_guides_models_what_they_leave() -> None:
    guides = Guides(SPACE, [good])
    model = Flat(0.5, 1.0)
    expert = Expert(model, guides)
    known = points(guides, np.arange(0, 256, 16))
    scores = normal_scores(np.arange(16.0))
    expert.fit(known, scores)
    assert np.abs(model.seen).max() < np.abs(scores).max() / 2
    mean, _ = expert.predict(known)
    assert mean == pytest.approx(guides.expect(known.guesses) + 0.5)


def test_who_foretells_is_heard() -> None:
    guides = Guides(SPACE, [])
    right, wrong = (expert(mean) for mean in (0.0, 1.0))
    for each in (right, wrong):
        mean, spread = each.predict(points(guides, np.arange(4)))
        each.foretell([0, 1, 2, 3], mean, spread)
        each.judge({0: 0.1, 1: -0.1, 2: 0.0})
    assert shares([right, wrong], 10)[0] > 0.8
    assert shares([right, wrong], 10)[1] > 0.05  # it may be right another time
    assert shares([right, right], 10) == pytest.approx([0.5, 0.5])


def test_guides_are_heard_less_and_less() -> None:
    guided = Expert(Flat(0.0, 1.0), Guides(SPACE, [good]))
    heard = [float(shares([expert(0.0), guided], known)[1]) for known in (0, FAITH, 10 * FAITH)]
    assert heard == pytest.approx([1 / 2, 1 / 3, 0.0], abs=0.01)


def test_a_sure_expert_that_errs_loses_more_than_a_doubtful_one() -> None:
    guides = Guides(SPACE, [])
    sure, doubtful = expert(2.0, 0.1), expert(2.0, 2.0)
    for each in (sure, doubtful):
        each.foretell([0], *each.predict(points(guides, np.arange(1))))
        each.judge({0: 0.0})
    assert sure.evidence < doubtful.evidence


def test_an_expert_that_was_too_sure_becomes_doubtful() -> None:
    guides = Guides(SPACE, [])
    erring, right = expert(2.0, 0.2), expert(0.0, 0.2)
    spreads = []
    for each in (erring, right):
        for _ in range(8):
            each.foretell([0, 1], *each.predict(points(guides, np.arange(2))))
            each.judge({0: 0.1, 1: -0.1})
        spreads.append(float(each.predict(points(guides, np.arange(1)))[1][0]))
    assert spreads[0] > 2 * spreads[1]
    assert spreads[1] == pytest.approx(0.2)


def test_a_prediction_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ArithmeticError, match="no finite number"):
        expert(np.nan).predict(points(Guides(SPACE, []), np.arange(2)))


def expert(mean: float, spread: float = 0.5) -> Expert:
    model: CostModel = Flat(mean, spread)
    return Expert(model, None)
