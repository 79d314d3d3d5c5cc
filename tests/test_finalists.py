"""How many take part in a play-off."""

from tilewright.tuning.finalists import FEWEST, MOST, count_finalists


def test_many_near_the_best_take_part() -> None:
    assert count_finalists([1e-4 * 1.01**i for i in range(40)]) == MOST


def test_those_far_behind_stay_out() -> None:
    assert count_finalists([1e-4] * 7 + [5e-4] * 30) == 7
    assert count_finalists([1e-4] + [5e-4] * 30) == FEWEST


def test_of_slow_kernels_fewer_take_part() -> None:
    assert FEWEST < count_finalists([0.03] * 40) < MOST
    assert count_finalists([1.0] * 40) == FEWEST


def test_nobody_takes_part_where_nothing_ran() -> None:
    assert count_finalists([]) == 0
