"""What a run found is told even though the database cannot be used any more."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from tilewright.logs.errors import DatabaseError
from tilewright.tuning.result import RecordsNotStored


class Salvage:
    """Inside ``with``: a failing database ends a run with what is known without it.

    It stands outside of what closes the database, since giving the leases back may fail too.

    Attributes:
        recall: what is known; until it is set, nothing is.
    """

    recall: Callable[[], object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise RecordsNotStored in place of the database's error."""
        if isinstance(error, DatabaseError) and self.recall is not None:
            raise RecordsNotStored(str(error), self.recall()) from None
