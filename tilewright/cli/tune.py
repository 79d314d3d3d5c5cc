"""``tilewright tune``: find the best configuration of an operator."""

import os
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import database_option, json_option, threads_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.operators import OperatorGroup
from tilewright.cli.output import describe_config, describe_workload, print_json, print_pairs

if TYPE_CHECKING:
    from tilewright.templates.template import Template
    from tilewright.tuning import TuneResult
    from tilewright.tuning.result import Best, Speed

TUNERS = ("xgb", "ga", "random", "grid", "descent")
INTERRUPTED = 130


def search_options() -> list[click.Parameter]:
    """How a search is done, and when it ends."""
    return [
        click.Option(
            ["--tuner"], type=click.Choice(TUNERS), default="xgb", show_default=True, help="Search."
        ),
        click.Option(
            ["--trials"],
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            help="Trials that the workload has at the end, those in the database included.",
        ),
        click.Option(
            ["--seconds"], type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds."
        ),
        click.Option(
            ["--patience"], type=click.IntRange(min=1), help="Stop after so many trials without a gain."
        ),
        click.Option(
            ["--seed"], type=click.IntRange(min=0), default=0, show_default=True, help="Of the search."
        ),
        click.Option(
            ["--transfer/--no-transfer"],
            default=True,
            show_default=True,
            help="Learn from the database's trials of other shapes and machines.",
        ),
        threads_option(),
        database_option(),
        json_option(),
    ]


def _tune(template: "Template", params: dict[str, Any], as_json: bool, **options: Any) -> int:
    from tilewright.tuning import NoValidConfig, RecordsNotStored, TuningInterrupted, tune

    invocation = current_invocation()
    try:
        result = tune(template, progress=not invocation.quiet, **options, **params)
    except NoValidConfig as error:
        if as_json:
            print_json(error.result.to_json())
        raise
    except RecordsNotStored as error:
        _print(error.result, options["db"], as_json)
        raise
    except TuningInterrupted as error:
        _print(error.result, options["db"], as_json)
        click.echo("interrupted: the same command goes on from here", err=True)
        return INTERRUPTED
    _print(result, options["db"], as_json)
    return 0


def _print(result: "TuneResult", db: str, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    click.echo(describe_workload(result.op, result.workload))
    pairs = [("trials", _describe_trials(result)), ("records", describe_database(db))]
    print_pairs([*_describe_best(result), *pairs])


def _describe_best(result: "TuneResult") -> list[tuple[str, str]]:
    best, default = result.best, result.default
    if best is None:
        return [("best", "none yet")]
    pairs = [
        ("best", _describe_speed(best.seconds, best.gflops) + _describe_interval(best.interval)),
        ("config", f"{describe_config(best.config)} (index {best.index})"),
    ]
    if default is not None:
        pairs.append(("default", _describe_speed(default.seconds, default.gflops)))
        pairs.append(("gain", _describe_gain(best, default)))
    return pairs


def _describe_interval(interval: tuple[float, float] | None) -> str:
    from tilewright.tuning.tally import describe_time

    return "" if interval is None else f" ({describe_time(interval[0])} to {describe_time(interval[1])})"


def _describe_gain(best: "Best", default: "Speed") -> str:
    over = "over the untuned default"
    if best.gain is None or best.gain.interval is None:
        return f"{default.seconds / best.seconds:.2f}x {over}"
    low, high = best.gain.interval
    return f"{best.gain.ratio:.2f}x {over} ({low:.2f}x to {high:.2f}x)"


def _describe_speed(seconds: float, gflops: float) -> str:
    from tilewright.tuning.tally import describe_time

    return f"{gflops:.1f} GFLOP/s, {describe_time(seconds)}" if gflops else describe_time(seconds)


def _describe_trials(result: "TuneResult") -> str:
    parts = [f"{result.trials} measured", f"{result.reused} reused"]
    if result.failed:
        causes = ", ".join(f"{count} {state}" for state, count in result.failed.items())
        parts.append(f"failed: {causes}")
    return ", ".join(parts)


def describe_database(db: str) -> str:
    """Where the records are, for people."""
    from tilewright.logs.engine import locate

    place = locate(db)
    return place.name if place.path is None else os.path.abspath(place.path)  # a name shows no password


command = OperatorGroup(
    "tune", "Find the best configuration of an operator on this machine.", _tune, search_options
)
