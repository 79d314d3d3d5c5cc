"""``tilewright show``: the code of an operator at a stage of compilation."""

import contextlib
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import database_option, threads_option
from tilewright.cli.invocation import current_invocation
from tilewright.cli.operators import OperatorGroup
from tilewright.cli.records import apply_records

if TYPE_CHECKING:
    from tilewright.templates.template import Template

STAGES = ("loops", "llvm", "asm", "numba")


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--config"],
            default="best",
            show_default=True,
            metavar="best|default|INDEX",
            callback=_read_config,
            help="The configuration: the best record, else the default; or a number of the space.",
        ),
        click.Option(
            ["--stage"], type=click.Choice(STAGES), default="loops", show_default=True, help="Of the code."
        ),
        threads_option(),
        database_option(),
    ]


def _read_config(context: click.Context, parameter: click.Parameter, value: str) -> str | int:
    if value in ("best", "default"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is not best, default or the index of a configuration")
    return int(value)


def _show(
    template: "Template", params: dict[str, Any], config: str | int, stage: str, threads: int | None, db: str
) -> None:
    from tilewright.deploy import build, explain

    records = apply_records(db) if config == "best" else None
    with records or contextlib.nullcontext():
        kernel = build(template, threads=threads, config=config, **params)
    current_invocation().say(str(explain()[-1]))
    click.echo(kernel.source(stage))


command = OperatorGroup("show", "The code of an operator at a stage of compilation.", _show, _options)
