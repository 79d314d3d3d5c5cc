"""What every command knows of its call: how much to say, and where to say it."""

import logging
import sys
from dataclasses import dataclass
from typing import Any

import click


@dataclass(slots=True)
class Invocation:
    """How much the user wants to read."""

    verbose: bool = False
    quiet: bool = False

    def apply(self) -> None:
        """Set the level of what is logged."""
        level = logging.INFO if self.verbose else logging.ERROR if self.quiet else logging.WARNING
        logging.getLogger("tilewright").setLevel(level)

    def say(self, text: str) -> None:
        """A remark on standard error."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """A warning on standard error."""
        self.say(f"warning: {text}")


class _StderrHandler(logging.Handler):
    """Writes to what standard error is now: a live display may stand in for it.

    A warning that several searches of a command have is said once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()}: {record.getMessage()}\n"
        if record.levelno < logging.WARNING or line not in self.said:
            self.said.add(line)
            sys.stderr.write(line)


def begin_invocation() -> Invocation:
    """An invocation, with the package's log on standard error."""
    logger = logging.getLogger("tilewright")
    for handler in [handler for handler in logger.handlers if isinstance(handler, _StderrHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(_StderrHandler())
    invocation = Invocation()
    invocation.apply()
    return invocation


def current_invocation() -> Invocation:
    """The invocation of the command that runs."""
    invocation = click.get_current_context().find_root().obj
    assert isinstance(invocation, Invocation)
    return invocation


def common_options() -> list[click.Parameter]:
    """The options that every command has."""
    return [
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
            help="Show the version and exit.",
        ),
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_set_verbose,
            help="Say more; show the traceback of an unexpected error.",
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_set_quiet,
            help="Say nothing but results and errors.",
        ),
    ]  # fmt: skip


def _show_version(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and not context.resilient_parsing:
        import tilewright

        click.echo(f"tilewright {tilewright.__version__}")
        context.exit()


def _set_verbose(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    invocation = context.find_root().obj
    if value and isinstance(invocation, Invocation):
        invocation.verbose = True
        invocation.apply()


def _set_quiet(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    invocation = context.find_root().obj
    if value and isinstance(invocation, Invocation):
        invocation.quiet = True
        invocation.apply()
