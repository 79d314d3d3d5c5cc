"""``tilewright log``: the records, one command a module."""

from tilewright.cli.commands import Group
from tilewright.cli.log import check, diff, merge, prune, recover, repro, show, stats, transfer

command = Group("log", help="Export, import, inspect and mend the records.")
for _command in (
    transfer.export_command,
    transfer.import_command,
    merge.command,
    prune.command,
    stats.command,
    show.command,
    repro.command,
    check.command,
    recover.command,
    diff.command,
):
    command.add_command(_command)
