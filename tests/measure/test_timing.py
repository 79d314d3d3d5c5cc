"""Timing and the play-off, on a machine that is simulated: a clock, speeds and noise are all ours."""

import math
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulated_machine import NOMINAL, Machine
from tilewright.measure.paired import median_interval
from tilewright.measure.playoff import PlayoffEntry, PlayoffPlan, choose_winner, play_off
from tilewright.measure.result import MeasureSetupError
from tilewright.measure.slices import Runner, fill_slice
from tilewright.measure.timing import ReferenceLoop, TimingPlan, calibrate, time_kernel

PLAN = TimingPlan()


def test_a_quiet_machine_gives_the_exact_cost() -> None:
    machine = Machine()
    timing = time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, clock=machine.clock)
    assert timing.seconds == pytest.approx(25e-6, rel=1e-6)
    assert timing.interval == pytest.approx((25e-6, 25e-6), rel=1e-6)
    assert len(timing.costs) == 20
    assert not timing.is_noisy


def test_slices_alternate_and_are_about_4_and_1_ms() -> None:
    machine = Machine()
    time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, clock=machine.clock)
    slices = machine.calls[-40:]
    assert slices == [("kernel", 160), ("reference", 1000)] * 20


def test_a_machine_at_half_speed_changes_nothing() -> None:
    machine = Machine(lambda now: 2.0)
    timing = time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, clock=machine.clock)
    assert timing.seconds == pytest.approx(25e-6, rel=1e-6)
    assert min(timing.costs) == pytest.approx(50e-6, rel=1e-6)


def test_a_disturbance_that_comes_and_goes_changes_nothing() -> None:
    machine = Machine(lambda now: 2.0 if 0.02 < now % 0.1 < 0.07 else 1.0)
    timing = time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, clock=machine.clock)
    assert timing.seconds == pytest.approx(25e-6, rel=1e-6)


def test_positive_noise_moves_the_cost_by_little() -> None:
    chance = random.Random(1)
    machine = Machine()
    kernel = machine.runner("kernel", 25e-6, lambda: 1 + chance.expovariate(20))
    timing = time_kernel(kernel, machine.reference(), PLAN, clock=machine.clock)
    assert timing.seconds == pytest.approx(25e-6, rel=0.02)
    assert timing.interval[0] <= timing.seconds <= timing.interval[1]


def test_slices_that_disagree_are_flagged_after_as_many_again() -> None:
    machine = Machine()
    steps = iter([1.0] * 3 + [1.0, 1.3, 1.3, 1.3, 1.3] * 100)
    kernel = machine.runner("kernel", 25e-6, lambda: next(steps))
    timing = time_kernel(kernel, machine.reference(), PLAN, clock=machine.clock)
    assert timing.is_noisy
    assert len(timing.costs) == 40


def test_noise_that_hides_no_best_is_only_flagged() -> None:
    machine = Machine()
    steps = iter([1.0] * 4 + [1.0, 1.2, 1.2, 1.2, 1.2] * 100)
    kernel = machine.runner("kernel", 25e-6, lambda: next(steps))
    timing = time_kernel(kernel, machine.reference(), PLAN, 22e-6, clock=machine.clock)
    assert timing.is_noisy
    assert len(timing.costs) == 20


def test_a_long_kernel_gets_few_slices() -> None:
    machine = Machine()
    timing = time_kernel(machine.runner("kernel", 0.9), machine.reference(), PLAN, clock=machine.clock)
    assert len(timing.costs) == 3
    assert timing.seconds == pytest.approx(0.9)


def test_slices_spread_over_the_whole_span() -> None:
    machine = Machine()
    plan = TimingPlan(slice_seconds=0.0001, slices=5)
    time_kernel(machine.runner("kernel", 1e-6), machine.reference(), plan, clock=machine.clock)
    assert machine.now >= 0.080


def test_a_long_first_run_that_was_made_already_is_enough() -> None:
    machine = Machine()
    calls: list[int] = []

    def kernel(repeats: int) -> int:
        calls.append(repeats)
        return machine.runner("kernel", 0.05)(repeats)

    plan, clock = PLAN, machine.clock
    timing = time_kernel(kernel, machine.reference(), plan, 1e-3, clock, first_seconds=0.05)
    assert timing.is_slow
    assert timing.seconds == pytest.approx(0.05)
    assert calls == []
    # A short one may have met cold caches: it is made once more.
    assert not time_kernel(
        machine.runner("kernel", 1e-3), machine.reference(), plan, 1e-3, clock, 0.01
    ).is_slow


