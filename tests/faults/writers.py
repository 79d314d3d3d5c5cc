"""Processes that write to one database until they are killed, and tell what was acknowledged."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from tests.logs.records import make
from tilewright.logs.store import RecordStore

Stored = tuple[str, int]
CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.writers"])


class Writer:
    """A process that stores the records 0, 1, 2, ... and acknowledges each that was new.

    With an owner it stores as many of its own in between, so that another, ahead of it, leaves it something.
    """

    def __init__(self, path: Path | str, count: int, *, owner: str = "", leased: bool = False) -> None:
        self._answers, child = CONTEXT.Pipe(duplex=False)
        self._process: ForkServerProcess = CONTEXT.Process(
            target=_write, args=(path, count, owner, leased, child)
        )
        self._process.start()
        child.close()

    def acknowledged(self, count: int) -> list[Stored]:
        """The next acknowledgements; fewer where the process has ended."""
        found: list[Stored] = []
        while len(found) < count:
            try:
                found.append(self._answers.recv())
            except EOFError:
                break
        return found

    def kill(self) -> list[Stored]:
        """Send SIGKILL; what was acknowledged before it came."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        return self._rest()

    def finish(self) -> list[Stored]:
        """Wait for the end; what was acknowledged.

        Raises:
            AssertionError: the process failed.
        """
        found = self._rest()
        self._process.join()
        assert self._process.exitcode == 0, f"a writer ended with {self._process.exitcode}"
        return found

    def _rest(self) -> list[Stored]:
        found: list[Stored] = []
        # The last message of a killed process may be cut off.
        try:
            while True:
                found.append(self._answers.recv())
        except (EOFError, OSError):
            return found


def stored(path: Path) -> list[Stored]:
    """What the writers stored in a database, in its order."""
    with RecordStore(path, read_only=True) as store:
        return [(record.config["owner"], record.config["i"]) for record in store.iter_trials()]


def _write(path: Path | str, count: int, owner: str, leased: bool, answers: Connection) -> None:
    owners = ("", owner) if owner else ("",)
    with RecordStore(path) as store:
        known = {(record.config["owner"], record.config["i"]) for record in store.trials(make().key)}
        for number in range(count):
            for name in owners:
                config: dict[str, Any] = {"owner": name, "i": number}
                if (name, number) in known:
                    continue
                if leased and not _take(store, config):
                    continue
                if store.add(make(config=config)):
                    answers.send((name, number))


def _take(store: RecordStore, config: dict[str, Any]) -> bool:
    """Claim a configuration that nobody has tried."""
    key = make().key
    return store.lease(key, config, f"writer-{os.getpid()}") and store.attempts(key, config) == 0
