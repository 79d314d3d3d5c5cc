"""Winograd's convolution, scheduled: blocks of tiles, whose transforms stay in the caches.

Channels lie in the lanes, from the image's transform to the inverse one; images in NCHW are turned around on
the way in and out. Each block of tiles is transformed, then read by one panel of output channels at a time:

::

    for each block of tiles:                 patch, v
        for each panel of output channels:   products, y, and the result with its epilogue

The transformed weight lies in the same panels. It is computed once, ahead, where the weight is constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.schedule import Schedule, Stage, create_schedule
from tilewright.compiler.te import IterVar, Tensor
from tilewright.templates.collector import TemplateConfig
from tilewright.templates.epilogue import apply_epilogue, is_costly
from tilewright.templates.operators.convolution import Convolution
from tilewright.templates.operators.window import divide
from tilewright.templates.operators.winograd_knobs import (
    applies,
    default,
    define_space,
    error_bound,
    estimate,
)
from tilewright.templates.operators.winograd_stages import Blocks, Stages, describe
from tilewright.templates.operators.winograd_transforms import ALGORITHMS


def schedule(cfg: TemplateConfig, conv: Convolution, name: str) -> tuple[Schedule, list[Tensor]]:
    """The convolution by the algorithm ``name`` of ``ALGORITHMS``, with the knobs of `define_space`.

    The tensors are the image, the weight ``(o, c, 3, 3)``, the epilogue's operands and the result.
    """
    lanes = cfg.target.lanes(conv.item)
    blocks = Blocks.of(conv, ALGORITHMS[name].outputs, cfg["tiles"].val, lanes)
    stages = describe(conv, ALGORITHMS[name], blocks)
    finished = apply_epilogue(stages.result, conv.epilogue, conv.channel_axis)
    s = create_schedule(finished.output)
    scheduler = _Scheduler(s, cfg, conv, blocks, stages, finished.output)
    if conv.epilogue and not scheduler.is_apart:
        s[stages.result].compute_inline()
    scheduler.write()
    return s, [stages.x, stages.weight, *finished.operands, finished.output]


@dataclass(frozen=True, slots=True)
class _Scheduler:
    """Schedules the stages; ``output`` is the result with its epilogue."""

    s: Schedule
    cfg: TemplateConfig
    conv: Convolution
    blocks: Blocks
    stages: Stages
    output: Tensor

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return self.cfg.target.lanes(self.conv.item)

    @property
    def width(self) -> int:
        """Output channels of a panel."""
        return int(self.cfg["tile_vectors"].val) * self.lanes

    @property
    def shared(self) -> str:
        """What threads share: "batch", "block" or "panel"."""
        return self.blocks.shared_by(self.cfg.threads)

    @property
    def is_apart(self) -> bool:
        """Whether the epilogue has a loop of its own, too long to write out for each row of a block."""
        return not self.conv.is_channels_last and is_costly(self.conv.epilogue)

    def write(self) -> None:
        """Schedule all stages."""
        batch, block, panel = self._store()
        if self.stages.image is not self.stages.x:
            self._turn_image(batch)
        self._transform_image(block)
        self._transform_weight(self._multiply(panel))
        self._invert(panel)

    def _turn_image(self, batch: IterVar) -> None:
        """Channels last, by square blocks that are turned around in registers."""
        stage = self.s[self.stages.image]
        b, p, k = stage.op.axis
        po, pi = stage.split(p, self.lanes, tail="shift_inwards")
        ko, ki = stage.split(k, self.lanes)
        stage.reorder(b, po, ko, pi, ki)
        stage.unroll(pi)
        stage.vectorize(ki)
        if self.blocks.batches > 1:
            stage.compute_at(self.s[self.output], batch)
        pixels = stage.fuse(b, po)
        if self.shared != "batch":
            stage.parallel(pixels)

    def _store(self) -> tuple[IterVar, IterVar, IterVar]:
        """The loops over batches, blocks of tiles and, inside, panels; the result is stored there."""
        stage, blocks = self.s[self.output], self.blocks
        b, f, (i, j) = divide(self.conv.layout, stage.op.axis)
        batch, b = stage.split(b, blocks.images)
        y, i = stage.split(i, blocks.height * blocks.m)
        x, j = stage.split(j, blocks.width * blocks.m)
        panel, f = stage.split(f, self.width)
        if self.conv.is_channels_last:
            fo, fi = stage.split(f, self.lanes)
            stage.reorder(batch, y, x, panel, b, i, j, fo, fi)
            stage.vectorize(fi)
        elif self.is_apart:
            stage.reorder(batch, y, x, panel, b, f, i, j)
            stage.vectorize(j)
        else:
            stage.reorder(batch, y, x, panel, b, *self._turn_result(stage, f, i, j))
        block = stage.fuse(y, x)
        if self.is_apart:
            result = self.s[self.stages.result]
            result.compute_at(stage, panel)
            _, f, i, j = result.op.axis
            result.reorder(*self._turn_result(result, f, i, j))
        stage.parallel({"batch": batch, "block": block, "panel": panel}[self.shared])
        return batch, block, panel

    def _turn_result(self, stage: Stage, f: IterVar, i: IterVar, j: IterVar) -> tuple[IterVar, ...]:
        """Pixels in the lanes, by square blocks that are turned around in registers; the loops in order."""
        fo, fi = stage.split(f, self.lanes)
        jo, ji = stage.split(j, self.lanes, tail="shift_inwards")
        stage.unroll(fi)
        stage.vectorize(ji)
        return fo, i, jo, fi, ji

    def _transform_image(self, block: IterVar) -> None:
        s, stages = self.s, self.stages
        patch, stage, half = s[stages.patch], s[stages.v], s[stages.half_v]
        patch.compute_at(s[self.output], block)
        _, i, _, k = patch.op.axis
        patch.vectorize(k)
        stage.compute_at(s[self.output], block)
        *around, p, q, t, k, lane = stage.op.axis
        # An odd number of cache lines apart, the tiles that a product reads together lie in different sets.
        stage.storage_align(t, 2 * self.lanes, self.lanes)
        stage.reorder(*around, t, k, p, q, lane)
        self._write_out(stages.v, p, q, lane)
        if self.shared == "panel":
            patch.parallel(i)
            stage.parallel(t)
        half.compute_at(stage, k)
        *_, t, p, j, k = half.op.axis
        half.reorder(t, j, p, k)
        self._write_out(stages.half_v, j, p, k)

    def _write_out(self, tensor: Tensor, rolled: IterVar, written: IterVar, lanes: IterVar) -> None:
        """A transform in one dimension: all its results at once, from as many reads."""
        stage = self.s[tensor]
        stage.unroll(rolled, 1)
        stage.unroll(written)
        stage.vectorize(lanes)

    def _multiply(self, panel: IterVar) -> Tensor:
        """Register tiles, over all points of a block; the stage that computes a tile."""
        s, products = self.s, self.stages.products
        tile = s.cache_write(products, "register")
        stage = s[products]
        stage.compute_at(s[self.output], panel)
        *around, p, q, t, f = stage.op.axis
        to, ti = stage.split(t, int(self.cfg["tile_rows"].val))
        stage.reorder(*around, p, q, to, ti, f)
        stage.unroll(ti)
        stage.vectorize(f)
        s[tile].compute_at(stage, to)
        *around, t, f = s[tile].op.axis
        (r,) = s[tile].op.reduce_axis
        s[tile].reorder(*around, r, t, f)
        s[tile].unroll(r, 1)
        s[tile].unroll(t)
        s[tile].vectorize(f)
        return tile

    def _transform_weight(self, tile: Tensor) -> None:
        """In panels, at the root: once where the weight is constant."""
        s, stages = self.s, self.stages
        packed = s.pack(stages.u, tile, {3: self.width})
        s[stages.u].compute_inline()
        stage, half = s[packed], s[stages.half_u]
        p, q, k, f = stage.op.axis
        panel, f = stage.split(f, self.width)
        fo, fi = stage.split(f, self.lanes)
        stage.reorder(panel, k, fo, p, q, fi)
        stage.parallel(panel)
        self._write_out(packed, p, q, fi)
        half.compute_at(stage, fo)
        p, j, k, f = half.op.axis
        half.reorder(k, j, p, f)
        self._write_out(stages.half_u, j, p, f)
        ahead = int(self.cfg["ahead"].val)
        if ahead:
            s[tile].prefetch(packed, s[tile].op.reduce_axis[0], ahead)

    def _invert(self, panel: IterVar) -> None:
        """Tile by tile."""
        s, stages = self.s, self.stages
        stage, half = s[stages.y], s[stages.half_y]
        stage.compute_at(s[self.output], panel)
        *around, ty, i, tx, j, f, lane = stage.op.axis
        stage.reorder(*around, ty, tx, f, i, j, lane)
        self._write_out(stages.y, i, j, lane)
        half.compute_at(stage, f)
        *_, t, i, q, f = half.op.axis
        half.reorder(t, q, i, f)
        self._write_out(stages.half_y, q, i, f)


__all__ = ["applies", "default", "define_space", "error_bound", "estimate", "schedule"]
