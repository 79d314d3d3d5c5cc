"""Machine code kept on disk between processes, by the content that it was made from.

The directory belongs to the user alone; what another user owns is never loaded. A damaged entry is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec

from tilewright.compiler.build import ObjectCode, compile_program
from tilewright.compiler.once import once
from tilewright.compiler.program import Program
from tilewright.compiler.target import Target
from tilewright.settings import read_settings

LIMIT_BYTES = 256 << 20
SUFFIX = ".kernel"
_log = logging.getLogger(__name__)


class _Entry(msgspec.Struct, frozen=True):
    """What a file holds; the rest of an object code follows from the question."""

    object: bytes
    scratch_bytes: int
    thread_scratch_bytes: int
    is_parallel: bool
    lines: int


def compile_cached(program: Program, target: Target, threads: int, line_limit: int) -> ObjectCode:
    """Compile with the llvm backend, or load what an earlier process compiled."""
    directory = cache_directory()
    if directory is None:
        return compile_program(program, target, threads, line_limit=line_limit)
    path = directory / (_key(program, target, threads) + SUFFIX)
    entry = _read(path)
    if entry is not None:
        return ObjectCode(
            entry.object,
            program.inputs,
            program.outputs,
            entry.scratch_bytes,
            entry.thread_scratch_bytes,
            threads,
            entry.is_parallel,
            entry.lines,
            "llvm",
            target,
            program,
        )
    code = compile_program(program, target, threads, line_limit=line_limit)
    _write(
        path,
        _Entry(code.object, code.scratch_bytes, code.thread_scratch_bytes, code.is_parallel, code.lines),
    )
    return code


def _key(program: Program, target: Target, threads: int) -> str:
    versions = [version("llvmlite"), _compiler_state()]
    text = msgspec.json.encode([program.text, target.to_json(), threads, versions])
    return hashlib.sha256(text).hexdigest()


@once
def _compiler_state() -> str:
    """What tells one state of the compiler's own files from another: a release, or an edit."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def cache_directory() -> Path | None:
    """The cache's directory, made if need be; None where it is off or cannot be trusted."""
    settings = read_settings()
    if not settings.cache_enabled:
        return None
    directory = settings.cache_directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        _log.debug("no cache: %s", error)
        return None
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        _log.warning("cache directory %s belongs to another user: not used", directory)
        return None
    if status.st_mode & 0o077:
        with contextlib.suppress(OSError):
            directory.chmod(0o700)
    return directory


def _read(path: Path) -> _Entry | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    checksum, body = data[:32], data[32:]
    if hashlib.sha256(body).digest() != checksum:
        return None
    try:
        entry = msgspec.msgpack.decode(body, type=_Entry)
    except msgspec.MsgspecError:
        return None
    with contextlib.suppress(OSError):
        path.touch()
    return entry


def _write(path: Path, entry: _Entry) -> None:
    body = msgspec.msgpack.encode(entry)
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
        os.replace(name, path)
        _trim(path.parent)
    except OSError as error:
        _log.debug("not cached: %s", error)
        with contextlib.suppress(OSError):
            os.unlink(name)


def _trim(directory: Path) -> None:
    """Remove the entries that were used longest ago until the rest fits the limit."""
    files = []
    for file in directory.glob(f"*{SUFFIX}"):
        try:
            status = file.stat()
        except OSError:
            continue
        files.append((status.st_mtime, status.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= LIMIT_BYTES:
            return
        file.unlink(missing_ok=True)
        total -= size
