"""`autotvm.measure.executor`: calls of a function in processes of their own, with a time limit."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class ExecutionError(RuntimeError):
    """The process ended without an answer."""


class Future:
    """The answer of a call that runs in another process."""

    def __init__(self, process: Any, answers: Connection, timeout: float | None) -> None:
        self._process, self._answers, self._timeout = process, answers, timeout
        self._value: Any = None
        self._is_known = False

    def done(self) -> bool:
        """Whether the answer is there, or never will be."""
        return self._is_known or self._answers.poll() or not self._process.is_alive()

    def get(self, timeout: float | None = None) -> Any:
        """The answer; an exception of the call, TimeoutError or ExecutionError as a value, as in AutoTVM."""
        if not self._is_known:
            self._value, self._is_known = self._receive(timeout or self._timeout), True
            self._process.kill()
            self._process.join()
        return self._value

    def _receive(self, timeout: float | None) -> Any:
        if not self._answers.poll(timeout):
            return TimeoutError(f"no answer within {timeout} s")
        try:
            return self._answers.recv()
        except EOFError:
            return ExecutionError("the process ended without an answer")


class LocalExecutor:
    """Runs each call in a process of its own, which is ended when its time is over."""

    def __init__(self, timeout: float | None = None, do_fork: bool = True) -> None:
        self.timeout = timeout

    def submit(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
        """Start a call."""
        context = multiprocessing.get_context("spawn")
        answers, sender = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(sender, func, args, kwargs), daemon=True)
        process.start()
        sender.close()
        return Future(process, answers, self.timeout)


def _answer(sender: Connection, func: Callable[..., Any], args: Any, kwargs: Any) -> None:
    try:
        sender.send(func(*args, **kwargs))
    except Exception as error:  # the caller gets it as the answer
        sender.send(error)


__all__ = ["ExecutionError", "Future", "LocalExecutor"]
