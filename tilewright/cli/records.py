"""What commands need of records and databases."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilewright.cli.commands import DATABASE
from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.logs.apply import ApplyBest


def apply_records(db: str) -> "ApplyBest | None":
    """The records of a database, in force inside ``with``; None where the usual database is not there."""
    from tilewright.logs.apply import apply_best

    if db == DATABASE and not os.path.exists(db):
        return None
    return apply_best(db)


def count_operations(op: str, arguments: Mapping[str, Any]) -> int | None:
    """The operations of a recorded workload; None where its template is not known here."""
    from tilewright.compiler.target import Target
    from tilewright.templates.registry import template_names
    from tilewright.templates.task import Task

    if op not in template_names():
        return None
    try:
        return Task.create(op, Target.host(), 1, **arguments).flops
    except TilewrightError:
        return None
