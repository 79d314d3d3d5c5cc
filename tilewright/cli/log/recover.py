"""``tilewright log recover``: saves what can be read of a damaged database or log."""

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.log.opening import source_argument
from tilewright.cli.output import print_json


def _recover(source: str | None, into: str | None, db: str, as_json: bool) -> None:
    from tilewright.logs.recovery import recover, recovered_name

    target = into or recovered_name(source or db)
    report = recover(source or db, target)
    if as_json:
        print_json({**report, "into": target})
        return
    click.echo(
        f"{report['trials']} trials and {report['playoffs']} rows of play-offs recovered into {target}"
    )
    if report["damaged"]:
        current_invocation().warn(f"{report['damaged']} damaged rows or lines are no records")


command = Command(
    "recover",
    callback=_recover,
    params=[
        source_argument(),
        click.Option(
            ["--into"], metavar="FILE", help="The new database; by default SOURCE with .recovered.db."
        ),
        json_option(),
        database_option(),
    ],
    help="Save what can be read of the database, or of SOURCE, a database or a log, into a new database. The"
    " source is only read.",
)
