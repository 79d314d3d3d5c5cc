"""``tilewright log check``: looks for damage."""

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.log.opening import source_argument
from tilewright.cli.output import print_json


def _check(source: str | None, db: str, as_json: bool) -> int:
    from tilewright.logs.integrity import check

    name = source or db
    report = check(name)
    if as_json:
        print_json(report)
    else:
        for problem in report["problems"]:
            click.echo(problem)
        if not report["problems"]:
            click.echo(f"{name}: sound, {report['trials']} trials")
    return 1 if report["problems"] else 0


command = Command(
    "check",
    callback=_check,
    params=[source_argument(), json_option(), database_option()],
    help="Look for damage in the database, or in SOURCE, a database or a log: what cannot be read, trials"
    " there twice, impossible costs, columns that contradict their record. Exit with 1 if there is any.",
)
