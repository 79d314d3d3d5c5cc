"""Errors that users see; each message names the user's object and the remedy."""


class TilewrightError(Exception):
    """Base of every error that Tilewright raises on purpose."""


class ExpressionError(TilewrightError):
    """A tensor expression is malformed: wrong type, rank, extent or name."""


class ScheduleError(TilewrightError):
    """A schedule primitive was applied where it is not legal."""


class CodeSizeError(TilewrightError):
    """A program would expand to more code than the limit allows."""


class TargetError(TilewrightError):
    """LLVM knows no such CPU, or this machine cannot run its code."""


class CompileError(TilewrightError):
    """Code generation or LLVM rejected a program."""


class ArgumentError(TilewrightError, ValueError):
    """An array passed to a kernel has the wrong dtype, shape, layout or memory."""
