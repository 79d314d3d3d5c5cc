"""Who takes part in a play-off."""

from tilewright.measure.playoff import PlayoffPlan
from tilewright.templates.config import Config
from tilewright.tuning.history import History

# Beside the default: at least a few, and more as far as their trials are near the best one's. On a busy
# machine the trials of equal kernels differ by a half.
FEWEST = 4
MOST = 16
_NEAR = 2.0
_SECONDS = 5.0  # that the rounds in which all of them run may take


def choose_finalists(history: History, default: Config) -> list[Config]:
    """The default, unless it failed, then the best."""
    configs = [] if history.has_failed(default) else [default]
    ranked = history.ranked()
    count = count_finalists([record.seconds for record in ranked if record.seconds is not None])
    for record in ranked:
        config = history.config_of(record)
        if config is not None and config not in configs:
            configs.append(config)
        if len(configs) > count:
            break
    return configs


def count_finalists(ranked: list[float]) -> int:
    """How many take part beside the default, by the seconds of the trials, the best first.

    The kernels of slow operators are fewer, since all of them run in the first rounds.
    """
    if not ranked:
        return 0
    plan, best = PlayoffPlan(), ranked[0]
    near = sum(seconds <= _NEAR * best for seconds in ranked)
    room = _SECONDS / (plan.fewest_rounds * max(plan.slice_seconds, 2 * best))
    return max(FEWEST, min(MOST, near, int(room)))
