"""Files that were made to run code, to write elsewhere, or to use up memory and time; `main` loads them all.

    python -m tests.faults.malicious FOLDER

Each is read in every way that a file can be, under an audit hook that refuses code and writes elsewhere.
"""

import contextlib
import gzip
import json
import os
import pickle
import signal
import sqlite3
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.logs import autotvm_lines
from tests.logs.documents import POINTS, cache_entry, cache_text, t4_document, t4_result
from tests.logs.records import make
from tilewright.compiler.errors import TilewrightError
from tilewright.logs.apply import apply_best
from tilewright.logs.formats.registry import FORMATS, detect_format, export_file, import_file
from tilewright.logs.formats.spaces import read_recorded_space
from tilewright.logs.integrity import check
from tilewright.logs.recovery import recover
from tilewright.logs.reproduction import write_script
from tilewright.logs.store import RecordStore

SECONDS = 2
MEBIBYTES = 200
CANARY = "canary"
CODE = f"__import__('os').system('touch {CANARY}')"
SHELL = f"; touch {CANARY}; $(touch {CANARY}) `touch {CANARY}`"
PATHS = (
    "../../escaped",
    "/tmp/escaped-tilewright",
    "..\\..\\escaped",
    "a/../../../escaped",
    "C:\\escaped",
    "\x00/etc",
)
FORMATS_OF_STRINGS = (
    "%s%s%s%n",
    "{0.__class__.__mro__}",
    "{self.__init__.__globals__}",
    "${jndi:ldap://x}",
    "\x1b[2J",
)


class _Reduce:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def corpus() -> dict[str, bytes]:
    """The files by their names; at least sixty."""
    return dict([*_pickles(), *_strings(), *_sizes(), *_databases(), *_nonsense()])


def _line(**changes: Any) -> dict[str, Any]:
    """Our line with other fields and the id and checksum that belong to them, as far as there are such."""
    line = {**json.loads(make().to_json()), **changes}
    fields = {name: value for name, value in line.items() if name not in ("id", "crc")}
    return {**line, "crc": f"{zlib.crc32(msgspec.json.encode(fields, order='sorted')):08x}"}


def _text(data: Any) -> bytes:
    return json.dumps(data).encode()


def _pickles() -> Iterator[tuple[str, bytes]]:
    for protocol in range(6):
        yield f"pickle{protocol}.log", pickle.dumps(_Reduce(), protocol)
    yield "pickle.json.gz", gzip.compress(pickle.dumps(_Reduce()))
    yield "opcode.txt", f"cos\nsystem\n(S'touch {CANARY}'\ntR.".encode()
    tabs = b"\t".join([b"llvm", *[pickle.dumps(_Reduce(), 0).replace(b"\n", b" ")] * 5])
    yield "autotvm_pickle.log", tabs
    import base64

    coded = base64.b64encode(pickle.dumps(_Reduce()))
    yield "autotvm_coded.log", b"\t".join([b"llvm", *[coded] * 6])


def _strings() -> Iterator[tuple[str, bytes]]:
    """Code, paths and formats wherever a string may stand."""
    for number, text in enumerate((CODE, SHELL, *PATHS, *FORMATS_OF_STRINGS)):
        args = {"op": text, "args": {text: text}}
        yield f"string{number}.jsonl", _text(_line(workload=args, config={text: [text]}, error=text))
        changed = json.loads(autotvm_lines.MATMUL)
        changed["input"][0], changed["input"][1], changed["config"]["entity"] = (
            text,
            text,
            [[text, "ot", text]],
        )
        yield f"string{number}.log", _text(changed)
    yield "template.log", autotvm_lines.MATMUL.replace("testing/matmul", "evil.py:main").encode()
    yield "template.jsonl", _text(_line(workload={"op": "evil.py:main", "args": {}}))
    result = {**t4_result(POINTS[0], [1.0]), "configuration": {CODE: CODE, "x": f"lambda: {CODE}"}}
    yield "code.t4.json", _text(t4_document([result], timeunit=CODE))
    yield "path.t4.json", _text(t4_document([result], workload={"op": PATHS[0], "args": {}}))
    yield (
        "code.json",
        cache_text([cache_entry(POINTS[0], 2.0)], closed=True, kernel_name=CODE, objective=CODE).encode(),
    )
    yield (
        "space.json",
        _text({"space": {"a": {"kind": CODE, "values": [CODE]}}, "trials": [{"config": {}, "state": "ok"}]}),
    )
    yield "reduce.jsonl", _text(_line(config={"__reduce__": ["os.system", CODE], "__class__": "os"}))