def test_a_candidate_of_half_the_speed_gets_two_slices() -> None:
    machine = Machine()
    timing = time_kernel(machine.runner("kernel", 3e-3), machine.reference(), PLAN, 1e-3, machine.clock)
    assert len(timing.costs) == 2
    assert not timing.is_slow


def test_five_times_slower_stops_at_the_first_run() -> None:
    machine = Machine()
    timing = time_kernel(machine.runner("kernel", 1e-3), machine.reference(), PLAN, 1.9e-4, machine.clock)
    assert timing.is_slow
    assert timing.seconds == pytest.approx(1e-3)
    assert machine.now < 0.01


def test_a_candidate_that_is_clearly_beaten_gets_few_slices() -> None:
    machine = Machine()
    timing = time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, 18e-6, machine.clock)
    assert len(timing.costs) == 6
    assert not timing.is_slow
    assert timing.seconds == pytest.approx(25e-6, rel=1e-6)
    timing = time_kernel(machine.runner("kernel", 25e-6), machine.reference(), PLAN, 22e-6, machine.clock)
    assert len(timing.costs) == 20


def test_a_cold_first_run_is_not_slow() -> None:
    machine = Machine()
    cold = iter([30.0] + [1.0] * 1000)
    kernel = machine.runner("kernel", 1e-4, lambda: next(cold))
    assert not time_kernel(kernel, machine.reference(), PLAN, 1e-4, machine.clock).is_slow


def test_a_slow_machine_does_not_make_a_kernel_slow() -> None:
    machine = Machine(lambda now: 2.0)
    kernel = machine.runner("kernel", 3e-4)
    assert not time_kernel(kernel, machine.reference(), PLAN, 1e-4, machine.clock).is_slow


@given(st.floats(1e-9, 10.0))
def test_a_slice_is_filled_whatever_the_cost(seconds: float) -> None:
    machine = Machine()
    repeats = fill_slice(machine.runner("kernel", seconds), 0.004)
    assert repeats == 1 or repeats * seconds == pytest.approx(0.004, rel=0.3)


def test_beside_a_kernel_alike_what_disturbs_both_cancels() -> None:
    """Neighbours slow both kernels nearly all the time; a loop that stays fast would not tell."""
    costs = []
    for seed in range(10):
        chance = random.Random(seed)
        machine = Machine(lambda now: 1.4 + 0.2 * math.sin(now * 9))
        noise = partial(chance.lognormvariate, 0, 0.03)
        alike = ReferenceLoop(machine.runner("alike", 40e-6, noise), 40e-6, is_alike=True)
        timing = time_kernel(machine.runner("kernel", 25e-6, noise), alike, PLAN, clock=machine.clock)
        assert timing.interval[0] <= timing.seconds <= timing.interval[1]
        costs.append(timing.seconds)
    assert costs == pytest.approx([25e-6] * 10, rel=0.03)


def test_calibration_takes_the_minimum() -> None:
    machine = Machine(lambda now: 1.5 if now < 0.2 else 1.0)
    assert calibrate(machine.runner("r", NOMINAL), PLAN, 0.3, machine.clock) == pytest.approx(NOMINAL)


def hold(
    costs: list[float], sigma: float = 0.0, seed: int = 0, default: int = 0, plan: PlayoffPlan | None = None
) -> tuple[int | None, Machine]:
    chance = random.Random(seed)
    machine = Machine(lambda now: 2.0 if math.sin(now * 40) > 0.5 else 1.0)
    runners = [
        machine.runner(str(i), c, lambda: chance.lognormvariate(0, sigma)) for i, c in enumerate(costs)
    ]
    result = play_off(runners, machine.reference(), default, plan or PlayoffPlan(), machine.clock)
    return result.winner, machine


def test_the_fastest_wins() -> None:
    assert hold([1.00e-4, 0.97e-4, 0.90e-4])[0] == 2


def test_equal_candidates_leave_the_default() -> None:
    wins = [hold([1e-4] * 4, 0.02, seed, default=2)[0] for seed in range(30)]
    assert wins.count(2) >= 28


def test_a_clear_gain_is_found_in_noise() -> None:
    wins = [hold([1.0e-4, 0.95e-4], 0.02, seed)[0] for seed in range(30)]
    assert wins.count(1) >= 29


