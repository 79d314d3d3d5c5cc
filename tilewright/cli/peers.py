"""Other libraries that compute the same as an operator, to be timed beside it."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.errors import TilewrightError

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
def limit_threads(names: Sequence[str], threads: int) -> Iterator[None]:
    """Hold the peers to as many threads as our kernels have."""
    from threadpoolctl import threadpool_limits

    with contextlib.ExitStack() as stack:
        if "numpy" in names:
            stack.enter_context(threadpool_limits(limits=threads))
        if "torch" in names:
            torch = importlib.import_module("torch")
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        yield


def _prepare_numpy(task: "Task", arrays: Arrays) -> Call:
    reference = task.reference
    if reference is None:
        raise PeerError(f"numpy: template {task.template.name!r} states no reference")
    return lambda: reference(*arrays)


def _prepare_torch(task: "Task", arrays: Arrays) -> Call:
    from tilewright.cli.torch_operators import TORCH, TORCH_BYTES

    operator = TORCH.get(task.workload.op)
    if operator is None:
        raise PeerError(f"torch: there is no counterpart of {task.workload.op}")
    if task.workload.arguments.get("epilogue"):
        raise PeerError("torch: operators are compared without an epilogue only")
    torch = importlib.import_module("torch")
    arguments = task.workload.arguments
    if any(array.dtype.name in ("int8", "uint8") for array in arrays):
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


PEERS: dict[str, Callable[["Task", Arrays], Call]] = {"numpy": _prepare_numpy, "torch": _prepare_torch}
