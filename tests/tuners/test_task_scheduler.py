"""Who gets the next round: gradients worked out by hand, ties, and tasks that are left aside."""

import math
from collections.abc import Sequence

import pytest

from tilewright.tuners.task_scheduler import (
    STRATEGIES,
    GradientScheduler,
    ObjectiveError,
    RoundRobin,
    ScheduledTask,
    TaskScheduler,
    evaluate,
)


def tasks(*weights: float) -> list[ScheduledTask]:
    """Tasks of which none is like another."""
    return [ScheduledTask(f"op{place}", 1000, weight) for place, weight in enumerate(weights)]


def play(scheduler: TaskScheduler, rounds: int, costs: Sequence[float] = (1.0, 1.0, 1.0)) -> list[int | None]:
    """The tasks that are chosen when each keeps its cost."""
    chosen = []
    for _ in range(rounds):
        chosen.append(task := scheduler.choose())
        if task is not None:
            scheduler.note(task, costs[task])
    return chosen


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_task_has_a_round_before_any_has_two(strategy: str) -> None:
    scheduler = STRATEGIES[strategy](tasks(1, 100, 1))
    assert play(scheduler, 3) == [0, 1, 2]
    assert STRATEGIES[strategy](tasks(1, 100, 1), history=[[1.0], [], [1.0]]).choose() == 1


def test_turns_go_round_and_on_from_what_was_done() -> None:
    assert play(RoundRobin(tasks(1, 9, 1)), 7) == [0, 1, 2, 0, 1, 2, 0]
    assert play(RoundRobin(tasks(1, 1, 1), history=[[1.0], [1.0, 1.0], []]), 4) == [2, 0, 2, 0]


def test_the_gradient_of_a_task_alone_is_that_of_the_paper() -> None:
    costs = [10.0, 8.0, 7.0, 7.0, 4.0]
    scheduler = GradientScheduler(tasks(3, 1), history=[costs, [1.0]])
    backward = (4.0 - 8.0) / 3  # over a window of three rounds
    forward = -4.0 / 5  # g / t, for no task is like it
    assert scheduler.gradient(0) == pytest.approx(3 * (0.2 * backward + 0.8 * forward))
    assert scheduler.gradient(1) == pytest.approx(0.8 * -1.0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nothing_is_said_of_the_past_before_the_window_is_full(count: int) -> None:
    scheduler = GradientScheduler(tasks(1), history=[[9.0, 5.0, 2.0][:count]])
    best = [9.0, 5.0, 2.0][count - 1]
    assert scheduler.gradient(0) == pytest.approx(-0.8 * best / count)


def test_a_task_may_become_half_as_fast_as_the_fastest_of_its_like() -> None:
    alike = [ScheduledTask("matmul", 1000), ScheduledTask("matmul", 1010), ScheduledTask("dense", 1000)]
    history = [[8.0] * 3, [2.0], [1.0]]
    scheduler = GradientScheduler(alike, history=history)
    # 1010 / 2 operations a second; twice the time at that speed is less than 8 - 8 / 3
    assert scheduler.gradient(0) == pytest.approx(0.8 * (2 * 1000 / (1010 / 2) - 8))
    # the fastest may only hope for its own 2 - 2 / 1
    assert scheduler.gradient(1) == pytest.approx(-0.8 * 2)
    assert scheduler.gradient(2) == pytest.approx(-0.8 * 1)


@pytest.mark.parametrize(("operations", "like"), [(1000, True), (1200, True), (1700, False), (0, False)])
def test_tasks_are_alike_of_one_kind_and_magnitude(operations: int, like: bool) -> None:
    # 1.618 ** 14 = 841 and 1.618 ** 15 = 1362 have the others between them
    pair = [ScheduledTask("matmul", 1000), ScheduledTask("matmul", operations)]
    scheduler = GradientScheduler(pair, history=[[8.0] * 8, [1e-3]])
    assert (scheduler.gradient(0) < 0.8 * -8 / 8 - 1e-9) == like


def test_the_steepest_descent_is_chosen() -> None:
    # -0.8 * 1 * 6 / 2, -0.8 * 2 * 2 / 1 and -0.8 * 4 * 1 / 2
    scheduler = GradientScheduler(tasks(1, 2, 4), history=[[6.0, 6.0], [2.0], [1.0, 1.0]])
    assert [scheduler.gradient(task) for task in range(3)] == pytest.approx([-2.4, -3.2, -1.6])
    assert scheduler.choose() == 1
    scheduler.note(1, 2.0)
    assert scheduler.gradient(1) == pytest.approx(-1.6)
    assert scheduler.choose() == 0


def test_weights_decide_between_equal_costs() -> None:
    scheduler = GradientScheduler(tasks(1, 3))
    assert play(scheduler, 8).count(1) == 6  # the more often, the more it weighs: 3 / t < 1 / u


def test_equal_gradients_leave_it_to_chance_and_the_seed_repeats_it() -> None:
    def first(seed: int) -> int | None:
        return GradientScheduler(tasks(1, 1, 1), seed, history=[[1.0]] * 3).choose()

    assert {first(seed) for seed in range(30)} == {0, 1, 2}
    assert [first(seed) for seed in range(10)] == [first(seed) for seed in range(10)]


def test_a_retired_task_is_left_aside() -> None:
    scheduler = GradientScheduler(tasks(9, 1, 1), history=[[1.0]] * 3)
    scheduler.retire(0)
    assert 0 not in play(scheduler, 10)
    scheduler.retire(1)
    scheduler.retire(2)
    assert scheduler.choose() is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_task_without_a_kernel_is_given_up_after_three_rounds(strategy: str) -> None:
    scheduler = STRATEGIES[strategy](tasks(1, 1))
    chosen = play(scheduler, 10, (math.inf, 1.0))
    assert chosen.count(0) == 3
    assert scheduler.alive == [1]


def test_a_first_kernel_found_late_is_not_mistaken_for_a_descent() -> None:
    scheduler = GradientScheduler(tasks(1), history=[[math.inf, 5.0, 5.0, 5.0]])
    assert scheduler.gradient(0) == pytest.approx(-0.8 * 5 / 4)


def test_a_late_result_counts_for_the_round_that_proposed_it() -> None:
    scheduler = GradientScheduler(tasks(1, 1))
    play(scheduler, 2)
    scheduler.note(0, 0.5)
    assert scheduler.rounds == [[0.5], [1.0]]


def test_an_objective_of_the_costs_takes_the_place_of_the_sum() -> None:
    history = [[4.0], [3.0], [5.0]]
    product = GradientScheduler(tasks(1, 1, 1), history=history, objective=math.prod)
    assert product.gradient(0) == pytest.approx(15 * 0.8 * -4)
    slowest = GradientScheduler(tasks(9, 9, 1), history=history, objective=max)
    assert [slowest.gradient(task) for task in (0, 1)] == [0, 0]
    assert slowest.choose() == 2


def test_an_objective_sees_nothing_for_a_task_without_a_kernel() -> None:
    seen: list[Sequence[float]] = []

    def note(costs: Sequence[float]) -> float:
        seen.append(tuple(costs))
        return sum(costs)

    GradientScheduler(tasks(1, 1), history=[[2.0], [math.inf]], objective=note).gradient(0)
    assert seen[0] == (2.0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "1"])
def test_an_objective_must_be_a_number(value: object) -> None:
    with pytest.raises(ObjectiveError, match="must be a finite number, not"):
        evaluate(lambda costs: value, [1.0])  # type: ignore[arg-type, return-value]