def test_a_slower_candidate_never_ships() -> None:
    assert all(hold([1.0e-4, 1.01e-4], 0.02, seed)[0] == 0 for seed in range(30))


def test_ties_go_to_the_first() -> None:
    assert hold([1e-4, 0.8e-4, 0.8e-4])[0] == 1


def test_every_candidate_runs_in_every_round_in_turn() -> None:
    machine = hold([1e-4, 1e-4, 1e-4])[1]
    names = "".join(name[0] for name, repeats in machine.calls if repeats > 1)[-12:]
    assert all(names[i] == "r" and set(names[i : i + 4]) == set("r012") for i in (0, 4, 8))


def test_a_call_that_does_not_count_warms_the_caches() -> None:
    """The first call after another kernel's takes longer; a slice has two."""
    last = [""]
    machine = Machine()

    def colliding(name: str, seconds: float) -> Runner:
        run = machine.runner(name, seconds)

        def call(repeats: int) -> int:
            cold = run(1) // 2 if last[0] != name else 0
            last[0] = name
            return run(repeats) + cold

        return call

    runners = [colliding("default", 2.0e-3), colliding("faster", 1.9e-3)]
    result = play_off(runners, machine.reference(), 0, PlayoffPlan(), machine.clock)
    assert result.entries[1].ratio == pytest.approx(0.95, rel=1e-3)
    assert sorted(result.entries[0].costs)[32] == pytest.approx(2.0e-3, rel=1e-3)


def test_long_kernels_get_fewer_rounds() -> None:
    machine = Machine()
    runners = [machine.runner("a", 1.0), machine.runner("b", 0.9)]
    result = play_off(runners, machine.reference(), 0, PlayoffPlan(), machine.clock)
    assert (result.rounds, result.winner) == (8, 1)


def test_a_default_that_is_no_candidate_is_an_error() -> None:
    with pytest.raises(MeasureSetupError, match="no default 3"):
        hold([1e-4], default=3)


def test_the_interval_of_a_median_holds_its_level() -> None:
    chance = random.Random(0)
    misses = 0
    for _ in range(400):
        low, high = median_interval([chance.gauss(0, 1) for _ in range(24)], 0.05)
        misses += not low <= 0 <= high
    assert misses <= 400 * 0.08
    assert median_interval([1.0, 2.0, 3.0], 0.01) == (-math.inf, math.inf)


def test_the_winner_is_never_reported_as_the_slower_one() -> None:
    """A disturbance of a few slices, which moves minima, does not set the costs at odds with the ratios."""
    machine = Machine()
    lucky = iter([0.5] * 3)
    runners = [
        machine.runner("default", 1.0e-4, lambda: next(lucky, 1.0)),
        machine.runner("faster", 0.97e-4),
    ]
    result = play_off(runners, machine.reference(), 0, PlayoffPlan(), machine.clock)
    default, faster = result.entries
    assert result.winner == 1
    assert default.seconds is not None
    assert faster.seconds == pytest.approx(0.97 * default.seconds, rel=1e-6)
    assert faster.interval is not None
    assert faster.seconds is not None
    assert faster.interval[0] <= faster.seconds <= faster.interval[1]


def test_a_wide_field_thins_out() -> None:
    plan = PlayoffPlan()
    machine = Machine()
    costs = [1e-4 * (1.2 - 0.01 * i) for i in range(13)]
    runners = [machine.runner(str(i), cost) for i, cost in enumerate(costs)]
    result = play_off(runners, machine.reference(), 0, plan, machine.clock)
    assert [len(entry.costs) for entry in result.entries] == [
        plan.rounds,
        *[8] * 4,
        *[16] * 4,
        *[plan.rounds] * 4,
    ]
    assert result.winner == 12


def test_who_dropped_out_does_not_win() -> None:
    default = PlayoffEntry(state="ok", costs=(1.0,) * 20, ratio=1.0, ratio_interval=(1.0, 1.0))
    left = PlayoffEntry(state="ok", costs=(0.8,) * 9, ratio=0.8, ratio_interval=(0.7, 0.9))
    stayed = PlayoffEntry(state="ok", costs=(0.9,) * 20, ratio=0.9, ratio_interval=(0.85, 0.95))
    assert choose_winner([default, left], 0) == 0
    assert choose_winner([default, left, stayed], 0) == 2
