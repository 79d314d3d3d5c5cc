from typing import Any

import numpy as np
import pytest

from tilewright.templates import ConfigSpace, option_knob
from tilewright.tuners.acquisition import Opinion, pick_batch
from tilewright.tuners.combined_model import CombinedModel
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.gaussian_process import POINTS_LIMIT, GaussianProcess
from tilewright.tuners.knob_kernel import Grid, KnobKernel
from tilewright.tuners.pending_picks import ProcessPicks
from tilewright.tuners.points import Points


def space() -> ConfigSpace:
    return ConfigSpace(tuple(option_knob(name, range(8)) for name in "abc"))


def bowl(count: int, seed: int) -> tuple[Points, Any]:
    choices = np.random.default_rng(seed).integers(0, 8, (count, 3))
    return at(choices), ((choices[:, :2] - 3) ** 2).sum(axis=1).astype(np.float64)


def at(choices: Any, guesses: Any = None) -> Points:
    features = np.asarray(choices, dtype=np.float32)
    return Points(np.asarray(choices), features, features[:, :0] if guesses is None else guesses)


def test_the_process_learns_a_bowl_and_ignores_an_idle_knob() -> None:
    process = GaussianProcess(space())
    process.fit(*bowl(80, 0))
    unknown, truth = bowl(100, 1)
    assert np.abs(process.predict(unknown)[0] - truth).max() < 1.0


def test_the_spread_is_small_where_it_was_measured() -> None:
    known = at([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]])
    process = GaussianProcess(space())
    process.fit(known, np.array([1.0, 2.0, 3.0, 5.0]))
    far = at([[7, 7, 7]])
    assert process.predict(known)[1].max() < 0.7 * process.predict(far)[1][0]


def test_it_leans_on_a_guess_that_agrees() -> None:
    points, targets = bowl(24, 0)
    unknown, truth = bowl(200, 1)
    errors = {}
    for name, told in (("guided", True), ("blind", False)):
        process = GaussianProcess(space())
        process.fit(at(points.choices, guess(targets) if told else None), targets)
        mean, _ = process.predict(at(unknown.choices, guess(truth) if told else None))
        errors[name] = np.abs(mean - truth).mean()
    assert errors["guided"] < 0.7 * errors["blind"]


def guess(truth: Any) -> Any:
    return np.log1p(truth)[:, None].astype(np.float32)


def test_the_slopes_of_the_likelihood_are_those_of_differences() -> None:
    process = GaussianProcess(space())
    process.fit(*bowl(20, 0))
    squares, scores = process._known_distances(), np.random.default_rng(0).normal(size=20)
    parameters = process._kernel.start + np.random.default_rng(1).normal(size=len(process._kernel.start)) / 4
    slopes = process._loss(parameters, squares, scores)[1]
    for place in range(len(parameters)):
        step = np.zeros_like(parameters)
        step[place] = 1e-5
        upper, lower = (process._loss(parameters + s, squares, scores)[0] for s in (step, -step))
        assert slopes[place] == pytest.approx((upper - lower) / 2e-5, rel=1e-3, abs=1e-4)


def test_equal_targets_and_a_space_of_one_point_are_no_error() -> None:
    for knobs in (space(), ConfigSpace((option_knob("only", [1]),))):
        choices = np.zeros((4, len(knobs.knobs)), dtype=np.int64)
        process = GaussianProcess(knobs)
        process.fit(at(choices), np.ones(4))
        mean, spread = process.predict(at(choices[:3]))
        assert np.isfinite(mean).all()
        assert np.isfinite(spread).all()


def test_many_points_are_thinned() -> None:
    process = GaussianProcess(space())
    points, targets = bowl(3 * POINTS_LIMIT, 0)
    process.fit(points, targets)
    assert np.corrcoef(process.predict(points)[0], targets)[0, 1] > 0.99


