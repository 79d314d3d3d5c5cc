"""``tilewright tune-all``: find the best configurations of several workloads in one run."""

from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import Command
from tilewright.cli.invocation import current_invocation
from tilewright.cli.output import print_json, print_table
from tilewright.cli.tune import INTERRUPTED, describe_database, search_options

if TYPE_CHECKING:
    from tilewright.tuning import TuneAllResult, TuneResult

STRATEGIES = ("gradient", "round-robin")


def _tune_all(file: str, as_json: bool, **options: Any) -> int:
    from tilewright.tuning import IncompleteTuningError, RecordsNotStored, TuneAllInterrupted, tune_all
    from tilewright.tuning.weighted_workloads import read_workloads

    workloads = read_workloads(file)
    try:
        result = tune_all(workloads, progress=not current_invocation().quiet, **options)
    except (IncompleteTuningError, RecordsNotStored) as error:
        _print(error.result, options["db"], as_json)
        raise
    except TuneAllInterrupted as error:
        _print(error.result, options["db"], as_json)
        click.echo("interrupted: the same command goes on from here", err=True)
        return INTERRUPTED
    _print(result, options["db"], as_json)
    return 0


def _print(result: "TuneAllResult", db: str, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    from tilewright.templates.registry import find_template
    from tilewright.templates.workload import Workload, describe_briefly

    rows = [
        (
            describe_briefly(Workload(each.op, each.workload), find_template(each.op)),
            f"{weight:g}",
            str(each.trials + each.reused),
            *_speeds(each),
        )
        for each, weight in zip(result.results, result.weights, strict=True)
    ]
    rows.append(
        ("total", "", str(result.trials + result.reused), *_times(result.total.default, result.total.best))
    )
    print_table(("workload", "weight", "trials", "default", "best", "gain"), rows)
    click.echo(f"{result.trials} trials measured, {result.reused} reused; records in {describe_database(db)}")


def _speeds(result: "TuneResult") -> tuple[str, str, str]:
    default, best = result.default, result.best
    return _times(None if default is None else default.seconds, None if best is None else best.seconds)


def _times(default: float | None, best: float | None) -> tuple[str, str, str]:
    """Seconds before and after, and how many times faster that is."""
    from tilewright.tuning.tally import describe_time

    before, after = ("-" if seconds is None else describe_time(seconds) for seconds in (default, best))
    return before, after, "-" if default is None or best is None else f"{default / best:.2f}x"


def _options() -> list[click.Parameter]:
    """Those of ``tune``, but that trials are counted together."""
    shared = [option for option in search_options() if option.name != "trials"]
    return [
        click.Option(
            ["--strategy"],
            type=click.Choice(STRATEGIES),
            default=STRATEGIES[0],
            show_default=True,
            help="Who gets the next trials: where the total falls most, or by turns.",
        ),
        click.Option(
            ["--trials"],
            type=click.IntRange(min=1),
            help="Trials that all workloads have at the end, those in the database included; by default 64"
            " for each.",
        ),
        *shared,
    ]


command = Command(
    "tune-all",
    callback=_tune_all,
    params=[click.Argument(["file"]), *_options()],
    help="Tune the workloads of a file together, with more trials where the total falls more.\n\nFILE is JSON"
    ' or JSON lines: {"op": "matmul", "m": 64, "n": 64, "k": 64, "weight": 2}',
)
