"""Writes matmul_space.json: an analytic cost of a tiled 256 x 256 x 256 matmul, with failures and jitter."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.templates import Config, ConfigSpace, VirtualAxis, annotate_knob, option_knob, split_knob
from tilewright.templates.space_json import space_to_json

EXTENT = 256
LANES = 16
REGISTERS = 32
PEAK = 2.4e11


def matmul_space() -> ConfigSpace:
    """Return the knobs of a matmul with one level of tiles."""
    axes = VirtualAxis(EXTENT, "k"), VirtualAxis(EXTENT, "y")
    return ConfigSpace(
        (
            split_knob("tile_y", EXTENT, max_factor=64),
            split_knob("tile_x", EXTENT),
            split_knob("tile_k", EXTENT),
            annotate_knob("inner", axes[:1], "try_unroll"),
            option_knob("pack", [False, True]),
        )
    )


def model_seconds(config: Config) -> float | None:
    """Return the modelled time: registers, caches, loop overhead; None where code would explode."""
    rows, columns, depth = (config[name].size[-1] for name in ("tile_y", "tile_x", "tile_k"))
    vectors = math.ceil(columns / LANES)
    is_unrolled, is_packed = config["inner"].anns[0] == "unroll", config["pack"].val
    if is_unrolled and rows * vectors * depth > 4096:
        return None
    use = columns / (vectors * LANES)
    accumulators = rows * vectors
    compute = max(1.0, 8.0 / accumulators) * (
        1.0 + 0.6 * max(0, accumulators + vectors + 1 - REGISTERS) ** 0.4
    )
    loads = 0.5 * (rows + vectors) / (rows * vectors)
    stride = 1.0 if is_packed else 1.0 + 0.1 * math.log2(1 + depth * 4096 / 32768)
    footprint = (rows + columns) * depth * 4
    cache = 1.0 if footprint < 32768 else 1.0 + 0.25 * math.log2(footprint / 32768)
    overhead = 1.0 + (0.02 if is_unrolled else 0.12) + 4.0 / depth
    packing = 0.06 if is_packed else 0.0
    units = max(compute / use, 2 * loads) * stride * cache * overhead + packing
    jitter = 1.0 + 0.01 * float(np.random.default_rng(config.index).standard_normal())
    return float(2 * EXTENT**3 / PEAK * units * jitter)


def main() -> None:
    """Write the file beside this one."""
    space = matmul_space()
    trials: list[dict[str, Any]] = []
    for index in range(len(space)):
        config = space.config(index)
        cost = model_seconds(config)
        trial: dict[str, Any] = {"config": config.to_json(), "state": "invalid" if cost is None else "ok"}
        trials.append({**trial, "cost": None if cost is None else float(f"{cost:.4e}")})
    lines = ",\n".join(json.dumps(trial, separators=(",", ":")) for trial in trials)
    head = json.dumps(space_to_json(space), separators=(",", ":"))
    Path(__file__).with_name("matmul_space.json").write_text(f'{{"space":{head},\n"trials":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
