"""``tilewright log``: export, import and inspect the records."""

import sys
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import Command, Group, database_option, json_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.output import describe_config, print_json, print_pairs, print_table
from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.logs.record import Record
    from tilewright.logs.store import RecordStore

_SHOWN_SKIPS = 5


_FORMATS = ("jsonl", "autotvm", "t4", "kernel-tuner")


class TrialError(TilewrightError):
    """No trial, or no single one, has the given name."""


class ExportError(TilewrightError):
    """The records do not fit into what was asked for."""


def _open(db: str) -> "RecordStore":
    from tilewright.logs.store import RecordStore

    return RecordStore(db, read_only=True)


def _export(file: str | None, db: str, format_name: str) -> None:
    from tilewright.logs.formats.registry import FORMATS, export_file, group_by_workload

    with _open(db) as store:
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
    from tilewright.logs.store import RecordStore

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


def _stats(db: str, as_json: bool) -> None:
    from tilewright.logs.report import summarize_failures, summarize_states

    with _open(db) as store:
        states, failures = summarize_states(store), summarize_failures(store)
    if as_json:
        print_json({**states, "failures": failures})
        return
    counts = ", ".join(f"{count} {state}" for state, count in states["states"].items()) or "none"
    print_pairs([("trials", f"{states['trials']} of {states['workloads']} workloads"), ("states", counts)])
    if failures:
        print_table(("failures", "state", "message"), [_failure_cells(failure) for failure in failures])


def _failure_cells(failure: dict[str, Any]) -> tuple[str, str, str]:
    cause = failure["state"] if failure["signal"] is None else f"{failure['state']} ({failure['signal']})"
    message = failure["messages"][0] if failure["messages"] else ""
    return str(failure["count"]), cause, " ".join(message.split())[:160]


def _show(trial: str, db: str, as_json: bool) -> None:
    import msgspec

    with _open(db) as store:
        record = _find(store, trial, db)
    fields = {"id": record.id, **msgspec.to_builtins(record)}
    if as_json:
        print_json(fields)
        return
    click.echo(f"trial {record.id}")
    empty: tuple[object, ...] = (None, [], {})
    shown = {name: value for name, value in fields.items() if name != "id" and value not in empty}
    print_pairs([(name, _describe(value)) for name, value in shown.items()])


def _describe(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)) and all(isinstance(item, float) for item in value):
        return ", ".join(f"{item:.4g}" for item in value)
    return describe_config(value) if isinstance(value, dict) else str(value)


def _find(store: "RecordStore", trial: str, db: str) -> "Record":
    found = [record for record in store.iter_trials() if record.id.startswith(trial)]
    if not found:
        raise TrialError(f"{db} has no trial {trial!r}; `tilewright log export` lists them, each with its id")
    if len(found) > 1:
        raise TrialError(f"{len(found)} trials of {db} begin with {trial!r}; give more of the id")
    return found[0]


def _check(db: str, as_json: bool) -> int:
    with _open(db) as store:
        problems = store.problems()
        rows = store.count()
        damaged = rows - sum(1 for _ in store.iter_trials())
    if damaged:
        problems.append(f"{damaged} of {rows} trials cannot be read")
    if as_json:
        print_json({"trials": rows, "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        if not problems:
            click.echo(f"{db}: sound, {rows} trials")
    return 1 if problems else 0


def _format_option(default: str | None, text: str) -> click.Option:
    return click.Option(
        ["--format", "format_name"],
        type=click.Choice(_FORMATS),
        default=default,
        show_default=default is not None,
        help=text,
    )


command = Group("log", help="Export, import and inspect the records.")
for name, callback, arguments, text in (
    ("export", _export,
     [click.Argument(["file"], required=False), _format_option("jsonl", "Format of FILE.")],
     "Write all trials to FILE, or to standard output; t4 and kernel-tuner have one file a workload."),
    ("import", _import,
     [click.Argument(["file"]), _format_option(None, "Format of FILE; by default found from its contents."),
      json_option()],
     "Add the trials of FILE; what cannot be read is skipped and named."),
    ("stats", _stats, [json_option()], "Count the trials, and the causes of failures."),
    ("show", _show, [click.Argument(["trial"]), json_option()], "What is known of a trial, by its id."),
    ("check", _check, [json_option()], "Look for damage; exit with 1 if there is any."),
):  # fmt: skip
    options: list[click.Parameter] = [*arguments, database_option()]
    command.add_command(Command(name, callback=callback, params=options, help=text))