def _sizes() -> Iterator[tuple[str, bytes]]:
    """Long lines, deep nesting, great numbers, and little that unpacks to much."""
    deep = b"[" * 100_000 + b"]" * 100_000
    yield "long.jsonl", b'{"v":1,"config":{"a":"' + b"x" * 10_000_000 + b'"}}'
    yield "endless.jsonl", b"x" * 10_000_000
    yield "deep.jsonl", deep
    yield "deep_object.jsonl", b'{"v":' * 100_000
    yield "deep.t4.json", b'{"schema_version":"1.0.0","results":[' + deep + b"]}"
    yield (
        "deep.json",
        b'{"device_name":"x","tune_params_keys":["a"],"tune_params":{},"cache":{"1":' + deep + b"}}",
    )
    yield "digits.jsonl", b'{"v":1,"seconds":' + b"9" * 500_000 + b"}"
    yield "exponent.jsonl", b'{"v":1,"seconds":1e999999999}'
    yield "many_keys.jsonl", _text(_line(config={f"k{i}": i for i in range(20_000)}))
    yield "bomb.json.gz", _packed(b'{"results": [', b"0," * 1_000_000, 60)
    yield "bomb_of_bombs.json.gz", gzip.compress(_packed(b"", bytes(1_000_000), 100))
    yield "torn.json.gz", gzip.compress(b"x" * 100_000)[:50]
    yield "spaces.jsonl", b" " * 5_000_000
    yield "lines.jsonl", b"\n" * 2_000_000


def _packed(start: bytes, piece: bytes, times: int) -> bytes:
    """What gzip makes of much, which is never whole in memory here."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(start) + b"".join(packer.compress(piece) for _ in range(times)) + packer.flush()


def _databases() -> Iterator[tuple[str, bytes]]:
    evil = "INSERT INTO trials SELECT * FROM trials"
    for number, script in enumerate((
        "CREATE TABLE songs (a)",
        "CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('schema_version', '99')",
        "CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('schema_version', '" + "9" * 5000 + "')",
        "CREATE VIEW meta AS WITH RECURSIVE n(name) AS (SELECT 1 UNION ALL SELECT name + 1 FROM n)"
        " SELECT name FROM n",
        f"CREATE TABLE meta (name, value); INSERT INTO meta VALUES ('schema_version', '2');"
        f"CREATE TABLE trials (id, line); CREATE TRIGGER t AFTER INSERT ON trials BEGIN {evil}; END",
    )):  # fmt: skip
        with contextlib.closing(sqlite3.connect(":memory:")) as made:
            made.executescript(script)
            yield f"database{number}.db", made.serialize()
    yield "header.db", b"SQLite format 3\x00" + b"\xff" * 4096
    yield "chain.db", _endless_chain()


def _endless_chain() -> bytes:
    """A leaf whose row overflows into a page that follows itself."""
    page = bytearray(4096)
    page[:8] = b"\x0d\x00\x00\x00\x01\x00\x64\x00"
    page[8:10] = (100).to_bytes(2, "big")
    page[100:] = b"\x83\xff\xff\x7f\x01".ljust(3996, b"\x00")
    page[100 + 490 : 100 + 3996] = b"\x00\x00\x00\x03".ljust(3506, b"\x00")
    chained = b"\x00\x00\x00\x03".ljust(4096, b"\x07")
    return b"SQLite format 3\x00\x10\x00" + bytes(4078) + bytes(page) + chained * 2


def _nonsense() -> Iterator[tuple[str, bytes]]:
    yield "noise.bin", bytes(range(256)) * 4096
    yield "zeros.bin", bytes(1 << 20)
    yield "utf16.jsonl", make().to_json().encode("utf-16")
    yield "bom.jsonl", b"\xef\xbb\xbf" + make().to_json().encode()
    yield "surrogates.jsonl", b'{"v":1,"id":"\\ud800","config":{"\\udfff":"\\ud800"}}'
    yield "elf", b"\x7fELF" + os.urandom(4000)


def ways(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Every way in which a file is read."""

    def imported(path: Path) -> object:
        with RecordStore(folder / "into.db") as store:
            return import_file(store, path, detect_format(path))

    def forced(name: str) -> Callable[[Path], object]:
        return lambda path: list(FORMATS[name].read(path))

    def applied(path: Path) -> object:
        return apply_best(path).find(make().key)

    def stored(path: Path) -> object:
        with RecordStore(path, read_only=True) as store:
            return store.states(), list(store.iter_trials()), store.problems()

    def recovered(path: Path) -> object:
        (folder / "new.db").unlink(missing_ok=True)
        return recover(path, folder / "new.db")

    return {
        "import": imported, "apply": applied, "open": stored, "recover": recovered, "check": check,
        "space": read_recorded_space, **{f"as {name}": forced(name) for name in FORMATS},
    }  # fmt: skip


