"""Commands that all have the common options, and the options that several commands share."""

from typing import Any

import click

from tilewright.cli.invocation import common_options

DATABASE = "tune.db"


class Command(click.Command):
    """A command with the common options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.extend(common_options())


class Group(click.Group):
    """A group with the common options, whose commands have them too."""

    command_class = Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.extend(common_options())


def database_option() -> click.Option:
    """Where the records are."""
    return click.Option(
        ["--db"], default=DATABASE, show_default=True, metavar="FILE|URL", help="Database of the records."
    )


def json_option() -> click.Option:
    """Output for programs."""
    return click.Option(
        ["--json", "as_json"], is_flag=True, help="Print one JSON object on standard output at the end."
    )


def threads_option() -> click.Option:
    """Threads of a kernel."""
    return click.Option(
        ["--threads"], type=click.IntRange(min=1), help="Threads; by default the cores of this process."
    )
