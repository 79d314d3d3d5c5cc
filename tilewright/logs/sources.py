"""Where commands find records: a database of ours, or a log."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tilewright.logs.engine import locate
from tilewright.logs.errors import DatabaseError, RecordError
from tilewright.logs.formats.lines import Line
from tilewright.logs.formats.registry import FORMATS, SPACE, detect_format
from tilewright.logs.lookup import RecordTable, is_database
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore

PathArgument = str | os.PathLike[str]


def is_log(source: PathArgument) -> bool:
    """Whether a file is read as a log: it is there, is no database, and is not empty.

    Raises:
        DatabaseError: the file cannot be read.
    """
    text = os.fspath(source)
    if "://" in text or not Path(text).is_file():
        return False
    return not is_database(Path(text)) and os.path.getsize(text) > 0


def read_log(path: PathArgument) -> Iterator[Line[Record]]:
    """The lines of a log in any format that is known.

    Raises:
        RecordError: it is in none.
        DatabaseError: it cannot be read.
    """
    name = detect_format(path)
    if name == SPACE:
        raise RecordError(f"{os.fspath(path)} holds a recorded space, not records")
    return FORMATS[name].read(path)


def best_records(source: PathArgument) -> list[Record]:
    """The best record of each workload in a database or a log.

    Raises:
        TilewrightError: it cannot be read.
    """
    if not is_log(source):
        with RecordStore(source, read_only=True) as store:
            return list(store.iter_best())
    records = (line.record for line in read_log(source))
    return RecordTable(record for record in records if record is not None).all_best()


@contextlib.contextmanager
def opened(source: PathArgument) -> "Iterator[tuple[Iterator[Line[Record]], list[Record]]]":
    """The trials of a source, and its play-offs in their order.

    Raises:
        TilewrightError: it cannot be read.
    """
    if is_log(source):
        yield read_log(source), []
        return
    with RecordStore(source, read_only=True) as store:
        trials = (Line(number, record) for number, record in enumerate(store.iter_trials(), 1))
        yield trials, store.playoffs()


def is_unmade(target: PathArgument) -> bool:
    """Whether a database is a file that opening it would make.

    Sources are looked at before such a target is opened, so that a mistyped one leaves nothing behind; a
    target that is there is looked at first.
    """
    path = locate(target).path
    return path is not None and not path.exists()


def refuse_same(source: PathArgument, target: PathArgument, command: str) -> None:
    """Refuse a target that is the source itself.

    Raises:
        DatabaseError: naming it.
    """
    with contextlib.suppress(OSError):
        if os.path.samefile(source, target):
            raise DatabaseError(f"{command}: {os.fspath(source)} is both the source and the target")
