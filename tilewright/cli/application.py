"""The program: its commands, and what becomes of errors."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from tilewright.cli.commands import Group
from tilewright.cli.invocation import Invocation, begin_invocation
from tilewright.compiler.errors import TilewrightError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

# The module of each command, and its help, so that listing them imports none.
COMMANDS = {
    "ops": "Operators, their parameters, knobs and space sizes.",
    "tune": "Find the best configuration of an operator on this machine.",
    "tune-all": "Tune the workloads of a file together.",
    "best": "The best record of each workload.",
    "bench": "Time an operator beside its untuned default and other libraries.",
    "show": "The code of an operator at a stage of compilation.",
    "log": "Export, import, inspect and mend the records.",
    "replay": "Tuners on a recorded space, without measuring.",
    "doctor": "What makes this machine a bad place to measure.",
}


class LazyGroup(Group):
    """Imports a command when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command, from the module of its name."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"tilewright.cli.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


application = LazyGroup(
    "tilewright",
    help="Tilewright: a tensor compiler for CPUs that finds the best loops by measuring.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit status."""
    if sys.platform == "win32":
        click.echo("error: Tilewright runs on Linux and macOS, not on Windows", err=True)
        return FAILED
    invocation = begin_invocation()
    try:
        status = application.main(list(arguments), "tilewright", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        click.echo("error: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return _report(error, invocation)
    return status if isinstance(status, int) else DONE


def _report(error: Exception, invocation: Invocation) -> int:
    """One line on standard error; the exit status."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    if invocation.verbose:
        traceback.print_exception(error)
    if isinstance(error, click.UsageError):
        hint = f" (see '{error.ctx.command_path} --help')" if error.ctx is not None else ""
        return _complain(error.format_message().rstrip(".") + hint, USAGE)
    if isinstance(error, click.ClickException):
        return _complain(error.format_message(), FAILED)
    if isinstance(error, TilewrightError):
        return _complain(str(error), _status_of(error))
    if isinstance(error, MemoryError):
        return _complain("out of memory: use a smaller workload", FAILED)
    message = f"unexpected {type(error).__name__}: {error}"
    return _complain(message if invocation.verbose else f"{message} (-v shows the traceback)", FAILED)


def _status_of(error: TilewrightError) -> int:
    from tilewright.templates.errors import WorkloadError

    return USAGE if isinstance(error, WorkloadError) else FAILED


def _complain(message: str, status: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return status
