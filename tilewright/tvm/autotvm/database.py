"""`autotvm.database`: trials by input, in memory and, where a path is given, in a record store as well."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from tilewright.compiler.errors import TilewrightError
from tilewright.logs.formats.autotvm import from_record, to_record
from tilewright.logs.store import RecordStore
from tilewright.tvm.autotvm.lines import to_line
from tilewright.tvm.autotvm.measure.measure import MeasureInput, MeasureResult
from tilewright.tvm.autotvm.record import Pair, measure_str_key, to_pair


class Database:
    """Trials; those of a store come back when it is opened again, and nothing is deleted from it."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._rows: dict[str, list[Pair]] = {}
        self._store = None if path is None else RecordStore(path)
        for record in self._store.iter_trials() if self._store else ():
            if record.origin is not None:
                self._keep(to_pair(from_record(record)), extend=True)

    def load(self, inp: MeasureInput, get_all: bool = False) -> Any:
        """The latest result of an input, or all in their order; None where there is none."""
        results = [result for _, result in self._rows.get(measure_str_key(inp), [])]
        if get_all or not results:
            return results or None
        return max(results, key=lambda result: result.timestamp)

    def save(self, inp: MeasureInput, res: MeasureResult, extend: bool = False) -> None:
        """Keep a result: with `extend` beside the earlier ones of the input, without in their place."""
        key = measure_str_key(inp)
        if self._store is not None:
            record = to_record(to_line(inp, res))
            attempt = self._store.attempts(record.key, record.config) + 1
            self._store.add(msgspec.structs.replace(record, attempt=attempt))
        self._keep((inp, res), extend, key)

    def filter(self, func: Callable[[MeasureInput, MeasureResult], Any]) -> list[Pair]:
        """The trials, the latest of each input, for which the function is true."""
        latest = [(rows[0][0], self.load(rows[0][0])) for rows in self._rows.values()]
        return [pair for pair in latest if func(*pair)]

    def flush(self) -> None:
        """Forget what is in memory; a store keeps its records."""
        self._rows.clear()

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def _keep(self, pair: Pair, extend: bool, key: str = "") -> None:
        rows = self._rows.setdefault(key or measure_str_key(pair[0]), [])
        if not extend:
            rows.clear()
        rows.append(pair)


DummyDatabase = Database


def RedisDatabase(*_: Any, **__: Any) -> NoReturn:  # noqa: N802 - TVM's name
    """Refuse a server that is not used here."""
    raise TilewrightError("RedisDatabase: records are kept in SQL; use Database('tune.db')")


__all__ = ["Database", "DummyDatabase", "RedisDatabase"]