def _refused(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s of the processor")


class Audit:
    """Refuses what loading a file never does, once it is armed."""

    EVENTS = frozenset({
        "exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
        "ctypes.dlopen", "socket.connect",
    })  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.armed = False
        self._folder = os.path.realpath(folder)
        self.broken: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event in self.EVENTS:
            self.broken.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            place = os.path.realpath(os.fspath(arguments[0]))
            if not place.startswith(self._folder + os.sep):
                self.broken.append(f"open {place} for writing")


def load(path: Path, folder: Path, audit: Audit) -> None:
    """Read a file in every way, within its time."""
    for read in ways(folder).values():
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        audit.armed = True
        try:
            read(path)
        except TilewrightError:
            continue
        finally:
            audit.armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)


def main(folder: Path) -> None:
    """Load the corpus; what went wrong is printed, one line each."""
    os.chdir(folder)
    files = folder / "files"
    files.mkdir()
    audit = Audit(folder)
    sys.addaudithook(audit)
    signal.signal(signal.SIGPROF, _refused)
    harmless = {
        "a.jsonl": make().to_json(),
        "a.log": autotvm_lines.MATMUL,
        "a.t4.json": json.dumps(t4_document([])),
        "a.json": json.dumps({"space": {"a": {"kind": "other", "values": [1]}}, "trials": []}),
    }
    for name, text in harmless.items():  # imports what reading needs
        (files / name).write_text(text)
        for read in ways(folder).values():
            with contextlib.suppress(TilewrightError):
                read(files / name)
    for name, data in corpus().items():
        path = files / name
        path.write_bytes(data)
        del data
        try:
            load(path, folder, audit)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}"[:300])
    _write_out(folder, audit)
    for broken in audit.broken:
        print(broken)
    peak = _peak_mebibytes()
    if peak > MEBIBYTES:
        print(f"{peak} MiB of memory")
    if list(folder.rglob(CANARY)):
        print("code has run")


def _peak_mebibytes() -> int:
    """The most memory that this program held; getrusage would count what held the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def _write_out(folder: Path, audit: Audit) -> None:
    """Write what was imported in every format, and scripts of the trials."""
    audit.armed = True
    with RecordStore(folder / "into.db", read_only=True) as store:
        for name in FORMATS:
            with contextlib.suppress(TilewrightError):
                export_file(store.iter_trials(), folder / f"out.{name}", name)
        for record in store.iter_trials():
            with contextlib.suppress(TilewrightError):
                compile(write_script(record, "own.py:name"), "script", "exec", flags=0x400)  # to a tree only
    audit.armed = False


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
