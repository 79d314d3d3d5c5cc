"""One record: a trial's input, result, machine and versions; its key and its line of JSON.

Decoding is typed and checks every value. It never runs code, and an impossible cost never becomes a record.
"""

import functools
import hashlib
import importlib.metadata
import platform
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tilewright.logs.errors import RecordError
from tilewright.logs.host import name_host
from tilewright.logs.record_checks import check_facts, check_json
from tilewright.measure.result import MeasureResult, State, check_costs, check_durations, check_ratio

VERSION = 1
MAXIMUM_LINE_BYTES = 1 << 20
_TEXT = "text"
_PACKAGES = ("tilewright", "llvmlite", "numpy")
_LEFT_OUT_WHEN_ABSENT = ("kinds", "origin")  # lines from before these fields keep their checksums

T = TypeVar("T")
Kind = Literal["split", "reorder", "annotate", "other"]


class _TargetFacts(Protocol):
    @property
    def cpu(self) -> str: ...
    @property
    def feature_hash(self) -> str: ...


class _remembered(Generic[T]):  # noqa: N801 - it is used as a decorator
    """A property that is computed once; unlike functools' of Python 3.11, it takes no lock."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = self._function(instance)
        instance.__dict__[self._name] = value
        return value


class WorkloadData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A workload as plain data."""

    op: str
    args: dict[str, Any]


class TemplateData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The template that made the program: its name and the hash of its source."""

    name: str
    source: str = ""


class TargetData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The machine: CPU name, hash of its features, threads."""

    cpu: str
    features: str
    threads: int = 1


class OriginData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where a record of another program came from: its format, and what no other field of ours holds."""

    format: str
    facts: dict[str, Any]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """One trial, self-contained.

    Attributes:
        v: version of the format.
        config: knob values by name; what counts, while `index` is a remark.
        attempt: repeats of the same configuration count from 1.
        seconds: the cost.
        reference_ratio: cost over one pass of the reference loop.
        noisy: the slices disagreed.
        signal: that ended the worker.
        versions: of the packages that took part.
        at: when it was measured, with its time zone.
        seed: of the run.
        kinds: the kind of each knob, where it is known.
        origin: where the record came from, if not from a trial of ours.
        flushes_denormals: whether the processor was set to take denormal numbers as zero, where it is known.
        host: a hash that tells machines apart, where it is known.
    """

    v: int = VERSION
    workload: WorkloadData
    template: TemplateData
    target: TargetData
    config: dict[str, Any]
    index: int | None = None
    attempt: int = 1
    state: State
    signal: str | None = None
    costs: tuple[float, ...] = ()
    seconds: float | None = None
    interval: tuple[float, float] | None = None
    reference_ratio: float | None = None
    noisy: bool = False
    build_seconds: float = 0.0
    error: str | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    at: datetime
    seed: int | None = None
    kinds: dict[str, Kind] | None = None
    origin: OriginData | None = None
    flushes_denormals: bool | UnsetType = UNSET
    host: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.v != VERSION:
            raise ValueError(f"version {self.v} of the format; this Tilewright reads {VERSION}")
        check_facts(self)
        check_costs(self.state, self.costs, self.seconds, self.interval)
        check_ratio(self.reference_ratio)
        check_durations((self.build_seconds,))
        check_json(self.workload.args, "workload")
        check_json(self.config, "config")
        if self.origin is not None:
            check_json(self.origin.facts, "origin")

    @_remembered
    def key(self) -> str:
        """What a look-up has to match: workload, CPU, features and threads."""
        workload = {"op": self.workload.op, "args": self.workload.args}
        return record_key(workload, self.target.cpu, self.target.features, self.target.threads)

    @_remembered
    def config_hash(self) -> str:
        """A hash of the knob values."""
        return hash_config(self.config)

    @_remembered
    def id(self) -> str:
        """The trial's name: the same for the same key, configuration and attempt."""
        return trial_id(self.key, self.config_hash, self.attempt)

    @_remembered
    def crc(self) -> str:
        """The checksum of all fields, whatever their order in a line."""
        return f"{zlib.crc32(_canonical(self)):08x}"

    def to_json(self) -> str:
        """Encode as one line, without its end."""
        text = self.__dict__.get(_TEXT)
        return self._encode() if text is None else str(text, "utf-8")

    def _encode(self) -> str:
        text = msgspec.json.encode(self).decode()
        if text.startswith(_HEAD) and text.endswith(_TAIL):  # the usual case, five times as fast
            return f'{_HEAD}"id":"{self.id}",{text[len(_HEAD) : -len(_TAIL)]},"crc":"{self.crc}"}}'
        fields = _fields(self)
        return msgspec.json.encode({"v": fields.pop("v"), "id": self.id, **fields, "crc": self.crc}).decode()

    @classmethod
    def from_json(cls, line: str | bytes, *, keep_text: bool = False) -> "Record":
        """Decode one line strictly.

        Args:
            line: one record, with or without the end of the line.
            keep_text: `to_json` shall give this very text, not encode anew, where it is as we write it.

        Raises:
            RecordError: the line is malformed, altered or impossible.
        """
        if not isinstance(line, str | bytes | bytearray):
            raise RecordError(f"a {type(line).__name__} is no line")
        if len(line) > MAXIMUM_LINE_BYTES:
            raise RecordError(f"line of {len(line)} characters is longer than {MAXIMUM_LINE_BYTES}")
        try:
            text = (line.encode() if isinstance(line, str) else bytes(line)).strip()
            record, name, crc, is_as_written = _decode(text)
            expected = record.crc
        except (msgspec.MsgspecError, ValueError, OverflowError, TypeError) as error:
            raise RecordError(one_line(error)) from None
        except RecursionError:
            raise RecordError("nested too deeply") from None
        if crc != expected:
            raise RecordError(
                f"checksum {crc} does not match the contents ({expected}): the line was altered"
            )
        if name != record.id:
            raise RecordError(f"id {name} does not belong to this trial ({record.id})")
        if keep_text and is_as_written:
            record.__dict__[_TEXT] = text
        return record


