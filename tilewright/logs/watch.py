"""Whether the places where records are found have changed; asked at most once a second."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import PoolProxiedConnection

INTERVAL_SECONDS = 1.0

State = tuple[object, object]  # the file, and what changes with its contents


class Change(Enum):
    """What has become of the sources since they were looked at last."""

    NONE = "none"
    CONTENTS = "contents"
    FILES = "files"  # a file is another one, or a log, which is read as a whole


class Watch:
    """Looks at databases and logs; nothing else can change.

    Nobody waits: while one thread looks, the others go on with what they know.
    """

    def __init__(self, sources: Sequence[object], clock: Callable[[], float] = time.monotonic) -> None:
        names = [os.fspath(source) for source in sources if isinstance(source, str | os.PathLike)]
        self._clock = clock
        self._next = 0.0
        self._busy = threading.Lock()
        self._counters = {name: _ChangeCounter(name) for name in names}
        self._seen: dict[str, State | None] = {}

    def look(self) -> Change:
        """What has changed since the last look; nothing within a second of it."""
        if self._clock() < self._next or not self._busy.acquire(blocking=False):
            return Change.NONE
        try:
            self._next = self._clock() + INTERVAL_SECONDS
            before = self._seen
            found = self._seen = {
                name: counter.read() or before.get(name) for name, counter in self._counters.items()
            }
        finally:
            self._busy.release()
        if not before or found == before:
            return Change.NONE
        files = [{name: state and state[0] for name, state in each.items()} for each in (before, found)]
        return Change.CONTENTS if files[0] == files[1] else Change.FILES

    def close(self) -> None:
        """Let go of the databases."""
        for counter in self._counters.values():
            counter.close()
        self._seen.clear()


def _identity(name: str) -> object:
    """What tells a file from others, and of a log its states; None where it is gone."""
    from tilewright.logs.lookup import is_database

    if "://" not in name:
        with contextlib.suppress(OSError, TilewrightError):
            status = os.stat(name)
            states = () if is_database(Path(name)) else (status.st_size, status.st_mtime_ns)
            return (status.st_dev, status.st_ino, *states)
    return None


class _ChangeCounter:
    """The change counter of a SQLite database, as one connection sees it; else the last rows' numbers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: object = None
        self._engine: Engine | None = None
        self._connection: PoolProxiedConnection | None = None

    def read(self) -> State | None:
        """The state of the source; None where it is gone or cannot be read."""
        from sqlalchemy.exc import SQLAlchemyError

        from tilewright.logs.lookup import is_database

        identity = _identity(self._name)
        if identity != self._file:
            self.close()
            self._file = identity
        try:
            if "://" in self._name or (identity is not None and is_database(Path(self._name))):
                return identity, self._ask()
        except (SQLAlchemyError, sqlite3.Error, TilewrightError):
            self.close()
            return None
        return None if identity is None else (identity, None)

    def _ask(self) -> object:
        from tilewright.logs.engine import locate, open_engine

        location = locate(self._name)
        if self._engine is None:
            self._engine = open_engine(location, read_only=True)
        if location.path is None:
            return _last_numbers(self._engine)
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        cursor = self._connection.cursor()
        try:
            return cursor.execute("PRAGMA data_version").fetchone()
        finally:
            cursor.close()

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
        if self._engine is not None:
            self._engine.dispose()
        self._connection = self._engine = None


def _last_numbers(engine: "Engine") -> object:
    """The numbers of the last trial and of the last row of a play-off."""
    from sqlalchemy import func, select

    from tilewright.logs.schema import playoffs, trials

    last = [select(func.max(table.c.id)).scalar_subquery() for table in (trials, playoffs)]
    with engine.connect() as connection:
        return tuple(connection.execute(select(*last)).one())
