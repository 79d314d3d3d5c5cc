"""Templates as users write them, in files of their own."""

PRODUCT = """
import tilewright as tw
from tilewright import te


@tw.template("my_product")
def my_product(n, dtype="float32"):
    a = te.placeholder((n, n), dtype, name="A")
    b = te.placeholder((n, n), dtype, name="B")
    k = te.reduce_axis((0, n), name="k")
    c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    s = te.create_schedule(c.op)
    cfg = tw.get_config()
    y, x = s[c].op.axis
    (k,) = s[c].op.reduce_axis
    cfg.define_split("tile_x", x, num_outputs=2)
    xo, xi = cfg["tile_x"].apply(s, c, x)
    s[c].reorder(y, xo, k, xi)
    s[c].vectorize(xi)
    return s, [a, b, c]
"""

SCRIPT = (
    PRODUCT
    + """
import numpy as np

result = tw.tune(my_product, n=32, trials=3, threads=1, db="tune.db", tuner="random")
with tw.apply_best("tune.db"):
    kernel = tw.build(my_product, n=32, threads=1)
a, b = np.random.default_rng(0).random((2, 32, 32), dtype=np.float32)
assert np.allclose(kernel(a, b), a @ b, rtol=1e-5)
assert kernel.config.to_json() == result.best.config
print(result.op, result.trials, result.reused, __name__)
"""
)

_COPY = """
@tw.template("{name}")
def {name}(n: int):
    a = te.placeholder((n,), name="A")
    c = te.compute((n,), lambda i: a[i] * 2.0, name="C")
    s = te.create_schedule(c.op)
    cfg = tw.get_config()
    cfg.define_knob("factor", [1, 2, 4, 8])
    {fault}
    s[c].split(s[c].op.axis[0], cfg["factor"].val)
    return s, [a, c]
"""

FAULTS = {
    "at_once": "raise RuntimeError('broken from the start')",
    "sometimes": "if cfg['factor'].val == 4: raise ValueError('no four')",
    "never_valid": "cfg.raise_error('never valid')",
    "no_space": "cfg.constrain(('factor',), lambda factor: False)",
    "returns_nothing": "return None",
}

FAULTY = "import tilewright as tw\nfrom tilewright import te\n" + "".join(
    _COPY.format(name=name, fault=fault) for name, fault in FAULTS.items()
)
