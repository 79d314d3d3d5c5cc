"""The command line; modules are imported by the commands that need them."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    import sys

    try:
        from tilewright.cli.application import run

        status = run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # while modules are imported
        status = 130
    sys.exit(status)
