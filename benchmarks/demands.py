"""What is demanded of the table of operators, and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comparison import Ratio, geometric_mean
from row_measurement import Measured
from rows import Row

OF_PEAK, OF_PEAK_LEAST = 0.92, 0.85
OF_BEST, OF_BEST_SPECIAL, OF_BEST_ACCURACY = 0.98, 1.15, 1.3
OF_BANDWIDTH = 0.9
DEFAULT_OF_TUNED, DEFAULT_OF_TUNED_LEAST = 0.8, 0.5
ODD_OF_ROUND = 0.85


@dataclass(frozen=True, slots=True)
class Demand:
    """A demand: in words, what was found, and whether that is enough; None where nothing was measured."""

    text: str
    figure: str
    is_met: bool | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def __str__(self) -> str:
        verdict = {True: "met", False: "not met", None: "not measured"}[self.is_met]
        return f"{verdict}: {self.text}" + (f": {self.figure}" if self.figure else "")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that were asked for: what was found, and those that failed."""

    measured: Sequence[Measured]
    failed: Sequence[Row]

    def mean(self, text: str, wanted: float, ratios: Sequence[Ratio], failed: Sequence[Row]) -> Demand:
        """A demand on the geometric mean."""
        if not ratios:
            return Demand(text, "", False if failed else None)
        found = geometric_mean(ratio.median for ratio in ratios)
        return Demand(text, f"{found:.3f}{_names(failed)}", found >= wanted and not failed)

    def least(
        self,
        text: str,
        wanted: float,
        ratio: Callable[[Measured], Ratio | None],
        belongs: Callable[[Row], bool],
    ) -> Demand:
        """A demand on each of the rows that belong; the figure is that of the worst."""
        failed = [row for row in self.failed if belongs(row)]
        found = [(r, entry.row.name) for entry in self.measured if belongs(entry.row) and (r := ratio(entry))]
        if not found:
            return Demand(text, _names(failed), False if failed else None)
        worst, name = min(found, key=lambda pair: pair[0].high)
        is_met = worst.reaches(wanted) and not failed
        return Demand(text, f"least {worst}, {name}{_names(failed)}", is_met)


def check_demands(measured: Sequence[Measured], failed: Sequence[Row]) -> list[Demand]:
    """All demands, in order."""
    table = Table(measured, failed)
    computing = [entry for entry in measured if _is_computing(entry.row)]
    in_vain = [row for row in failed if _is_computing(row)]
    everything = [row for row in failed if row.kind != "accuracy"]
    plain = [entry for entry in measured if entry.row.kind != "accuracy"]
    return [
        table.mean(
            f"rows that compute: mean {OF_PEAK} of the peak",
            OF_PEAK,
            [_to_limit(e) for e in computing],
            in_vain,
        ),
        table.least(f"each of them {OF_PEAK_LEAST} of the peak", OF_PEAK_LEAST, _to_limit, _is_computing),
        table.least(f"each row {OF_BEST} x the best library", OF_BEST, _to_best, _is_plain),
        *(
            table.least(
                f"{kind}: {OF_BEST_SPECIAL} x the best library", OF_BEST_SPECIAL, _to_best, _is_kind(kind)
            )
            for kind in ("1x1", "depthwise")
        ),
        *_check_own(table),
        table.least(f"gemv: {OF_BANDWIDTH} of the bandwidth", OF_BANDWIDTH, _to_limit, _is_kind("gemv")),
        table.mean(
            f"default: mean {DEFAULT_OF_TUNED} of tuned",
            DEFAULT_OF_TUNED,
            [_default(e) for e in plain],
            everything,
        ),
        table.least(
            f"default: each {DEFAULT_OF_TUNED_LEAST} of tuned", DEFAULT_OF_TUNED_LEAST, _default, _is_plain
        ),
        *_check_odd(table),
        *_check_accuracy(table),
    ]


def _check_own(table: Table) -> list[Demand]:
    """What is demanded of single rows."""
    rows = [*(entry.row for entry in table.measured), *table.failed]
    return [
        table.least(f"{row.name}: {row.of_best} x the best library", row.of_best, _to_best, _is(row))
        for row in rows
        if row.of_best is not None
    ]


def _check_odd(table: Table) -> list[Demand]:
    """Odd rows beside round ones, both as shares of the peak that was measured beside them."""
    shares = {entry.row.name: _to_limit(entry) for entry in table.measured}

    def beside(entry: Measured) -> Ratio | None:
        other = shares.get(entry.row.like or "")
        if other is None:
            return None
        own = _to_limit(entry)
        return Ratio(own.median / other.median, own.low / other.high, own.high / other.low)

    text = f"odd rows: {ODD_OF_ROUND} of the speed of the nearest round row"
    return [table.least(text, ODD_OF_ROUND, beside, _is_kind("odd"))]


def _check_accuracy(table: Table) -> list[Demand]:
    if not any(row.kind == "accuracy" for row in (*table.failed, *(e.row for e in table.measured))):
        return []
    text = f"with less accuracy: {OF_BEST_ACCURACY} x the best library"
    belongs = _is_kind("accuracy")
    return [
        table.least(f"{text}, caches warm", OF_BEST_ACCURACY, _to_best, belongs),
        table.least(f"{text}, caches cold", OF_BEST_ACCURACY, lambda entry: entry.cold_to_best, belongs),
    ]


def _names(rows: Sequence[Row]) -> str:
    return "; failed: " + ", ".join(row.name for row in rows) if rows else ""


def _is_plain(row: Row) -> bool:
    return row.kind != "accuracy"


def _is_computing(row: Row) -> bool:
    return row.limit == "peak" and row.kind not in ("odd", "accuracy", "depthwise", "attention", "bytes")


def _is(row: Row) -> Callable[[Row], bool]:
    return lambda other: other is row


def _is_kind(kind: str) -> Callable[[Row], bool]:
    return lambda row: row.kind == kind


def _to_limit(entry: Measured) -> Ratio:
    return entry.ratio("tuned", entry.row.limit)


def _to_best(entry: Measured) -> Ratio | None:
    return entry.to_best


def _default(entry: Measured) -> Ratio:
    return entry.ratio("default", "tuned")
