"""Results on standard output: one JSON object, or tables for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_json(data: Mapping[str, Any]) -> None:
    """One object on one line; what JSON cannot hold is refused."""
    click.echo(json.dumps(data, allow_nan=False))


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, a line each."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"  {name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns wide enough for their words."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def describe_config(config: Mapping[str, Any]) -> str:
    """Knobs and their values."""
    return ", ".join(f"{name}={_value(value)}" for name, value in config.items()) or "(no knobs)"


def describe_workload(op: str, arguments: Mapping[str, Any]) -> str:
    """A workload as a call."""
    return f"{op}({', '.join(f'{name}={_value(value)}' for name, value in arguments.items())})"


def _value(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (list, dict)) else str(value)
