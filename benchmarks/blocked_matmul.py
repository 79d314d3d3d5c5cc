"""The blocked, packed, write-cached matmul of the tensor-expression tutorials, beside the core's peak."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from interleave import compare, kernel_runner, operands, parser, table, write_json

from tilewright import tvm
from tilewright.compiler.kernel import Kernel
from tilewright.compiler.peak import reference_loop
from tilewright.tvm import te

BLOCKS = (16, 32, 64, 128)
FACTORS = (4, 8, 16)


def schedule(n: int, bn: int, kfactor: int) -> Any:
    """Tiles of ``bn`` x ``bn``, B packed by ``bn`` columns, k in steps of ``kfactor`` written out."""
    a, b = te.placeholder((n, n), name="A"), te.placeholder((n, n), name="B")
    k = te.reduce_axis((0, n), name="k")
    packed = te.compute((n // bn, n, bn), lambda block, r, lane: b[r, block * bn + lane], name="packedB")
    c = te.compute(
        (n, n),
        lambda i, j: te.sum(a[i, k] * packed[te.indexdiv(j, bn), k, te.indexmod(j, bn)], axis=k),
        name="C",
    )
    s = te.create_schedule(c.op)
    cached = s.cache_write(c, "global")
    mo, no, _, _ = s[c].tile(c.op.axis[0], c.op.axis[1], bn, bn)
    s[cached].compute_at(s[c], no)
    mc, nc = s[cached].op.axis
    (kaxis,) = s[cached].op.reduce_axis
    ko, ki = s[cached].split(kaxis, factor=kfactor)
    s[cached].reorder(ko, mc, ki, nc)
    s[cached].unroll(ki)
    s[cached].vectorize(nc)
    s[c].parallel(mo)
    block, _, lane = s[packed].op.axis
    s[packed].vectorize(lane)
    s[packed].parallel(block)
    return s, [a, b, c]


def main() -> None:
    """Build every pair of sizes, and time each in turns with the peak."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=1024)
    options.add_argument("--blocks", type=int, nargs="+", default=BLOCKS)
    options.add_argument("--factors", type=int, nargs="+", default=FACTORS)
    options.add_argument("--seconds", type=float, default=20.0)
    given = options.parse_args()
    os.environ["TVM_NUM_THREADS"] = "1"
    pairs = [(bn, kfactor) for bn in given.blocks for kfactor in given.factors]
    kernels = {f"bn={bn} k={kf}": tvm.build(*schedule(given.size, bn, kf)).kernel for bn, kf in pairs}
    shares = measure(kernels, given.size, given.seconds)
    rows: Sequence[Sequence[object]] = [[name, share] for name, share in shares.items()]
    print(table([f"{given.size} cubed", "share of peak"], rows))
    best = max(shares, key=lambda name: shares[name])
    print(f"best: {best}, {shares[best]:.3f} of the peak")
    write_json(given.json, {"size": given.size, "best": best, "shares": shares})


def measure(kernels: dict[str, Kernel], n: int, seconds: float) -> dict[str, float]:
    """The speed of each kernel as a share of the register-only loop's."""
    a, b, c = operands(n, n, n)
    expected = a @ b
    for kernel in kernels.values():
        np.testing.assert_allclose(kernel(a, b, out=c), expected, rtol=1e-3, atol=1e-3)
    loop = reference_loop("compute")
    shares = {}
    for name, kernel in kernels.items():
        pair = {"peak": loop.run, "kernel": kernel_runner(kernel, (a, b))}
        times = compare(pair, seconds / len(kernels))
        shares[name] = 2 * n**3 / times["kernel"] / (loop.work / times["peak"])
    return shares


if __name__ == "__main__":
    main()
