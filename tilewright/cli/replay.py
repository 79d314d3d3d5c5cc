"""``tilewright replay``: tuners on a recorded space."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import Command, json_option
from tilewright.cli.invocation import begin_invocation, current_invocation
from tilewright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from tilewright.logs.formats.recorded_space import RecordedSpace
    from tilewright.tuning.replay import ReplayResult


_SLOW = {"xgb"}


def _replay(
    space: str, tuner: str, trials: int, seeds: int, warm: tuple[str, ...], plot: str | None, as_json: bool
) -> None:
    from tilewright.cli.replay_plot import check_plot, plot_curves
    from tilewright.logs.formats.spaces import read_recorded_space
    from tilewright.tuning.replay import replay

    names = _names(tuner)
    if warm:
        _check_warm(names)
    if plot is not None:
        check_plot(plot)
    recorded = read_recorded_space(space)
    sources = [read_recorded_space(source) for source in warm]
    results = []
    with _processes(names, seeds) as run:
        for name in names:
            current_invocation().say(f"{name} on {recorded.name}: {seeds} seeds of {trials} evaluations")
            results.append(replay(recorded, name, trials=trials, seeds=seeds, warm=sources, run=run))
    if plot is not None:
        plot_curves(results, plot)
    if as_json:
        print_json(results[0].to_json() if len(results) == 1 else {"results": [r.to_json() for r in results]})
        return
    _print(recorded, results, seeds)


def _print(recorded: "RecordedSpace", results: Sequence["ReplayResult"], seeds: int) -> None:
    size, failed = len(recorded.costs), recorded.failures
    click.echo(
        f"{recorded.name}: {size} configurations, {failed} failed; best found / best, "
        f"mean \u00b1 deviation of {seeds} seeds"
    )
    marks = [f"{mark}" for mark in results[0].fraction_of_optimum]
    headings = ("tuner", *marks, "evaluations to 95 %", "s / 100")
    print_table(headings, [_cells(result) for result in results])


@contextlib.contextmanager
def _processes(names: list[str], seeds: int) -> Iterator[Callable[..., Any]]:
    """What runs the searches: processes, unless every tuner is quicker than their start."""
    from tilewright.measure.machine import granted_cores

    workers = min(granted_cores(), seeds)
    if workers < 2 or not _SLOW & set(names):
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin_worker) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin_worker() -> None:
    """Log as the command does; Ctrl-C ends that, which ends its processes."""
    begin_invocation()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _names(tuner: str) -> list[str]:
    from tilewright.tuners.registry import TUNERS

    names = [name.strip() for name in tuner.split(",")]
    unknown = [name for name in names if name not in TUNERS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(TUNERS)}", param_hint="'--tuner'")
    return list(dict.fromkeys(names))


def _check_warm(names: list[str]) -> None:
    from tilewright.tuners.registry import TUNERS

    if not any(TUNERS[name].uses_priors for name in names):
        learners = ", ".join(name for name, made in TUNERS.items() if made.uses_priors)
        raise click.BadParameter(f"only {learners} learns from other recordings", param_hint="'--warm'")


def _cells(result: "ReplayResult") -> tuple[str, ...]:
    shares = [
        "-" if share is None or spread is None else f"{share:.3f} \u00b1 {spread:.3f}"
        for share, spread in zip(result.fraction_of_optimum.values(), result.spread.values(), strict=True)
    ]
    evaluations = result.evaluations_to_95
    reached = "not reached" if evaluations is None else f"{evaluations:g}"
    return (result.tuner, *shares, reached, f"{result.seconds_per_100:.2f}")


command = Command(
    "replay",
    callback=_replay,
    params=[
        click.Argument(["space"]),
        click.Option(
            ["--tuner"], default="xgb", show_default=True, metavar="T[,T...]", help="One or several searches."
        ),
        click.Option(
            ["--trials"],
            type=click.IntRange(min=1),
            default=200,
            show_default=True,
            help="Evaluations of one search; a failed configuration costs one, none is repeated.",
        ),
        click.Option(
            ["--seeds"],
            type=click.IntRange(min=1),
            default=20,
            show_default=True,
            help="Searches of each tuner.",
        ),
        click.Option(
            ["--warm"],
            multiple=True,
            metavar="SPACE",
            help="A recording of another machine or shape that the model knows before it begins; repeatable.",
        ),
        click.Option(
            ["--plot"], metavar="FILE", help="Draw the best found so far into a file: .png, .svg, .pdf."
        ),
        json_option(),
    ],
    help="Tuners on a recorded space, without measuring. SPACE is T4 results or a cache file of Kernel Tuner,"
    " .json or .json.gz, or a space of ours with its trials.",
)
