"""AutoTVM's tuning loop: a batch from the tuner, its results to the tuner and to who looks on."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tilewright.tuners import Observation
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.measure.session import Session
from tilewright.tvm.autotvm.tuner.monitor import score

if TYPE_CHECKING:
    from tilewright.tvm.autotvm.tuner.tuner import Tuner

BATCH = 8
_log = logging.getLogger("autotvm")  # the name that scripts set a level and a handler for


def run_trials(
    tuner: "Tuner",
    n_trial: int,
    option: dict[str, Any],
    patience: float,
    callbacks: Sequence[Callable[..., Any]],
) -> None:
    """Measure until `n_trial` are done, the space is, or `patience` trials brought nothing better."""
    done = 0
    errors: Counter[str] = Counter()
    with Session(tuner.task, option) as session:
        while done < min(n_trial, tuner.best_iter + patience) and tuner.has_next():
            # The first is alone: once a time is known, what is much slower is soon given up.
            batch = tuner.next_batch(min(BATCH if done else 1, n_trial - done))
            if not batch:
                break
            inputs = [MeasureInput(tuner.task.target, tuner.task, config) for config in batch]
            results = session.measure(inputs)
            for place, pair in enumerate(zip(inputs, results, strict=True)):
                _note(tuner, done + place, *pair)
            done += len(results)
            errors.update(str(result.costs[0]) for result in results if result.error_no != 0)
            tuner.ttl = min(patience + tuner.best_iter, n_trial) - done
            tuner.update(inputs, results)
            for callback in callbacks:
                callback(tuner, inputs, results)
    if tuner.best_config is None and errors:
        _log.warning("%s: no trial gave a time: %s", tuner.task, dict(errors.most_common(3)))


def observations(pairs: Iterable[tuple[MeasureInput, MeasureResult]]) -> Iterator[Observation]:
    """What a search may learn from trials."""
    for inp, result in pairs:
        yield Observation(inp.config, fmean(result.costs) if result.error_no == 0 else None)


def _note(tuner: "Tuner", number: int, inp: MeasureInput, result: MeasureResult) -> None:
    """Keep what is better than all before."""
    flops = score(inp, result)
    if flops > tuner.best_flops:
        tuner.best_flops, tuner.best_config = flops, inp.config
        tuner.best_measure_pair, tuner.best_iter = (inp, result), number
    speeds = f"{flops / 1e9:.2f}/{tuner.best_flops / 1e9:.2f}"
    _log.debug("No: %d\tGFLOPS: %s\tresult: %s\t%s", number + 1, speeds, result, inp.config)


__all__ = ["observations", "run_trials"]
