"""A convolution with padding, a bias and a ReLU: a template of several stages, tuned and built."""

import numpy as np

import tilewright.tvm as tvm
import tilewright.tvm.testing
from tilewright.tvm import autotvm, te


def compute_conv2d_relu(N, H, W, CO, CI, KH, KW, stride, padding):
    data = te.placeholder((N, CI, H, W), name="data")
    kernel = te.placeholder((CO, CI, KH, KW), name="kernel")
    bias = te.placeholder((CO,), name="bias")
    sh, sw = stride
    ph, pw = padding
    OH = (H + 2 * ph - KH) // sh + 1
    OW = (W + 2 * pw - KW) // sw + 1

    pad = te.compute(
        (N, CI, H + 2 * ph, W + 2 * pw),
        lambda n, c, h, w: tvm.tir.if_then_else(
            tvm.tir.all(h >= ph, h < H + ph, w >= pw, w < W + pw),
            data[n, c, h - ph, w - pw],
            tvm.tir.const(0.0, data.dtype),
        ),
        name="pad",
    )
    rc = te.reduce_axis((0, CI), name="rc")
    ry = te.reduce_axis((0, KH), name="ry")
    rx = te.reduce_axis((0, KW), name="rx")
    conv = te.compute(
        (N, CO, OH, OW),
        lambda n, f, y, x: te.sum(
            pad[n, rc, y * sh + ry, x * sw + rx] * kernel[f, rc, ry, rx], axis=[rc, ry, rx]
        ),
        name="conv",
        tag="conv2d_nchw",
    )
    biased = te.compute(conv.shape, lambda n, f, y, x: conv[n, f, y, x] + bias[f], name="biased")
    out = te.compute(conv.shape, lambda *i: te.max(biased(*i), tvm.tir.const(0, "float32")), name="out")

    return data, kernel, bias, pad, conv, biased, out


@autotvm.template("user/conv2d_relu")
def conv2d_relu(N, H, W, CO, CI, KH, KW, stride, padding):
    data, kernel, bias, pad, conv, biased, out = compute_conv2d_relu(N, H, W, CO, CI, KH, KW, stride, padding)
    s = te.create_schedule([out.op])
    cfg = autotvm.get_config()

    n, f, y, x = s[out].op.axis
    rc, ry, rx = s[conv].op.reduce_axis
    cfg.define_split("tile_f", f, num_outputs=2)
    cfg.define_split("tile_y", y, num_outputs=2)
    cfg.define_split("tile_x", x, num_outputs=2)
    cfg.define_split("tile_rc", rc, num_outputs=2)
    cfg.define_knob("pad", ["inline", "root", "at"])
    cfg.define_knob("unroll_kw", [True, False])
    cfg.define_annotate("ann", [x], policy="try_vec")

    s[biased].compute_inline()
    fo, fi = cfg["tile_f"].apply(s, out, f)
    yo, yi = cfg["tile_y"].apply(s, out, y)
    xo, xi = cfg["tile_x"].apply(s, out, x)
    s[out].reorder(n, fo, yo, xo, fi, yi, xi)
    fused = s[out].fuse(n, fo)
    s[out].parallel(fused)
    cfg["ann"].apply(s, out, [xi], axis_lens=[cfg["tile_x"].size[-1]], vec_size=[2, 4, 8, 16], cfg=cfg)

    s[conv].compute_at(s[out], xo)
    n, f, y, x = s[conv].op.axis
    ro, ri = cfg["tile_rc"].apply(s, conv, rc)
    s[conv].reorder(ro, ry, rx, ri, n, f, y, x)
    if cfg["unroll_kw"].val:
        s[conv].unroll(rx)
    if cfg["pad"].val == "inline":
        s[pad].compute_inline()
    elif cfg["pad"].val == "at":
        s[pad].compute_at(s[out], yo)
    return s, [data, kernel, bias, out]


N, H, W, CO, CI, KH, KW, strides, padding = 1, 14, 14, 16, 8, 3, 3, (1, 1), (1, 1)
task = autotvm.task.create(
    "user/conv2d_relu", args=(N, H, W, CO, CI, KH, KW, strides, padding), target="llvm"
)
print(task.config_space)
assert task.workload == ("user/conv2d_relu", N, H, W, CO, CI, KH, KW, strides, padding)
assert task.flop >= 2 * N * CO * H * W * CI * KH * KW

tuner = autotvm.tuner.XGBTuner(task)
tuner.tune(
    n_trial=10,
    measure_option=autotvm.measure_option(
        builder=autotvm.LocalBuilder(), runner=autotvm.LocalRunner(repeat=3, min_repeat_ms=10, timeout=4)
    ),
    callbacks=[autotvm.callback.log_to_file("conv2d.log")],
)

dispatch_context = autotvm.apply_history_best("conv2d.log")
best_config = dispatch_context.query(task.target, task.workload)
print("\nBest config:")
print(best_config)


def reference(data, kernel, bias, stride, padding):
    padded = np.pad(data, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    return np.maximum(np.einsum("ncyxij,fcij->nfyx", windows, kernel) + bias[:, None, None], 0)


def check(stride):
    data = np.random.uniform(-1, 1, size=(N, CI, H, W)).astype("float32")
    kernel = np.random.uniform(-1, 1, size=(CO, CI, KH, KW)).astype("float32")
    bias = np.random.uniform(-1, 1, size=(CO,)).astype("float32")
    expected = reference(data, kernel, bias, stride, padding)
    with tvm.target.Target("llvm"):
        s, args = conv2d_relu(N, H, W, CO, CI, KH, KW, stride, padding)
        func = tvm.build(s, args)
    out = tvm.nd.empty(expected.shape)
    func(tvm.nd.array(data), tvm.nd.array(kernel), tvm.nd.array(bias), out)
    tvm.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-5)


with dispatch_context:
    check(strides)
    check((2, 2))

# Every way to treat the padding computes the same.
for where in ("inline", "root", "at"):
    index = next(
        i
        for i in range(0, task.config_space.range_length)
        if task.config_space.get(i)["pad"].val == where and task.config_space.get(i)["tile_x"].size[-1] == 7
    )
    with autotvm.task.ApplyConfig(task.config_space.get(index)):
        check(strides)
