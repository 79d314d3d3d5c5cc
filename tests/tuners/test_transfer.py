"""What trials of one space say of another with the same knobs."""

import math
from typing import Any

import numpy as np

from tilewright.templates import ConfigSpace, option_knob, split_knob
from tilewright.tuners import Observation, make_tuner
from tilewright.tuners.prior import Hearsay
from tilewright.tuners.transfer import LEAST_TRIALS, TransferPrior


def space(extent: int) -> ConfigSpace:
    return ConfigSpace(
        (
            split_knob("tile", extent, num_outputs=2, max_factor=256),
            option_knob("unroll", [1, 2, 4, 8]),
            option_knob("order", ["rows", "columns"]),
        )
    )


def cost(values: dict[str, Any]) -> float | None:
    """Best at an inner tile of 16, unrolled by 4, by rows; a tile above 128 fails."""
    inner = values["tile"][-1]
    if inner > 128:
        return None
    steps = abs(math.log2(inner / 16)) + abs(math.log2(values["unroll"] / 4))
    return float(math.exp(steps + (values["order"] != "rows")))


def trials(of: ConfigSpace) -> list[Any]:
    values = [of.config(index).to_json() for index in range(of.range_length)]
    return [(each, cost(each)) for each in values]


def test_another_extent_is_ranked_by_what_its_tiles_have_in_common() -> None:
    prior = TransferPrior.fit(space(1024), trials(space(768)))
    assert prior is not None
    target = space(1024)
    indices = np.arange(target.range_length)
    expected = prior(target, indices)
    known = {index: cost(target.config(index).to_json()) for index in range(target.range_length)}
    best = min(known, key=lambda index: known[index] or math.inf)
    assert best in indices[np.argsort(expected)[:3]]
    failed = [index for index, value in known.items() if value is None]
    assert expected[failed].min() > np.median(expected)


def test_other_knobs_and_few_trials_give_no_prior() -> None:
    assert TransferPrior.fit(space(64), trials(space(128))[: LEAST_TRIALS - 1]) is None
    other = [({"tile": [-1, 4]}, 1.0)] * 20
    assert TransferPrior.fit(space(64), other) is None
    strange = [({"tile": "wide", "unroll": 1, "order": "rows"}, 1.0)] * 20
    assert TransferPrior.fit(space(64), strange) is None


def test_values_that_the_space_lacks_are_learned_from() -> None:
    foreign = [({**values, "order": "blocks"}, 5.0) for values, _ in trials(space(64))]
    assert TransferPrior.fit(space(64), [*trials(space(64)), *foreign]) is not None


def prior_of(*sources: ConfigSpace) -> list[TransferPrior]:
    priors = [TransferPrior.fit(space(1024), trials(source)) for source in sources]
    return [prior for prior in priors if prior is not None]


def searched(priors: list[Any], count: int) -> list[int]:
    """The indices that a search of the target measures first."""
    tuner = make_tuner("xgb", space(1024), 0, priors=priors)
    found: list[int] = []
    while len(found) < count:
        batch = tuner.next_batch(4)
        tuner.update(Observation(config, cost(config.to_json())) for config in batch)
        found += [config.index for config in batch]
    return found


def speeds(indices: list[int]) -> list[float]:
    return [1 / (cost(space(1024).config(index).to_json()) or math.inf) for index in indices]


def test_sources_that_agree_lead_from_the_first_trial() -> None:
    priors = prior_of(space(768), space(512))
    assert max(speeds(searched(priors, 4)[:2])) == 1.0


def test_one_source_leads_as_soon_as_the_first_points_bear_it_out() -> None:
    cold, warm = (searched(priors, 12) for priors in ([], prior_of(space(768))))
    assert warm[:8] == cold[:8]
    assert sum(speeds(warm[8:])) > 1.2 * sum(speeds(cold[8:]))


class Misleading(Hearsay):
    """Expects most of what is worst."""

    def __call__(self, space: ConfigSpace, indices: Any) -> Any:
        costs = [cost(space.config(int(index)).to_json()) for index in indices]
        return np.array([0.0 if value is None else -math.log(value) for value in costs])


def test_a_misleading_source_costs_one_trial() -> None:
    cold, warm = searched([], 16), searched([Misleading()], 20)
    assert warm[:16] == cold
    tried, *others = speeds(warm[16:])
    left = set(range(space(1024).range_length)) - set(warm[:16])
    assert tried == min(value for value in speeds(sorted(left)) if value)
    assert min(others) > 10 * tried


def test_an_estimate_of_the_workload_itself_is_heard_at_once() -> None:
    misled = Misleading()
    assert searched([misled], 4) != searched([lambda space, indices: misled(space, indices)], 4)
