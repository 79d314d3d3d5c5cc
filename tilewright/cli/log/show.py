"""``tilewright log show``: what is known of a trial."""

from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.log.opening import open_store
from tilewright.cli.output import describe_config, print_json, print_pairs
from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.logs.record import Record


class TrialError(TilewrightError):
    """No trial, or no single one, has the given name."""


def find_trial(db: str, trial: str) -> "Record":
    """The trial whose id begins so.

    Raises:
        TrialError: there is none, or several.
    """
    with open_store(db) as store:
        found = store.find(trial)
    if not found:
        raise TrialError(f"{db} has no trial {trial!r}; `tilewright log export` lists them, each with its id")
    if len(found) > 1:
        raise TrialError(f"{len(found)} trials of {db} begin with {trial!r}; give more of the id")
    return found[0]


def _show(trial: str, db: str, as_json: bool) -> None:
    import msgspec

    record = find_trial(db, trial)
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


command = Command(
    "show",
    callback=_show,
    params=[click.Argument(["trial"]), json_option(), database_option()],
    help="What is known of a trial, by its id or the start of it.",
)
