"""Networks on one thread: lists of our kernels, untuned and tuned, beside PyTorch and ONNX Runtime.

Milliseconds are medians over rounds in which all contestants take turns on one core; in brackets is the 95 %
interval of the median of the paired ratio.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Ratio, speed_ratio
from interleave import Times, one_core, parser, table, take_rounds, write_json
from networks.bert import bert_layer
from networks.layers import Array, Network, prepare, run_in_numpy
from networks.onnx_network import onnx_forms
from networks.resnet18 import resnet18
from networks.torch_network import torch_forms

import tilewright as tw
from tilewright.cli.contest import make_runner

NETWORKS: dict[str, Callable[[], Network]] = {"resnet18": resnet18, "bert": bert_layer}
PEERS = {"torch": torch_forms, "onnxruntime": onnx_forms}
TOLERANCE = 1e-4
SLICE_SECONDS = 0.1


def main() -> int:
    """Tune the layers of each network, check it, and time it; 1 where a library computes something else."""
    options = parser(__doc__)
    options.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK")
    options.add_argument(
        "--trials", type=int, default=32, help="for each workload, on average; 0: untuned only"
    )
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--db", type=Path, help="where trials are kept; by default they are not")
    given = options.parse_args()
    rows: list[list[object]] = []
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks:
            network = NETWORKS[name]()
            times = time_network(network, given.trials, given.rounds, given.db or Path(folder) / "tune.db")
            ratio = to_best(times)
            medians = {form: 1e3 * float(np.median(found)) for form, found in times.items()}
            rows += [[network.name, form, value] for form, value in medians.items()]
            rows.append([network.name, "ours to the best library", "-" if ratio is None else f"{ratio}"])
            to_json = None if ratio is None else ratio.to_json()
            figures[name] = {"milliseconds": medians, "to_best": to_json}
    print(table(["network", "form", "ms"], rows))
    write_json(given.json, {"trials": given.trials, "rounds": given.rounds, "networks": figures})
    return 0


def time_network(network: Network, trials: int, rounds: int, db: Path) -> Times:
    """The seconds of each contestant in each round, all of them checked against NumPy."""
    x = np.random.default_rng(1).standard_normal(network.shape).astype(np.float32)
    expected = run_in_numpy(network, x)
    forms: dict[str, Callable[[], Any]] = {"default": ours(network, x)}
    if trials:
        print(f"{network.name}: tuning its layers", file=sys.stderr, flush=True)
        layers = [(layer.op, layer.params) for layer in network.layers]
        tw.tune_all(layers, trials=trials * len(network.workloads), threads=1, db=db)
        with tw.apply_best(db):
            forms["tuned"] = ours(network, x)
    with one_core():
        for library, make in PEERS.items():
            if importlib.util.find_spec(library) is not None:
                forms |= make(network, x)
        for name, call in forms.items():
            check(name, np.asarray(call()), expected)
        runners = {name: make_runner(call) for name, call in forms.items()}
        return take_rounds(runners, lambda count: count < rounds, SLICE_SECONDS)


def ours(network: Network, x: Array) -> Callable[[], Array]:
    """A call that runs our kernels."""
    run, output = prepare(network, x)

    def call() -> Array:
        run()
        return output

    return call


def check(name: str, found: Array, expected: Array) -> None:
    """Refuse a result that is not what NumPy computes.

    Raises:
        SystemExit: it differs.
    """
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE:
        raise SystemExit(f"{name}: the result is wrong by {error:.2g} of the largest element")


def to_best(times: Times) -> Ratio | None:
    """Our speed to that of the library with the best median."""
    own = times.get("tuned", times["default"])
    others = {name: found for name, found in times.items() if name not in ("default", "tuned")}
    if not others:
        return None
    best = min(others, key=lambda name: float(np.median(others[name])))
    return speed_ratio(own, others[best])


if __name__ == "__main__":
    sys.exit(main())
