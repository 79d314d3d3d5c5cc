"""What of the software, the database and the machine at work is good and bad about measuring here."""

import fcntl
import importlib.metadata
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.logs.engine import check_file, explained, file_system, locate, open_engine
from tilewright.measure.core_time import Meter, process_meter
from tilewright.measure.findings import Finding, machine_findings, watched_findings
from tilewright.measure.machine import granted_cores
from tilewright.measure.machine_facts import read_machine, watch
from tilewright.measure.slices import Runner, Slice, fill_slice, run_slice
from tilewright.settings import read_settings, thread_variables

if TYPE_CHECKING:
    from tilewright.measure.measurer import Measurer

PACKAGES = ("numpy", "llvmlite", "numba", "xgboost", "sqlalchemy")
_SLICE_SECONDS = 0.004
_NOISE_SECONDS = 1.0
_SPREAD_LIMIT = 0.05
_DISTURBED_LIMIT = 0.1
_CLOCK_LIMIT = 1e-6
_READINGS = 1000
# The first versions of SQLite in which a checkpoint cannot damage a database that two connections write.
_SOUND_SQLITE = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def diagnose(db: str) -> list[Finding]:
    """All findings; takes about three seconds, most of them to watch and to start a worker."""
    facts = read_machine()
    noise = noise_finding(_reference_runner(), process_meter())  # before workers are there to disturb it
    return [
        *processor_findings(Target.host(), facts.model),
        *machine_findings(facts),
        *watched_findings(watch()),
        clock_finding(),
        noise,
        *thread_findings(thread_variables(), granted_cores()),
        cache_finding(),
        sqlite_finding(sqlite3.sqlite_version_info),
        *package_findings(),
        database_finding(db),
        worker_finding(),
    ]


def processor_findings(target: Target, model: str | None) -> Iterator[Finding]:
    """What kernels are compiled for."""
    yield Finding("processor", model or "unnamed")
    bits = f"{target.vector_bits}-bit vectors, {len(target.features)} features"
    if target.cpu in ("generic", "x86-64"):
        remedy = "LLVM does not know this processor: name one of its kind by Target.named"
        yield Finding("target", f"{target.cpu}, {bits}", "bad", remedy)
    else:
        yield Finding("target", f"{target.cpu}, {bits}")


def clock_finding(read: Callable[[], int] = time.monotonic_ns) -> Finding:
    """What it costs to read the clock, and its step."""
    start = read()
    for _ in range(_READINGS):
        now = read()
    cost = (now - start) / _READINGS * 1e-9
    value = f"{cost * 1e9:.0f} ns a reading"
    if cost > _CLOCK_LIMIT:
        return Finding("clock", value, "bad", "reading it is a call of the kernel's: see the clock source")
    return Finding("clock", value)


def noise_finding(
    run: Runner, meter: Meter, clock: Callable[[], float] = time.monotonic, seconds: float = _NOISE_SECONDS
) -> Finding:
    """How even the reference loop runs for a while: the slowest tenth of its slices over the fastest one."""
    repeats = fill_slice(run, _SLICE_SECONDS, meter)
    end = clock() + seconds
    slices: list[Slice] = []
    while len(slices) < 3 or clock() < end:
        slices.append(run_slice(run, repeats, meter))
    disturbed = sum(not found.is_whole for found in slices) / len(slices)
    times = [found.seconds for found in slices]
    spread = quantiles(times, n=10)[-1] / min(times) - 1
    value = f"spread {spread:.1%}, {disturbed:.0%} of {len(slices)} samples disturbed"
    if spread > _SPREAD_LIMIT or disturbed > _DISTURBED_LIMIT:
        remedy = "trials are corrected and repeated, and take longer: measure when the machine is quiet"
        return Finding("noise", value, "bad", remedy)
    return Finding("noise", value)