class Constant(CostModel):
    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, points: Points, targets: Any) -> None:
        pass

    def predict(self, points: Points) -> tuple[Any, Any]:
        return np.full(len(points), self.value), np.zeros(len(points))


def test_models_that_disagree_are_unsure() -> None:
    mean, spread = CombinedModel([Constant(1.0), Constant(3.0)]).predict(at([[0, 0, 0]]))
    assert (mean[0], spread[0]) == (2.0, 1.0)


def test_a_pick_leaves_the_spread_that_its_measurement_would() -> None:
    process = GaussianProcess(space())
    known, targets = bowl(30, 0)
    process.fit(known, targets)
    asked = bowl(40, 1)[0]
    pending, before = process.opinion(asked).pending, process.predict(asked)[1]
    for place in (3, 8, 21):
        pending.add(place)

    rows = [np.array(row) for row in (known.choices, asked.choices[[3, 8, 21]])]
    measured = at(np.vstack(rows))
    prior = process._covariance(asked, measured).astype(np.float64)
    among = process._covariance(measured, measured).astype(np.float64)
    noise = process._kernel.noise(process._parameters) * np.eye(len(measured))
    explained = np.einsum("ij,ij->i", prior, np.linalg.solve(among + noise, prior.T).T)
    left = np.sqrt(process._kernel.variance(process._parameters) - explained) * targets.std()
    assert before * pending.spread_left() == pytest.approx(left, rel=2e-2)
    assert (left < before).all()


@pytest.mark.parametrize("combined", [False, True])
def test_an_opinion_is_the_prediction(combined: bool) -> None:
    process = GaussianProcess(space())
    process.fit(*bowl(30, 0))
    model = CombinedModel([process, Constant(1.0)]) if combined else process
    points = bowl(10, 1)[0]
    opinion = model.opinion(points)
    for found, predicted in zip((opinion.mean, opinion.spread), model.predict(points), strict=True):
        np.testing.assert_allclose(found, predicted, rtol=1e-6)


def test_a_batch_is_not_one_cluster() -> None:
    process = GaussianProcess(space())
    process.fit(*bowl(30, 0))
    twins = at([[7, 7, 7], [7, 7, 7], [7, 7, 7], [0, 7, 0]])
    opinion = Opinion(np.array([0.0, 0.01, 0.02, 0.03]), np.ones(4), process.opinion(twins).pending)
    assert pick_batch({0: opinion}, [0, 0], np.zeros(4)).tolist() == [0, 3]


def test_models_share_what_picks_leave() -> None:
    process = GaussianProcess(space())
    process.fit(*bowl(30, 0))
    points = bowl(10, 1)[0]
    alone, joint = (
        model.opinion(points).pending for model in (process, CombinedModel([process, Constant(1.0)]))
    )
    for pending in (alone, joint):
        pending.add(4)
    assert joint.spread_left() == pytest.approx(alone.spread_left())
    assert joint.spread_left()[4] < 0.9


def test_picks_among_points_that_rounding_makes_too_alike_stay_finite() -> None:
    twins = np.ones((3, 1), dtype=np.float32)
    picks = ProcessPicks(np.array([1e-6, 1e-3, 1.0]), 1e-9, 0 * twins, lambda place: twins[:, 0])
    with np.errstate(all="raise"):
        for place in (0, 1, 2) * 20:
            picks.add(place)
    assert ((picks.spread_left() >= 0) & (picks.spread_left() <= 1)).all()


def test_a_longer_length_expects_effects_to_reach_further() -> None:
    apart = Grid(np.array([[1.0]]), np.array([0]), np.array([0]))
    kernels = [KnobKernel(2, length) for length in (0.0, 1.0)]
    near, far = (kernel.covariance(kernel.start, [apart, apart], (1, 1)).item() for kernel in kernels)
    assert kernels[0].variance(kernels[0].start) == pytest.approx(kernels[1].variance(kernels[1].start))
    assert far > 1.2 * near
