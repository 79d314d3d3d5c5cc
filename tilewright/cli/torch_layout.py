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
    if arguments["scales"] is not None:
        raise PeerError("torch: resizing is compared by size only")
    is_last = arguments["layout"] == "NHWC"
    image = x.permute(0, 3, 1, 2) if is_last else x
    y = torch.nn.functional.interpolate(image, size=arguments["size"], **modes[kind])
    return y.permute(0, 2, 3, 1) if is_last else y


def _pad(torch: Any, arguments: Arguments, x: Any) -> Any:
    sizes, rank = arguments["padding"], x.ndim
    if arguments["mode"] != "constant":
        raise PeerError("torch: padding is compared with one value only")
    pairs = reversed(list(zip(sizes[:rank], sizes[rank:], strict=True)))
    return torch.nn.functional.pad(x, [size for pair in pairs for size in pair], value=arguments["value"])


def _slice(torch: Any, arguments: Arguments, x: Any) -> Any:
    stop, step = arguments["stop"] or x.shape, arguments["step"] or (1,) * x.ndim
    if min(step) < 0:
        raise PeerError("torch: no slice goes backwards")
    return x[tuple(map(slice, arguments["start"], stop, step))].contiguous()


def _gather(torch: Any, arguments: Arguments, x: Any, indices: Any) -> Any:
    axis = arguments["axis"] % x.ndim
    wrapped = torch.where(indices < 0, indices + x.shape[axis], indices)
    y = torch.index_select(x, axis, wrapped.flatten())
    return y.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


LAYOUT: dict[str, Callable[..., Any]] = {
    "transpose": _transpose,
    "resize": _resize,
    "concatenate": lambda torch, arguments, *operands: torch.cat(operands, arguments["axis"]),
    "pad": _pad,
    "slice": _slice,
    "gather": _gather,
}
