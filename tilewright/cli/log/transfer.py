"""``tilewright log export`` and ``log import``."""

import os
import sys

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.log.opening import open_store
from tilewright.cli.output import print_json
from tilewright.compiler.errors import TilewrightError

_SHOWN_SKIPS = 5
_FORMATS = ("jsonl", "autotvm", "t4", "kernel-tuner")


class ExportError(TilewrightError):
    """The records do not fit into what was asked for."""


def _export(file: str | None, db: str, format_name: str) -> None:
    from tilewright.logs.formats.registry import FORMATS, export_file, group_by_workload

    with open_store(db) as store:
        if file is not None and file != "-":
            written = export_file(store.iter_trials(), file, format_name)
        elif FORMATS[format_name].is_document and len(group_by_workload(store.iter_trials())) > 1:
            raise ExportError(
                f"{db} has trials of several workloads, and a file of {FORMATS[format_name].title} holds one:"
                " give FILE, beside which each will have its own"
            )
        else:
            FORMATS[format_name].write(store.iter_trials(), sys.stdout)
            return
    for name, count in written.items():
        current_invocation().say(f"{count} records written to {name}")


def _import(file: str, db: str, as_json: bool, format_name: str | None) -> None:
    from tilewright.logs.formats.registry import FORMATS, detect_format, import_file
    from tilewright.logs.sources import is_unmade
    from tilewright.logs.store import RecordStore

    if is_unmade(db):
        _look_at(file, format_name)
    with RecordStore(db) as store:
        name = format_name or detect_format(file)
        report = import_file(store, file, name)
    if as_json:
        print_json({**report})
        return
    skipped = report["skipped"]
    title = FORMATS[name].title
    click.echo(f"{report['imported']} records imported into {db}, {len(skipped)} lines skipped ({title})")
    for line in skipped[:_SHOWN_SKIPS]:
        current_invocation().warn(f"line {line['line']}: {line['reason']}")
    if len(skipped) > _SHOWN_SKIPS:
        current_invocation().warn(f"{len(skipped) - _SHOWN_SKIPS} more; --json lists them all")


def _look_at(file: str, format_name: str | None) -> None:
    """Refuse a file that is not there or, where its format is to be found, is in none."""
    from tilewright.logs.formats.files import explained
    from tilewright.logs.formats.registry import detect_format

    if format_name is None:
        detect_format(file)
        return
    with explained(file):
        os.stat(file)  # not opened: a pipe is read once


def _format_option(default: str | None, text: str) -> click.Option:
    return click.Option(
        ["--format", "format_name"],
        type=click.Choice(_FORMATS),
        default=default,
        show_default=default is not None,
        help=text,
    )


export_command = Command(
    "export",
    callback=_export,
    params=[
        click.Argument(["file"], required=False),
        _format_option("jsonl", "Format of FILE."),
        database_option(),
    ],
    help="Write all trials to FILE, or to standard output; t4 and kernel-tuner have one file a workload.",
)
import_command = Command(
    "import",
    callback=_import,
    params=[
        click.Argument(["file"]),
        _format_option(None, "Format of FILE; by default found from its contents."),
        json_option(),
        database_option(),
    ],
    help="Add the trials of FILE; what cannot be read is skipped and named.",
)
