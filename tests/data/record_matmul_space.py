"""Records matmul_space.json: every configuration of a small space of a 256 x 192 x 320 matmul, measured here.

Takes some minutes on an idle machine. Tuners are tested on the table, so that their tests measure nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from tilewright.compiler.target import Target
from tilewright.measure.measurer import Measurer
from tilewright.measure.result import MeasureInput
from tilewright.templates import ConfigSpace
from tilewright.templates.option import OtherOptionEntity
from tilewright.templates.space_json import space_to_json
from tilewright.templates.task import Task

M, N, K = 256, 192, 320
KEPT = {
    "rows": (1, 2, 4, 6, 8, 12, 14),
    "vectors": (1, 2, 3, 4, 6),
    "block_m": (48, 96, 256),
    "block_n": (192,),
    "block_k": (64, 192, 320),
    "pack": ("b", "none", "ab"),
    "order": ("nm", "mn"),
    "unroll_k": (1, 4),
}


def main() -> None:
    """Measure and write the file beside this one."""
    task = Task.create("matmul", Target.host(), 1, m=M, n=N, k=K)
    indices = [
        index
        for index in map(int, task.space.valid_points if task.space.valid_points is not None else ())
        if all(task.space.config(index)[name].val in values for name, values in KEPT.items())
    ]
    configs = [task.space.config(index) for index in indices]
    trials = []
    with Measurer(task.target, workers=1) as measurer:
        inputs = [MeasureInput(task.instantiate(config), task.workload.key) for config in configs]
        for position, result in measurer.iter_results(inputs):
            cost = float(f"{result.seconds:.4e}") if result.seconds is not None else None
            row = {"config": configs[position].to_json(), "state": result.state, "cost": cost}
            trials.append((position, row))
    rows = [row for _, row in sorted(trials, key=lambda pair: pair[0])]
    described = space_to_json(ConfigSpace(task.space.knobs))
    for name, values in KEPT.items():
        entities = [OtherOptionEntity(value) for value in values]
        described[name]["values"] = [entity.to_json() for entity in entities]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    head = json.dumps(described, separators=(",", ":"))
    Path(__file__).with_name("matmul_space.json").write_text(f'{{"space":{head},\n"trials":[\n{lines}\n]}}\n')
    print(f"{len(rows)} configurations")


if __name__ == "__main__":
    main()
