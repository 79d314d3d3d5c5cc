"""``tilewright log repro``: a script that does a trial again."""

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.log.show import find_trial
from tilewright.cli.output import print_json


def _repro(trial: str, output: str | None, op: str | None, db: str, as_json: bool) -> None:
    from tilewright.logs.formats.files import replace_file
    from tilewright.logs.reproduction import write_script

    record = find_trial(db, trial)
    script = write_script(record, op)
    if output == "-":
        click.echo(script, nl=False)
        return
    name = output or f"repro_{record.id}.py"
    replace_file(name, lambda file: file.write(script))
    if as_json:
        print_json({"trial": record.id, "state": record.state, "script": name})
    else:
        click.echo(name)
        current_invocation().say(f"python {name} builds and runs the trial in a child process")


command = Command(
    "repro",
    callback=_repro,
    params=[
        click.Argument(["trial"]),
        click.Option(["--output", "-o"], metavar="FILE", help="The script; - is standard output."),
        click.Option(
            ["--op"], metavar="FILE.py:NAME", help="Where the template is, if it is not the package's."
        ),
        json_option(),
        database_option(),
    ],
    help="Write a script that builds the configuration of a trial and runs it in a child process.",
)
