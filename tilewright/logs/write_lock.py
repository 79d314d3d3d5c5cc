"""One writer at a time: an exclusive lock that SQLite's own locking does not know.

SQLite up to 3.51.2 can damage a database when two connections write and checkpoint at the same instant
(sqlite.org/wal.html, WAL-reset bug). Every write, checkpoint and close of ours holds this lock. It lies on
the folder: a file beside the database would be left behind, and locking the database file itself could drop
SQLite's locks.
"""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tilewright.logs.errors import DatabaseError

WAIT_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.0005
_LONGEST_PAUSE_SECONDS = 0.01


class WriteLock:
    """The lock of a folder, among processes and among the threads of this one."""

    def __init__(self, database: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        self._database = database
        self._wait_seconds = wait_seconds
        self._threads = threading.RLock()
        self._depth = 0
        self._descriptor = os.open(database.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; it may be taken again inside."""
        if not self._threads.acquire(timeout=self._wait_seconds):
            raise self._busy()
        try:
            if self._depth == 0:
                self._lock()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._descriptor)

    def _lock(self) -> None:
        end = time.monotonic() + self._wait_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                    return  # a file system without locks: SQLite's own have to do
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                    raise
            if time.monotonic() >= end:
                raise self._busy()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _busy(self) -> DatabaseError:
        return DatabaseError(
            f"{self._database}: another process has held the lock of its folder for"
            f" {self._wait_seconds:g} s; is one stopped?"
        )