class _Subject(msgspec.Struct, forbid_unknown_fields=True):
    """The fields that a line begins with."""

    workload: WorkloadData
    template: TemplateData
    target: TargetData


class _Line(Record, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: str
    crc: str

    def __post_init__(self) -> None:
        """The record that is made of the line checks the values."""


def make_record(
    result: MeasureResult,
    *,
    workload: Mapping[str, Any],
    template: TemplateData,
    target: TargetData,
    config: Mapping[str, Any],
    index: int | None = None,
    attempt: int = 1,
    seed: int | None = None,
    at: datetime | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Record:
    """The record of a measured trial, stamped with the versions and the time.

    Raises:
        RecordError: a part of it is not plain data.
    """
    try:
        return Record(
            workload=WorkloadData(workload["op"], plain(workload["args"])),
            template=template,
            target=target,
            config=plain(config),
            index=index,
            attempt=attempt,
            state=result.state,
            signal=result.signal,
            costs=result.costs,
            seconds=result.seconds,
            interval=result.interval,
            reference_ratio=result.reference_ratio,
            noisy=result.noisy,
            build_seconds=result.build_seconds,
            error=result.error,
            versions=dict(installed_versions()),
            at=at or datetime.now(UTC),
            seed=seed,
            kinds=None if kinds is None else dict(kinds),
            flushes_denormals=UNSET if result.flushes_denormals is None else result.flushes_denormals,
            host=name_host(),
        )
    except (ValueError, TypeError, KeyError, msgspec.MsgspecError) as error:
        raise RecordError(f"record of {workload.get('op')!r}: {one_line(error)}") from None


def target_data(target: _TargetFacts, threads: int) -> TargetData:
    """What a record keeps of a target."""
    return TargetData(target.cpu, target.feature_hash, threads)


def record_key(workload: Mapping[str, Any], cpu: str, features: str, threads: int) -> str:
    """The key of `{"op": ..., "args": {...}}` on a CPU with these features and threads."""
    return digest([workload["op"], workload["args"], cpu, features, threads])[:32]


def trial_id(key: str, config_hash: str, attempt: int) -> str:
    """The name of a trial."""
    return digest([key, config_hash, attempt])[:16]


def hash_config(config: Mapping[str, Any]) -> str:
    """A hash of knob values, whatever their order."""
    return digest(config)[:32]


def digest(value: Any) -> str:
    """A hash of plain data, whatever the order of the names in it."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def one_line(error: Exception) -> str:
    """The message of an error, short enough for a report."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@functools.cache
def installed_versions() -> Mapping[str, str]:
    """The versions of what takes part in a trial."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """Plain JSON data with lists for tuples, as they come back from a file."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


_HEAD = f'{{"v":{VERSION},'
_SUBJECT = len(f'{_HEAD}"id":"{"":16}",')  # where the first fields after the id begin
_TAIL = ',"kinds":null,"origin":null}'
_FOLLOWING = {"kinds": b'"noisy":', "origin": b'"reference_ratio":'}
_WRITTEN = re.compile(rb'\{"v":(\d+),"id":"([0-9a-f]{16})"(,".*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
_record_decoder = msgspec.json.Decoder(Record)
_line_decoder = msgspec.json.Decoder(_Line)
_subject_decoder = msgspec.json.Decoder(_Subject)


def _decode(line: bytes) -> tuple[Record, str, str, bool]:
    """The record of a line, its id, its checksum, and whether the line is as we write it."""
    written = _WRITTEN.fullmatch(line)
    if written is not None:  # nearly always; a third faster
        version, name, rest, crc = written.groups()
        record = _record_decoder.decode(b'{"v":%b%b}' % (version, rest))
        key = key_of_line(line)
        if key is not None:
            record.__dict__["key"] = key
        return record, name.decode(), crc.decode(), True
    decoded = _line_decoder.decode(line)
    record = Record(**{field: getattr(decoded, field) for field in Record.__struct_fields__})
    return record, decoded.id, decoded.crc, False


def key_of_line(line: bytes) -> str | None:
    """The key of a line as we write it, from its first fields; None where those are others."""
    return _key_of_head(line[_SUBJECT : line.find(b',"config":')])


@functools.lru_cache(maxsize=1024)
def _key_of_head(head: bytes) -> str | None:
    """The key that the first fields of a line tell, which many share; None where those are not all."""
    try:
        subject = _subject_decoder.decode(b"{%b}" % head)
    except (msgspec.MsgspecError, ValueError):
        return None
    workload = {"op": subject.workload.op, "args": subject.workload.args}
    return record_key(workload, subject.target.cpu, subject.target.features, subject.target.threads)


def _fields(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    for name in _LEFT_OUT_WHEN_ABSENT:
        if fields[name] is None:
            del fields[name]
    return fields


def _canonical(record: Record) -> bytes:
    """What the checksum is taken of: the fields in the order of their names, absent new ones left out."""
    text = msgspec.json.encode(record, order="sorted")
    for name, following in _FOLLOWING.items():
        if getattr(record, name) is None:
            parts = text.split(b'"%s":null,%s' % (name.encode(), following))
            if len(parts) != 2:  # a workload or a configuration has these names too
                return msgspec.json.encode(_fields(record), order="sorted")
            text = following.join(parts)
    return text
