import pytest

from tilewright.tuners import Budget


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(), False),
        (Budget(trials=10), True),
        (Budget(trials=None), False),
        (Budget(seconds=5.0), True),
        (Budget(patience=3), True),
        (Budget(trials=None, seconds=6.0, patience=4), False),
    ],
)
def test_a_budget_is_spent_when_any_limit_is_reached(budget: Budget, spent: bool) -> None:
    assert budget.is_spent(trials=10, seconds=5.0, since_improvement=3) is spent


def test_patience_is_halved_without_hope() -> None:
    budget = Budget(trials=None, patience=6)
    assert not budget.is_spent(trials=10, seconds=5.0, since_improvement=3, hope=0.5)
    assert budget.is_spent(trials=10, seconds=5.0, since_improvement=3, hope=0.0)
    assert not budget.is_spent(trials=10, seconds=5.0, since_improvement=2, hope=0.0)


def test_trials_left_never_go_below_none() -> None:
    assert [Budget(trials=n).trials_left(10) for n in (12, 4, None)] == [2, 0, None]
