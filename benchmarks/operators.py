"""Operators on one thread: the core's peak, installed peers, Tilewright untuned and tuned, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interleave import Runner, compare, parser, repeat, table, write_json

import tilewright as tw
from tilewright.cli.peers import PEERS, PeerError, limit_threads, prepare_peer
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.peak import reference_loop
from tilewright.deploy import make_task
from tilewright.measure.inputs import make_inputs
from tilewright.tuning.history import operations


def resnet(c: int, size: int, o: int, kernel: int, stride: int) -> tuple[str, dict[str, Any]]:
    """A convolution of ResNet-18 at batch 1."""
    shape = {"n": 1, "c": c, "h": size, "w": size, "o": o, "kernel": kernel, "stride": stride}
    return "conv2d", {**shape, "padding": kernel // 2}


def depthwise(c: int, size: int) -> tuple[str, dict[str, Any]]:
    """A 3x3 kernel for each channel."""
    return "depthwise_conv2d", {"n": 1, "c": c, "h": size, "w": size, "kernel": 3, "padding": 1}


ROWS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "matmul 512": ("matmul", {"m": 512, "n": 512, "k": 512}),
    "matmul 1024": ("matmul", {"m": 1024, "n": 1024, "k": 1024}),
    "matmul 511x513x517": ("matmul", {"m": 511, "n": 513, "k": 517}),
    "dense 128x768x3072": ("dense", {"m": 128, "n": 3072, "k": 768}),
    "batch_matmul 12x128x128x64": ("batch_matmul", {"b": 12, "m": 128, "n": 128, "k": 64}),
    "gemv 1x1024x1000": ("dense", {"m": 1, "n": 1000, "k": 1024}),
    "conv 7x7/2 3x224-64": resnet(3, 224, 64, 7, 2),
    "conv 3x3 64x56-64": resnet(64, 56, 64, 3, 1),
    "conv 3x3/2 64x56-128": resnet(64, 56, 128, 3, 2),
    "conv 1x1/2 64x56-128": resnet(64, 56, 128, 1, 2),
    "conv 3x3 128x28-128": resnet(128, 28, 128, 3, 1),
    "conv 3x3/2 128x28-256": resnet(128, 28, 256, 3, 2),
    "conv 1x1/2 128x28-256": resnet(128, 28, 256, 1, 2),
    "conv 3x3 256x14-256": resnet(256, 14, 256, 3, 1),
    "conv 3x3/2 256x14-512": resnet(256, 14, 512, 3, 2),
    "conv 1x1/2 256x14-512": resnet(256, 14, 512, 1, 2),
    "conv 3x3 512x7-512": resnet(512, 7, 512, 3, 1),
    "conv 3x3 67x57x55-131": (
        "conv2d",
        {"n": 1, "c": 67, "h": 57, "w": 55, "o": 131, "kernel": 3, "padding": 1},
    ),
    "depthwise 32x112": depthwise(32, 112),
    "depthwise 512x14": depthwise(512, 14),
}


def main() -> None:
    """Tune each row, then time all columns in turns."""
    options = parser(__doc__)
    options.add_argument(
        "--rows", nargs="+", default=list(ROWS), metavar="TEXT", help="rows that contain TEXT"
    )
    options.add_argument("--trials", type=int, default=64)
    options.add_argument("--seconds", type=float, default=4.0, help="of timing a row")
    given = options.parse_args()
    chosen = [name for name in ROWS if any(text in name for text in given.rows)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            rows.append({"row": name, **measure_row(*ROWS[name], given.trials, folder, given.seconds)})
            lines = report(rows[-1:]).splitlines()
            print("\n".join(lines if len(rows) == 1 else lines[-1:]), flush=True)
    write_json(given.json, {"trials": given.trials, "threads": 1, "rows": rows})


def measure_row(
    op: str, params: dict[str, Any], trials: int, folder: str, seconds: float
) -> dict[str, float | None]:
    """GFLOP/s of the peak, of the peers and of ours; None for a peer that takes no part."""
    db = Path(folder) / "tune.db"
    tw.tune(op, trials=trials, threads=1, db=db, **params)
    with tw.apply_best(db):
        tuned = tw.build(op, threads=1, **params)
    default = tw.build(op, threads=1, config="default", **params)
    task = make_task(op, None, 1, params)
    arrays = make_inputs(tuned.inputs)
    loop = reference_loop("compute")
    runners: dict[str, Runner] = {"peak": loop.run, "default": runner(default, arrays)}
    runners["tuned"] = runner(tuned, arrays)
    for peer in PEERS:
        try:
            runners[peer] = repeat(prepare_peer(peer, task, arrays))
        except PeerError:
            continue
    with limit_threads(list(PEERS), 1) if "torch" in runners else limit_threads(["numpy"], 1):
        times = compare(runners, seconds)
    flops = operations(task)
    speeds: dict[str, float | None] = dict.fromkeys(("peak", *PEERS, "default", "tuned"))
    speeds |= {name: flops / time / 1e9 for name, time in times.items() if name != "peak"}
    speeds["peak"] = loop.work / times["peak"] / 1e9
    return speeds


def runner(kernel: Kernel, arrays: Any) -> Runner:
    """A kernel with its arguments in place, its constants bound."""
    return kernel.prepare(*arrays).run


def report(rows: list[dict[str, Any]]) -> str:
    """One line a row: GFLOP/s, and the tuned speed as a share of the peak."""
    columns = ("peak", *PEERS, "default", "tuned")
    cells = [[row["row"], *(row[name] for name in columns), row["tuned"] / row["peak"]] for row in rows]
    width = max(len(name) for name in ROWS)
    return table(["GFLOP/s".ljust(width), *columns, "tuned / peak"], cells)


if __name__ == "__main__":
    main()
