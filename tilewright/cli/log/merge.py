"""``tilewright log merge``: several databases and logs into one."""

import click

from tilewright.cli.commands import DATABASE, Command, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.output import print_json


def _merge(sources: tuple[str, ...], db: str, as_json: bool) -> None:
    from tilewright.logs.merging import merge_into
    from tilewright.logs.sources import is_unmade, opened
    from tilewright.logs.store import RecordStore

    for source in sources if is_unmade(db) else ():
        with opened(source):
            pass
    with RecordStore(db) as store:
        report = merge_into(store, sources)
    if as_json:
        print_json({**report})
        return
    click.echo(
        f"{report['trials']} trials and {report['playoffs']} rows of play-offs merged into {db};"
        f" {report['known']} trials were there"
    )
    if report["skipped"]:
        current_invocation().warn(f"{len(report['skipped'])} lines are no records; --json lists them")


command = Command(
    "merge",
    callback=_merge,
    params=[
        click.Argument(["sources"], nargs=-1, required=True),
        click.Option(
            ["--into", "--db", "db"],
            default=DATABASE,
            show_default=True,
            metavar="FILE|URL",
            help="The database that takes them; it is made where it is not there.",
        ),
        json_option(),
    ],
    help="Add the trials and play-offs of SOURCES, databases and logs, to one database. Doing it again adds"
    " nothing.",
)
