"""The tensor-expression language, as users import it."""

from tilewright.compiler.schedule import create_schedule as create_schedule
from tilewright.compiler.te import *  # noqa: F403
