"""The tensor-expression language, as users import it."""

from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.te import *  # noqa: F403
from tilewright.compiler.te import __all__ as _language

__all__ = [*_language, "create_schedule"]  # noqa: PLE0604
