"""``tilewright log prune``: keeps the best trials of each workload."""

import sys

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.log.opening import open_store
from tilewright.cli.output import print_json

_KEEP = 16
DONE, FAILED = 0, 1


def _prune(keep: int, yes: bool, db: str, as_json: bool) -> int:
    from tilewright.logs.pruning import prune
    from tilewright.logs.store import RecordStore

    with open_store(db) as store:  # where there is no database, none is made
        plan = prune(store, keep, dry=True)
    if plan["removed"] and not yes and not _is_confirmed(plan["removed"], plan["kept"], db):
        return FAILED
    with RecordStore(db) as store:
        report = prune(store, keep)
    if as_json:
        print_json({**report})
        return DONE
    click.echo(
        f"{report['removed']} trials removed from {db};"
        f" {report['kept']} of {report['workloads']} workloads are kept"
    )
    return DONE


def _is_confirmed(removed: int, kept: int, db: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{removed} of {removed + kept} trials of {db} would be removed: give --yes")
    if click.confirm(f"remove {removed} of {removed + kept} trials of {db}?", err=True):
        return True
    current_invocation().say("nothing was removed")
    return False


command = Command(
    "prune",
    callback=_prune,
    params=[
        click.Option(
            ["--keep"],
            type=click.IntRange(min=1),
            default=_KEEP,
            show_default=True,
            help="Valid trials that stay of each workload.",
        ),
        click.Option(["--yes"], is_flag=True, help="Do not ask."),
        json_option(),
        database_option(),
    ],
    help="Remove all trials but the best of each workload and those that its play-offs name; of failures a"
    " summary stays. A run that follows may try again what was removed.",
)
