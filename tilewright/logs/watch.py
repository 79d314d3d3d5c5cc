"""Whether the places where records are found have changed; asked at most once a second."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

INTERVAL_SECONDS = 1.0


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
        self._seen: dict[str, tuple[object, object]] = {}

    def look(self) -> Change:
        """What has changed since the last look; nothing within a second of it."""
        if self._clock() < self._next or not self._busy.acquire(blocking=False):
            return Change.NONE
        try:
            self._next = self._clock() + INTERVAL_SECONDS
            found = {name: (_identity(name), counter.read()) for name, counter in self._counters.items()}
            before, self._seen = self._seen, found
        finally:
            self._busy.release()
        if not before or found == before:
            return Change.NONE
        same_files = all(found[name][0] == before[name][0] for name in found)
        return Change.CONTENTS if same_files else Change.FILES

    def close(self) -> None:
        """Let go of the databases."""
        for counter in self._counters.values():
            counter.close()
        self._seen.clear()


def _identity(name: str) -> object:
    """What tells a file from another one; of a log also what tells its states apart."""
    from tilewright.logs.lookup import is_database

    if "://" in name:
        return None
    with contextlib.suppress(OSError):
        status = os.stat(name)
        states = () if is_database(Path(name)) else (status.st_size, status.st_mtime_ns)
        return (status.st_dev, status.st_ino, *states)
    return None


class _ChangeCounter:
    """The change counter of a database as one connection sees it; of PostgreSQL the numbers of the last rows."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: object = None
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def read(self) -> object:
        """A value that is another one after each change; None of a log."""
        from tilewright.logs.lookup import is_database

        identity = _identity(self._name)
        if identity != self._file:
            self.close()
            self._file = identity
        if "://" not in self._name and (identity is None or not is_database(Path(self._name))):
            return None
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return self._ask()
        except SQLAlchemyError:
            self.close()
            return None

    def _ask(self) -> Any:
        from sqlalchemy import func, select

        from tilewright.logs.engine import locate, open_engine
        from tilewright.logs.schema import playoffs, trials

        if self._connection is None:
            self._engine = open_engine(locate(self._name), read_only=True)
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if self._connection.dialect.name == "sqlite":
            return self._connection.exec_driver_sql("PRAGMA data_version").scalar()
        last = [select(func.max(table.c.id)).scalar_subquery() for table in (trials, playoffs)]
        return tuple(self._connection.execute(select(*last)).one())

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None and self._engine is not None:
            self._connection.close()
            self._engine.dispose()
        self._connection = self._engine = None
