"""Other libraries that compute the same as an operator, to be timed beside it."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.errors import TilewrightError
from tilewright.templates.operators.window import Window, is_channels_last

if TYPE_CHECKING:
    from tilewright.templates.task import Task

Call = Callable[[], object]
Arrays = Sequence[npt.NDArray[Any]]


class PeerError(TilewrightError):
    """A peer cannot take part; the message says why."""


def prepare_peer(name: str, task: "Task", arrays: Arrays) -> Call:
    """A call of the peer on the arrays.

    Raises:
        PeerError: it is unknown, not installed, or has no such operator.
    """
    if name not in PEERS:
        raise PeerError(f"there is no peer {name!r}; known: {', '.join(PEERS)}")
    if importlib.util.find_spec(name) is None:
        raise PeerError(f"{name} is not installed")
    return PEERS[name](task, arrays)


@contextlib.contextmanager
def limit_threads(names: Sequence[str], threads: int) -> Iterator[list[str]]:
    """Hold the peers to as many threads as our kernels have; the peers that cannot be held."""
    free: list[str] = []
    with contextlib.ExitStack() as stack:
        if "numpy" in names:
            if importlib.util.find_spec("threadpoolctl") is None:
                free.append("numpy")
            else:
                pools = importlib.import_module("threadpoolctl")  # a tool of those who have it
                stack.enter_context(pools.threadpool_limits(limits=threads))
        if "torch" in names:
            torch = importlib.import_module("torch")
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        yield free


def _prepare_numpy(task: "Task", arrays: Arrays) -> Call:
    reference = task.reference
    if reference is None:
        raise PeerError(f"numpy: template {task.template.name!r} states no reference")
    return lambda: reference(*arrays)


def _prepare_torch(task: "Task", arrays: Arrays) -> Call:
    operator = TORCH.get(task.workload.op)
    if operator is None:
        raise PeerError(f"torch: there is no counterpart of {task.workload.op}")
    if task.workload.arguments.get("epilogue"):
        raise PeerError("torch: operators are compared without an epilogue only")
    torch = importlib.import_module("torch")
    arguments = task.workload.arguments
    if any(array.dtype.itemsize == 1 for array in arrays):
        operator = TORCH_BYTES.get((task.workload.op, *(array.dtype.name for array in arrays)))
        if operator is None:
            raise PeerError(f"torch: there is no counterpart of {task.workload.op} on such bytes")
    tensors = [_torch_tensor(torch, array) for array in arrays]
    multiply = operator

    def call() -> object:
        with torch.inference_mode():
            return multiply(torch, arguments, *tensors)

    return call


def _torch_tensor(torch: Any, array: npt.NDArray[Any]) -> Any:
    """A tensor of an array; those of bfloat16 pass as the integers of their bits."""
    whole = np.ascontiguousarray(array)
    if whole.dtype.name != "bfloat16":
        return torch.from_numpy(whole)
    return torch.from_numpy(whole.view(np.int16)).view(torch.bfloat16)


def _torch_byte_product(torch: Any, arguments: Mapping[str, Any], a: Any, b: Any) -> Any:
    left = a.t() if arguments.get("transpose_a") else a
    return torch._int_mm(left, b.t() if arguments.get("transpose_b", True) else b)


def _torch_product(torch: Any, arguments: Mapping[str, Any], a: Any, b: Any) -> Any:
    left = a.transpose(-1, -2) if arguments["transpose_a"] else a
    right = b.transpose(-1, -2) if arguments["transpose_b"] else b
    return torch.matmul(left, right)


def _torch_convolution(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    return _convolve(torch, arguments, x, weight, arguments["groups"])


def _torch_depthwise(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    return _convolve(torch, arguments, x, weight[:, None], len(weight))


def _convolve(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any, groups: int) -> Any:
    rank = weight.ndim - 2
    window = _window(arguments, rank)
    image = _channels_first(arguments, x)
    if window.before != window.after:
        image = torch.nn.functional.pad(image, _torch_sides(window))
        window = window.only()
    function = getattr(torch.nn.functional, f"conv{rank}d")
    sizes = {"stride": window.stride, "padding": window.before, "dilation": window.dilation}
    return _in_layout(arguments, function(image, weight, **sizes, groups=groups))


def _torch_transposed(torch: Any, arguments: Mapping[str, Any], x: Any, weight: Any) -> Any:
    rank = weight.ndim - 2
    window = _window(arguments, rank)
    if window.before != window.after:
        raise PeerError("torch: transposed convolutions are compared with padding alike on both sides")
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    sizes = {"stride": window.stride, "padding": window.before, "dilation": window.dilation}
    more = {"output_padding": arguments["output_padding"], "groups": arguments["groups"]}
    return _in_layout(arguments, function(_channels_first(arguments, x), weight, **sizes, **more))


def _torch_max_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    rank = x.ndim - 2
    window = _window(arguments, rank)
    image = _channels_first(arguments, x)
    if window.before != window.after:
        image = torch.nn.functional.pad(image, _torch_sides(window), value=float("-inf"))
        window = window.only()
    function = getattr(torch.nn.functional, f"max_pool{rank}d")
    y = function(image, window.kernel, window.stride, window.before, window.dilation)
    return _in_layout(arguments, y)


def _torch_avg_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    rank = x.ndim - 2
    window = _window(arguments, rank)
    if window.before != window.after or max(window.dilation) > 1:
        raise PeerError("torch: averages are compared without dilation and with padding alike on both sides")
    function = getattr(torch.nn.functional, f"avg_pool{rank}d")
    sizes = (window.kernel, window.stride, window.before)
    counts = {"count_include_pad": arguments["count_include_pad"]}
    return _in_layout(arguments, function(_channels_first(arguments, x), *sizes, **counts))


def _torch_global_avg_pool(torch: Any, arguments: Mapping[str, Any], x: Any) -> Any:
    image = _channels_first(arguments, x)
    return _in_layout(arguments, image.mean(dim=tuple(range(2, x.ndim)), keepdim=True))


def _window(arguments: Mapping[str, Any], rank: int) -> Window:
    stride = arguments["stride"]
    steps = arguments["kernel"] if stride is None else stride
    return Window.of(arguments["kernel"], steps, arguments["padding"], arguments["dilation"], rank)


def _torch_sides(window: Window) -> list[int]:
    """Padding as torch lists it: of the last dimension first."""
    pairs = zip(reversed(window.before), reversed(window.after), strict=True)
    return [size for pair in pairs for size in pair]


def _channels_first(arguments: Mapping[str, Any], x: Any) -> Any:
    return x.movedim(-1, 1) if is_channels_last(arguments["layout"]) else x


def _in_layout(arguments: Mapping[str, Any], y: Any) -> Any:
    return y.movedim(1, -1) if is_channels_last(arguments["layout"]) else y


RANKS = (1, 2, 3)
TORCH: dict[str, Callable[..., Any]] = {
    "matmul": _torch_product,
    "batch_matmul": _torch_product,
    "dense": lambda torch, arguments, x, weight: torch.nn.functional.linear(x, weight),
    "depthwise_conv2d": _torch_depthwise,
    **{f"conv{rank}d": _torch_convolution for rank in RANKS},
    **{f"conv{rank}d_transpose": _torch_transposed for rank in RANKS},
    **{f"max_pool{rank}d": _torch_max_pool for rank in RANKS},
    **{f"avg_pool{rank}d": _torch_avg_pool for rank in RANKS},
    **{f"global_avg_pool{rank}d": _torch_global_avg_pool for rank in RANKS},
    "softmax": lambda torch, arguments, x: torch.softmax(x, arguments["axis"]),
    "log_softmax": lambda torch, arguments, x: torch.log_softmax(x, arguments["axis"]),
}

# By the types of the operands, too: it has no others with exact sums.
TORCH_BYTES: dict[tuple[str, ...], Callable[..., Any]] = {
    (op, "int8", "int8"): _torch_byte_product for op in ("matmul", "dense")
}

PEERS: dict[str, Callable[["Task", Arrays], Call]] = {"numpy": _prepare_numpy, "torch": _prepare_torch}