def thread_findings(variables: Mapping[str, str], cores: int) -> Iterator[Finding]:
    """Variables that leave fewer threads than cores to kernels or to the libraries beside them."""
    if not variables:
        yield Finding("thread environment", "nothing set")
    for name, text in variables.items():
        is_fewer = text.isdigit() and int(text) < cores
        if name == "NUMBA_NUM_THREADS" and is_fewer:
            yield Finding(name, text, "bad", f"kernels get {text} of {cores} cores: unset it")
        elif name == "NUMBA_THREADING_LAYER" and text == "workqueue":
            yield Finding(name, text, "bad", "parallel kernels take turns on it: unset it, or set tbb or omp")
        elif name.endswith("_THREADS") and is_fewer:
            remedy = f"`bench` compares with libraries on {text} of {cores} cores: unset it"
            yield Finding(name, text, "bad", remedy)
        elif name.endswith(("_BIND", "_PLACES", "_AFFINITY")):
            yield Finding(name, text, "bad", "threads are bound to cores that may be busy: unset it")
        else:
            yield Finding(name, text)


def cache_finding() -> Finding:
    """Whether compiled code is kept."""
    settings = read_settings()
    if not settings.cache_enabled:
        return Finding("code cache", "off", "bad", "what was built is compiled again: unset TILEWRIGHT_CACHE")
    return Finding("code cache", str(settings.cache_directory))


def sqlite_finding(version: tuple[int, ...]) -> Finding:
    """Whether this SQLite has the WAL-reset bug (sqlite.org/wal.html#walresetbug), 3.7.0 to 3.51.2."""
    value = ".".join(map(str, version))
    is_sound = version >= _SOUND_SQLITE[-1] or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in _SOUND_SQLITE
    )
    if is_sound:
        return Finding("SQLite", value)
    remedy = (
        "can damage a database that two connections write at once (fixed in 3.51.3, 3.50.7 and 3.44.6): "
        "Tilewright's take turns; let no other program write it, or upgrade"
    )
    return Finding("SQLite", value, "bad", remedy)


def package_findings(version_of: Callable[[str], str] = importlib.metadata.version) -> Iterator[Finding]:
    """The versions of what takes part in tuning."""
    for name in PACKAGES:
        try:
            yield Finding(name, version_of(name))
        except importlib.metadata.PackageNotFoundError:
            # Without xgboost the search goes on, by another method.
            verdict = "bad" if name == "xgboost" else "blocked"
            yield Finding(name, "not installed", verdict, f"pip install {name}")  # type: ignore[arg-type]


def database_finding(db: str) -> Finding:
    """Whether records can be kept where they would be."""
    try:
        location = locate(db)
        if location.path is None:
            with explained(location), open_engine(location, read_only=True).connect():
                return Finding("database", location.name)
        check_file(location.path, for_writing=True)
        return _file_finding(location.path.absolute())
    except TilewrightError as error:
        return Finding("database", db, "blocked", str(error))


def _file_finding(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    value = f"{path} on {file_system(path) or 'an unknown file system'}, {free >> 20} MiB free"
    if path.exists() and not os.access(path, os.W_OK):
        return Finding("database", value, "blocked", "it may not be written: give another with --db")
    if not _can_lock(path.parent):
        remedy = "the file system has no locks: let one process tune at a time, or use a local disk"
        return Finding("database", value, "bad", remedy)
    if free < 64 << 20:
        return Finding("database", value, "bad", "the disk is nearly full: make room")
    return Finding("database", value)


def _can_lock(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True  # somebody else has it
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def worker_finding(make: "Callable[[], Measurer] | None" = None) -> Finding:
    """Whether worker processes start and run code."""
    from tilewright.measure.measurer import Measurer

    start = time.monotonic()
    try:
        with make() if make is not None else Measurer(Target.host(), 1, workers=1) as measurer:
            measurer.nominal_seconds("compute")
    except (TilewrightError, OSError) as error:
        remedy = f"{error}: are processes, memory or file descriptors limited (ulimit -a)?"
        return Finding("workers", "do not start", "blocked", remedy)
    return Finding("workers", f"start and run in {time.monotonic() - start:.1f} s")


def _reference_runner() -> Runner:
    from tilewright.compiler.peak import reference_loop

    return reference_loop("compute").run
