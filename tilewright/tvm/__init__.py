"""TVM's names for AutoTVM's users on CPUs: `import tilewright.tvm as tvm`. Nothing else imports this."""

from tilewright import __version__
from tilewright.tvm import autotvm, nd, runtime, target, te, testing, tir, transform
from tilewright.tvm.absent import refuse_absent
from tilewright.tvm.driver import build, lower
from tilewright.tvm.module import Module
from tilewright.tvm.nd import cpu, cuda, device, gpu

context = device
__getattr__ = refuse_absent(__name__)

__all__ = [
    "Module",
    "__version__",
    "autotvm",
    "build",
    "context",
    "cpu",
    "cuda",
    "device",
    "gpu",
    "lower",
    "nd",
    "runtime",
    "target",
    "te",
    "testing",
    "tir",
    "transform",
]
