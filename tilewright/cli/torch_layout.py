"""Operators that move elements, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.cli.peers import PeerError

Arguments = Mapping[str, Any]


def _transpose(torch: Any, arguments: Arguments, x: Any) -> Any:
    perm = arguments["perm"]
    return x.permute(tuple(reversed(range(x.ndim))) if perm is None else perm).contiguous()


def _resize(torch: Any, arguments: Arguments, x: Any) -> Any:
    """Bilinear as torch does it, nearest by the pixel whose coordinate is the whole part."""
    modes: dict[tuple[str, str], dict[str, Any]] = {
        ("bilinear", "half_pixel"): {"mode": "bilinear"},
        ("bilinear", "align_corners"): {"mode": "bilinear", "align_corners": True},
        ("nearest", "asymmetric"): {"mode": "nearest"},
    }
    kind = arguments["mode"], arguments["coordinate_mode"]
    if kind not in modes or (kind[0] == "nearest" and arguments["nearest_mode"] != "floor"):
        raise PeerError(f"torch: no resize is {' with '.join(kind)}")
    is_last = arguments["layout"] == "NHWC"
    image = x.permute(0, 3, 1, 2) if is_last else x
    y = torch.nn.functional.interpolate(image, size=arguments["size"], **modes[kind])
    return y.permute(0, 2, 3, 1) if is_last else y


LAYOUT: dict[str, Callable[..., Any]] = {"transpose": _transpose, "resize": _resize}
