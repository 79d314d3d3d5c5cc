"""The rows of the table of operators: what is computed, and what limits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["1x1", "depthwise", "gemv", "odd", "accuracy", "memory", "attention", "bytes"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        name: of the row.
        op: the operator.
        params: its parameters.
        limit: ``peak`` where arithmetic limits it, that of its type; ``bandwidth`` where its operands do:
            each is read from its cache about once.
        kind: what is demanded of it in particular.
        like: for an odd row, the round row that is nearest.
        of_best: the least ratio to the best library, where that is demanded of it alone.
    """

    name: str
    op: str
    params: dict[str, Any]
    limit: Literal["peak", "bandwidth"] = "peak"
    kind: Kind | None = None
    like: str | None = None
    of_best: float | None = None


def product(op: str, name: str, b: int | None, m: int, n: int, k: int, **others: Any) -> Row:
    """A matrix product on which arithmetic is the limit."""
    batch = {} if b is None else {"b": b}
    return Row(name, op, {**batch, "m": m, "n": n, "k": k, **others})


def resnet(c: int, size: int, o: int, kernel: int, stride: int, **others: Any) -> Row:
    """A convolution of ResNet-18 at batch 1."""
    steps = f"/{stride}" if stride > 1 else ""
    extents = {"n": 1, "c": c, "h": size, "w": size, "o": o}
    window = {"kernel": kernel, "stride": stride, "padding": kernel // 2}
    name = f"conv {kernel}x{kernel}{steps} {c}x{size}-{o}"
    return Row(name, "conv2d", {**extents, **window, **others}, kind="1x1" if kernel == 1 else None)


def byte_conv(c: int, size: int, o: int, kernel: int) -> Row:
    """A convolution of bytes with a signed weight."""
    row = resnet(c, size, o, kernel, 1, dtype="uint8", weight_dtype="int8")
    return replace(row, name=f"{row.name} u8 x i8", kind="bytes")


def bfloat16_conv(c: int, size: int, o: int, kernel: int, stride: int = 1) -> Row:
    """A convolution of bfloat16."""
    row = resnet(c, size, o, kernel, stride, dtype="bfloat16")
    return replace(row, name=f"{row.name} bfloat16", kind=None)


def depthwise(c: int, size: int) -> Row:
    """A 3x3 kernel for each channel."""
    params = {"n": 1, "c": c, "h": size, "w": size, "kernel": 3, "padding": 1}
    return Row(f"depthwise 3x3 {c}x{size}", "depthwise_conv2d", params, kind="depthwise")


def max_pool(c: int, size: int, layout: str) -> Row:
    """The maxima of 3x3 windows, every second of them; the libraries are the same in both layouts."""
    params = {"n": 1, "c": c, "h": size, "w": size, "kernel": 3, "stride": 2, "padding": 1, "layout": layout}
    return Row(f"max_pool 3x3/2 {c}x{size} {layout}", "max_pool2d", params, "bandwidth")


def attention(heads: int, m: int, **others: Any) -> Row:
    """An attention of as many queries as keys."""
    params = {"b": 1, "heads": heads, "m": m, "n": m, "d": 64, **others}
    name = " ".join(["attention", f"{heads}x{m}x64", *map(str, others.values())])
    return Row(name, "attention", params, "peak", "attention", of_best=1.2)


def rows_of(op: str, name: str, shape: tuple[int, ...], of_best: float | None, **others: Any) -> Row:
    """An operator on an array, of which memory is the limit."""
    return Row(name, op, {"shape": shape, **others}, "bandwidth", "memory", of_best=of_best)


ROWS = (
    product("matmul", "matmul 512", None, 512, 512, 512),
    product("matmul", "matmul 1024", None, 1024, 1024, 1024),
    product("matmul", "matmul 2048", None, 2048, 2048, 2048),
    product("matmul", "u8 x i8 matmul 1024", None, 1024, 1024, 1024, dtype="uint8"),
    product("matmul", "i8 x i8 matmul 1024", None, 1024, 1024, 1024, dtype="int8"),
    product("matmul", "bfloat16 matmul 1024", None, 1024, 1024, 1024, dtype="bfloat16"),
    product("dense", "dense 128x768x3072", None, m=128, k=768, n=3072),
    product("dense", "dense 128x768x3072 unbound", None, m=128, k=768, n=3072, constant=()),
    product("batch_matmul", "batch_matmul 12x128x128x64", 12, 128, 128, 64),
    Row("gemv 1x1024x1000", "dense", {"m": 1, "k": 1024, "n": 1000}, "bandwidth", "gemv"),
    resnet(3, 224, 64, 7, 2),
    resnet(64, 56, 64, 1, 1),
    resnet(64, 56, 64, 3, 1),
    resnet(64, 56, 128, 3, 2),
    resnet(64, 56, 128, 1, 2),
    resnet(128, 28, 128, 3, 1),
    resnet(128, 28, 256, 3, 2),
    resnet(128, 28, 256, 1, 2),
    resnet(256, 14, 256, 3, 1),
    resnet(256, 14, 512, 3, 2),
    resnet(256, 14, 512, 1, 2),
    resnet(512, 7, 512, 3, 1),
    replace(resnet(64, 56, 64, 3, 1, epilogue=("bias", "relu")), name="conv 3x3 64x56-64 bias relu"),
    byte_conv(64, 56, 64, 3),
    byte_conv(256, 14, 256, 3),
    byte_conv(512, 7, 512, 3),
    byte_conv(64, 56, 256, 1),
    bfloat16_conv(3, 224, 64, 7, 2),
    bfloat16_conv(64, 56, 64, 3),
    bfloat16_conv(256, 14, 256, 3),
    bfloat16_conv(64, 56, 256, 1),
    depthwise(32, 112),
    depthwise(512, 14),
    max_pool(64, 112, "NCHW"),
    max_pool(64, 112, "NHWC"),
    Row("matmul 511x513x517", "matmul", {"m": 511, "n": 513, "k": 517}, kind="odd", like="matmul 512"),
    Row(
        "conv 3x3 67x57x55-131",
        "conv2d",
        {"n": 1, "c": 67, "h": 57, "w": 55, "o": 131, "kernel": 3, "padding": 1},
        kind="odd",
        like="conv 3x3 64x56-64",
    ),
    rows_of("softmax", "softmax 128x1024", (128, 1024), 1.5),
    rows_of("softmax", "softmax 1536x128", (1536, 128), 1.35),
    rows_of("layer_norm", "layer_norm 128x768", (128, 768), 3.0),
    rows_of("rms_norm", "rms_norm 128x4096", (128, 4096), 2.0),
    rows_of("reduce_sum", "row sum 4096x4096", (4096, 4096), 1.0, axis=1),
    rows_of("reduce_sum", "column sum 4096x4096", (4096, 4096), 1.0, axis=0),
    attention(12, 128),
    attention(1, 2048),
    attention(12, 128, dtype="bfloat16"),
    attention(1, 2048, dtype="bfloat16"),
    rows_of("elementwise", "chain of five 1M", (1 << 20,), 1.0, chain="relu(x * s + y) * z - x"),
    rows_of("elementwise", "gelu 1M", (1 << 20,), 1.2, chain="gelu(x)"),
    rows_of("elementwise", "gelu_tanh 1M", (1 << 20,), 2.0, chain="gelu_tanh(x)"),
    rows_of("transpose", "transpose 2048x2048", (2048, 2048), 1.2, perm=(1, 0)),
    rows_of("transpose", "transpose heads 12x128x64", (1, 12, 128, 64), 1.2, perm=(0, 2, 1, 3)),
    *(
        Row(
            f"resize 64x56-112 {layout}",
            "resize",
            {"n": 1, "c": 64, "h": 56, "w": 56, "size": 112, "layout": layout},
            "bandwidth",
            "memory",
            of_best=1.0,
        )
        for layout in ("NCHW", "NHWC")
    ),
    rows_of("argmax", "argmax 128x32000", (128, 32000), None, axis=1),
)


def accuracy_rows(accuracy: object) -> tuple[Row, ...]:
    """The 3x3 convolutions of stride 1 that may lose accuracy."""
    rows = (resnet(c, size, c, 3, 1) for c, size in ((64, 56), (128, 28), (256, 14), (512, 7)))
    return tuple(replace(row, name=f"{row.name} accuracy {accuracy}", kind="accuracy") for row in rows)
