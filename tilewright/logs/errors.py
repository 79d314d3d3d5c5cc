"""Errors of stores and logs."""

from tilewright.compiler.errors import TilewrightError


class DatabaseError(TilewrightError):
    """A database cannot be opened, read or written; the message names it and says why."""


class RecordError(TilewrightError, ValueError):
    """A record is not one: malformed, altered or impossible."""
