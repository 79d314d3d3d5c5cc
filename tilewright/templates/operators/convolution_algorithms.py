"""The choice between algorithms for a convolution, within the accuracy that the user allows.

Each algorithm has its knobs. In a configuration those of the other algorithms stay at their untuned values,
so that each candidate occurs once.
"""

from __future__ import annotations

from typing import Any

from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.errors import WorkloadError
from tilewright.templates.operators import convolution_amx, convolution_direct, winograd
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.winograd_transforms import ALGORITHMS

DIRECT = "direct"


def allowed(conv: Convolution, accuracy: float) -> list[str]:
    """The algorithms other than the direct one whose error is within ``accuracy`` of the greatest output.

    Raises:
        WorkloadError: the accuracy is negative.
    """
    if not accuracy >= 0:
        raise WorkloadError(f"{conv.owner}: accuracy must be at least 0, it is {accuracy}")
    if not (conv.is_plain and winograd.applies(conv)):
        return []
    return [name for name in ALGORITHMS if winograd.error_bound(conv, name) <= accuracy]


def default(conv: Convolution, target: Target, threads: int, accuracy: float = 0.0) -> dict[str, Any]:
    """The untuned configuration: the algorithm and the tile that should take the fewest cycles."""
    in_tiles = convolution_amx.in_tiles(conv, target)
    if in_tiles is not None:
        return convolution_amx.default_amx(in_tiles, target)
    direct = convolution_direct.default(conv, target, threads)
    names = allowed(conv, accuracy)
    if not names:
        return direct
    costs = {name: winograd.estimate(target, threads, conv, name) for name in names}
    fastest = min(names, key=lambda name: costs[name])
    is_direct = convolution_direct.estimate(conv, target) / threads <= costs[fastest]
    tiles = winograd.default(target, threads, conv, names[0] if is_direct else fastest)
    return {"algorithm": DIRECT if is_direct else fastest, **direct, **tiles}


def schedule(cfg: TemplateConfig, conv: Convolution, accuracy: float = 0.0) -> tuple[Schedule, list[Tensor]]:
    """The convolution by the algorithm that the configuration names."""
    names = allowed(conv, accuracy)
    in_tiles = convolution_amx.in_tiles(conv, cfg.target)
    if in_tiles is not None:
        return convolution_amx.schedule_amx(cfg, in_tiles)
    if not names:
        convolution_direct.define_space(cfg, conv)
        return convolution_direct.schedule(cfg, conv)
    cfg.define_knob("algorithm", [DIRECT, *names])
    convolution_direct.define_space(cfg, conv)
    winograd.define_space(cfg, conv)
    _pin(cfg, convolution_direct.default(conv, cfg.target, cfg.threads), [DIRECT])
    _pin(cfg, winograd.default(cfg.target, cfg.threads, conv, names[0]), names)
    chosen = cfg["algorithm"].val
    return (
        convolution_direct.schedule(cfg, conv) if chosen == DIRECT else winograd.schedule(cfg, conv, chosen)
    )


def _pin(cfg: TemplateConfig, values: dict[str, Any], owners: list[str]) -> None:
    """Let knobs vary only under the algorithms that own them."""
    for name, value in values.items():

        def is_free(algorithm: Any, knob: Any, value: Any = value) -> bool:
            return algorithm.val in owners or knob.val == value

        cfg.constrain(("algorithm", name), is_free)
