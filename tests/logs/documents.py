"""T4 documents and cache files, written by hand after their published layouts."""

import gzip
import json
from pathlib import Path
from typing import Any

KNOBS = ("block", "order", "vector")
POINTS = [
    (block, order, vector) for block in (16, 32, 64) for order in ("ij", "ji") for vector in (True, False)
]


def configuration(point: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(KNOBS, point, strict=True))


def t4_result(
    point: tuple[Any, ...], runtimes: list[float] | None, invalidity: str = "correct"
) -> dict[str, Any]:
    """One result as the published schema has it; milliseconds."""
    return {
        "timestamp": "2026-03-04 05:06:07.000089+00:00",
        "configuration": configuration(point),
        "times": {
            "compilation_time": 250.0,
            **({} if runtimes is None else {"runtimes": runtimes}),
            "framework": 1.5,
            "search_algorithm": 0,
            "validation": 0.25,
        },
        "invalidity": invalidity,
        "correctness": 1 if invalidity == "correct" else 0,
        "measurements": [
            {"name": "time", "value": "RuntimeFailedConfig" if runtimes is None else 2.5, "unit": ""}
        ],
        "objectives": ["time"],
    }


def t4_document(results: list[Any], **metadata: Any) -> dict[str, Any]:
    return {"schema_version": "1.0.0", "results": results, **({"metadata": metadata} if metadata else {})}


def cache_header(**changes: Any) -> dict[str, Any]:
    return {
        "device_name": "Device X",
        "kernel_name": "scale",
        "problem_size": [4096, 64],
        "tune_params_keys": list(KNOBS),
        "tune_params": {"block": [64, 32, 16], "order": ["ij", "ji"], "vector": [True, False]},
        "objective": "time",
        **changes,
    }


def cache_entry(point: tuple[Any, ...], time: Any) -> dict[str, Any]:
    times = {"times": [time, time + 2.0]} if isinstance(time, float) else {}
    return {
        **configuration(point),
        "time": time + 1.0 if isinstance(time, float) else time,
        **times,
        "compile_time": 500.0,
        "verification_time": 0,
        "benchmark_time": 3.25,
        "GFLOP/s": 12.5,
        "strategy_time": 0,
        "framework_time": 1.5,
        "timestamp": "2026-03-04 05:06:07.000089+00:00",
    }


def cache_text(entries: list[dict[str, Any]], *, closed: bool, **changes: Any) -> str:
    """A cache file as Kernel Tuner writes it: line by line, the end missing until the run ends."""
    text = json.dumps({**cache_header(**changes), "cache": {}}, indent="")[:-3]
    for entry in entries:
        name = ",".join(str(entry[knob]) for knob in KNOBS)
        text += "\n" + json.dumps({name: entry})[1:-1] + ","
    return text[:-1] + "}\n}" if closed else text


def write(path: Path, data: Any) -> Path:
    text = data if isinstance(data, str) else json.dumps(data)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
