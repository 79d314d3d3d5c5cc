"""Applying the best records: in a context, or in the whole process."""

import threading
from contextvars import ContextVar, Token
from typing import Self

from tilewright.logs.errors import DatabaseError
from tilewright.logs.lookup import Lookup, SourceArgument, check_source
from tilewright.logs.record import Record

_context: ContextVar[tuple[Lookup, ...]] = ContextVar("tilewright_apply_best", default=())


class _Process:
    """What is installed for all threads; a context does not reach threads that others start."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lookups: tuple[Lookup, ...] = ()


_process = _Process()


class ApplyBest:
    """Best records in force: inside `with`, or from `install` to `uninstall`."""

    def __init__(self, *sources: SourceArgument) -> None:
        if not sources:
            raise DatabaseError("apply_best: give at least one database, log or collection of records")
        for source in sources:
            check_source(source)
        self._lookup = Lookup(sources)
        self._tokens: list[Token[tuple[Lookup, ...]]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_context.set((self._lookup, *_context.get())))
        return self

    def __exit__(self, *_: object) -> None:
        _context.reset(self._tokens.pop())
        if not self._tokens and self._lookup not in _process.lookups:
            self._lookup.close()

    def install(self) -> Self:
        """Put the records in force in the whole process, in front of those installed before."""
        with _process.lock:
            others = tuple(lookup for lookup in _process.lookups if lookup is not self._lookup)
            _process.lookups = (self._lookup, *others)
        return self

    def uninstall(self) -> None:
        """Undo `install`."""
        with _process.lock:
            _process.lookups = tuple(lookup for lookup in _process.lookups if lookup is not self._lookup)

    def find(self, key: str) -> Record | None:
        """The best record of a key in these sources."""
        return self._lookup.find(key)


def apply_best(*sources: SourceArgument) -> ApplyBest:
    """Use the best records of databases, logs and collections of records.

        with apply_best("tune.db"):            # in this context
            kernel = build("matmul", m=512, n=512, k=512)

        apply_best("tune.db").install()        # in the whole process

    Args:
        sources: paths of databases and of logs, URLs, stores, or collections of records; the first that
            knows a key decides.
    """
    return ApplyBest(*sources)


def find_best(key: str) -> Record | None:
    """The record in force for an exact key: the innermost context's, else the process's, else none."""
    for lookup in (*_context.get(), *_process.lookups):
        record = lookup.find(key)
        if record is not None:
            return record
    return None
