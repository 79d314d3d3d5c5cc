"""Opening a database: where it is, how SQLite is set up, and what its errors mean to a user."""

import contextlib
import functools
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
import sqlalchemy.exc
from sqlalchemy.engine import Connection, Engine

from tilewright.logs.errors import DatabaseError

_HEADER = b"SQLite format 3\x00"
_BUSY_SECONDS = 30
_CACHE_KIBIBYTES = 1 << 16  # the indices of a million records in their busiest part
# A byte that is no text spoils its own row, whose checksum tells, and no other.
_decode_text = functools.partial(str, encoding="utf-8", errors="replace")
_WAL_ATTEMPTS = 50
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs"})
_WRITES = "tilewright_writes"
_NEEDED_BYTES = 1 << 20  # the pages of a transaction, and room for the checkpoint that follows
_SCHEMA_LOCK = 0x7469_6C65


@dataclass(frozen=True, slots=True)
class Location:
    """Where a database is.

    Attributes:
        name: as the user gave it, without a password.
        path: the file of a SQLite database, else None.
        url: of another database, else None.
    """

    name: str
    path: Path | None
    url: str | None


def locate(source: str | os.PathLike[str]) -> Location:
    """A path is SQLite, `x://` is a URL."""
    text = os.fspath(source)
    if "://" not in text:
        return Location(text, Path(text), None)
    try:
        url = sqlalchemy.make_url(text)
    except sqlalchemy.exc.ArgumentError as error:
        raise DatabaseError(f"{text}: not the URL of a database: {error}") from None
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise DatabaseError(f"{text}: a database in memory keeps nothing; give the path of a file")
        return Location(url.database, Path(url.database), None)
    return Location(url.render_as_string(hide_password=True), None, text)


def check_file(path: Path, *, for_writing: bool) -> None:
    """Refuse, in one line, what cannot be opened."""
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder: give the path of a file in it")
    if not path.parent.is_dir():
        raise DatabaseError(f"cannot open {path}: the folder {path.parent} does not exist")
    if not path.exists():
        if not for_writing:
            raise DatabaseError(f"{path} does not exist")
        if not os.access(path.parent, os.W_OK):
            raise DatabaseError(f"cannot create {path}: permission denied in {path.parent.absolute()}")
    elif not os.access(path, os.R_OK):
        raise DatabaseError(f"cannot read {path}: permission denied")
    else:
        _check_header(path)
    if for_writing and (kind := file_system(path)) in _NETWORK_FILE_SYSTEMS:
        raise DatabaseError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data: use a local disk or the"
            " URL of a PostgreSQL database"
        )


def open_engine(location: Location, *, read_only: bool) -> Engine:
    """An engine whose connections are set up; nothing is read or written yet."""
    if location.path is None:
        return _open_url(location)
    uri = _sqlite_uri(location.path, read_only)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            _prepare_writer(connection)
        connection.execute("PRAGMA wal_autocheckpoint=0")  # the store checkpoints, under its lock
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}")
        connection.text_factory = _decode_text
        return connection

    engine = sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=sqlalchemy.QueuePool)
    sqlalchemy.event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(engine: Engine) -> Connection:
    """A connection whose transactions take SQLite's write lock at their start, so none has to upgrade."""
    return engine.connect().execution_options(**{_WRITES: True})


def exclude_others(connection: Connection) -> None:
    """Let no other process change the tables until the transaction ends; SQLite has its lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))


def checkpoint(engine: Engine) -> None:
    """Copy what readers allow of the write-ahead log into the file; the caller holds the write lock."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def compact(engine: Engine) -> None:
    """Write the file anew without the space of removed rows; the caller holds the write lock."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.close()
    finally:
        connection.close()


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn the errors of database drivers into one line that names the database and the remedy."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise DatabaseError(_explain(location.name, str(error.orig))) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise DatabaseError(f"{location.name}: {_one_line(error)}") from None
    except sqlite3.Error as error:
        raise DatabaseError(_explain(location.name, str(error))) from None
    except OSError as error:
        raise DatabaseError(f"{location.name}: {error.strerror or error}") from None


def _explain(name: str, message: str) -> str:
    lowered = message.lower()
    for words, explanation in _EXPLANATIONS.items():
        if words in lowered:
            return explanation.format(name=name, free=_free_bytes(name), needed=_NEEDED_BYTES)
    return f"{name}: {_one_line(message)}"


_EXPLANATIONS = {
    "not a database": "{name} is not a SQLite database: give another file, or import it as a log",
    "malformed": "{name} is damaged: `tilewright log recover` saves what can be read",
    "disk i/o error": "{name}: the disk fails to read or write; what was stored before stays valid",
    "is full": "cannot write {name}: the disk is full ({free} bytes are free, some {needed} are needed);"
    " what was stored before stays valid",
    "readonly": "cannot write {name}: it is read-only",
    "unable to open": "cannot open {name}: is its folder there, and writable?",
    "locked": "{name} is locked: another process has been writing for 30 s",
}


def _free_bytes(name: str) -> int:
    try:
        return shutil.disk_usage(os.path.dirname(os.path.abspath(name))).free
    except OSError:
        return 0


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_writer(connection: sqlite3.Connection) -> None:
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # The busy timeout does not cover this statement while another process recovers the log.
            if "locked" not in str(error) or attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(0.02 * (attempt + 1))
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _sqlite_uri(path: Path, read_only: bool) -> str:
    uri = path.absolute().as_uri()
    if not read_only:
        return f"{uri}?mode=rwc"
    if is_writable(path):
        return f"{uri}?mode=rw"  # only then can the files beside the database be removed at the end
    log = path.with_name(path.name + "-wal")
    has_log = log.exists() and log.stat().st_size > 0
    can_share = has_log or os.access(path.absolute().parent, os.W_OK)
    # Reading a database in WAL mode needs a shared file beside it, unless nothing can change.
    return f"{uri}?mode=ro" if can_share else f"{uri}?mode=ro&immutable=1"


def is_writable(path: Path) -> bool:
    """Whether a database and the files beside it may be written."""
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _open_url(location: Location) -> Engine:
    assert location.url is not None
    options: dict[str, Any] = {"pool_pre_ping": True}
    try:
        return sqlalchemy.create_engine(location.url, **options)
    except (sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        raise DatabaseError(
            f"{location.name}: its driver is missing ({_one_line(error)}); for PostgreSQL:"
            " pip install 'tilewright[postgres]'"
        ) from None


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_HEADER))
    if start and start != _HEADER:
        raise DatabaseError(
            f"{path} is not a SQLite database: it begins with {start[:12]!r}; give another file, or import it"
            " as a log"
        )


def file_system(path: Path) -> str | None:
    """The kind of file system under `path`; None where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    target = str(path.absolute().parent.resolve())
    found = ("", "")
    for line in mounts:
        words = line.split()
        point = words[1].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[0]):
            found = (point, words[2])
    return found[1] or None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
