"""How much a tuning run may spend."""

from dataclasses import dataclass


HOPELESS = 0.01


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a run; None is no limit.

    Attributes:
        trials: how many there are at the end.
        seconds: how long the run takes.
        patience: how many trials may pass without an improvement that is more than noise; half as many where
            the search itself has no hope of one.
    """

    trials: int | None = 64
    seconds: float | None = None
    patience: int | None = None

    def is_spent(self, trials: int, seconds: float, since_improvement: int, hope: float = 1.0) -> bool:
        """Return whether any limit has been reached; `hope` is the chance of a better configuration."""
        waited = since_improvement if hope >= HOPELESS else 2 * since_improvement
        spent = ((self.trials, trials), (self.seconds, seconds), (self.patience, waited))
        return any(limit is not None and used >= limit for limit, used in spent)

    def trials_left(self, trials: int) -> int | None:
        """Return how many trials may still be made; None for no limit."""
        return None if self.trials is None else max(0, self.trials - trials)


def batch_size(known: int) -> int:
    """How many configurations to propose at once when so many are known.

    Few at first, when each trial teaches most; more later, when a model of many points takes longer to fit.
    """
    if known < 32:
        return 4
    return 8 if known < 128 else 16
