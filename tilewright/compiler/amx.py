"""Products of matrices by x86's AMX: tiles of 16 rows of 64 bytes, multiplied 16 words deep at once.

A block of 32 rows and 32 columns of sums stays in four of the eight tiles while two tiles of each operand
stream past it: one load for each multiplication, the least that eight tiles allow. A long reduction may be
done in parts, for each of which a panel of the right operand stays in the first cache while all rows pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tilewright.compiler import te
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.target import Target
from tilewright.compiler.te import Expr, IterVar, TensorIntrin
from tilewright.compiler.te.words import parts_of

ROWS = COLUMNS = DEPTH = 16  # of a tile of sums, and the words of a row of a tile
BLOCK = 2 * ROWS  # the rows and the columns of sums that stay in tiles
LINE_BYTES = 64  # of a row of a tile, which is a cache line
_TILES = 8
_LEFT, _RIGHT = 4, 6  # the first tiles of the operands, behind those of the sums
_PALETTE = 1
# The instructions by the types that they multiply, and the features of the CPUs that have them.
_INSTRUCTIONS: dict[Dtypes, tuple[str, str]] = {
    ("bfloat16", "bfloat16"): ("amx-bf16", "tdpbf16ps"),
    ("uint8", "int8"): ("amx-int8", "tdpbusd"),
    ("int8", "int8"): ("amx-int8", "tdpbssd"),
    ("uint8", "uint8"): ("amx-int8", "tdpbuud"),
    ("int8", "uint8"): ("amx-int8", "tdpbsud"),
}
DECLARATIONS = """
declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)
declare void @llvm.x86.ldtilecfg(ptr)
declare void @llvm.x86.tilerelease()
declare void @llvm.x86.tilezero(i8 immarg)
declare void @llvm.x86.tileloadd64(i8 immarg, ptr, i64)
declare void @llvm.x86.tileloaddt164(i8 immarg, ptr, i64)
declare void @llvm.x86.tilestored64(i8 immarg, ptr, i64)
"""
STATE = "amx"
# The bytes from a row, or a tile, to the next, and from which strides they follow.
_STRIDES = "i64 %ar, i64 %aq, i64 %br, i64 %bq, i64 %cr"
_STEPS = (("br", "b.row"), ("bq", "b.tile"), ("cr", "c.row"))


def multiplies_tiles(target: Target, dtypes: Dtypes) -> bool:
    """Whether the processor multiplies tiles of words of these types."""
    if target.architecture != "x86_64" or dtypes not in _INSTRUCTIONS:
        return False
    return target.has("amx-tile") and target.has(_INSTRUCTIONS[dtypes][0])


def instruction_of(dtypes: Dtypes) -> str:
    """The instruction that multiplies tiles of words of these types, as LLVM names it."""
    return _INSTRUCTIONS[dtypes][1]


@dataclass(frozen=True, slots=True)
class TileProduct:
    """A product of blocks of two matrices.

    Attributes:
        rows, columns: of the result; multiples of 16, at most 32 columns.
        depth: of the reduction, in tiles.
        part: the tiles of a part of the reduction.
        dtypes: of the numbers in the words of the left and the right operand.
        is_packed: the left operand is stored as words, in slices that are a tile deep, instead of as it is.
        prefetches: what follows the right operand in memory comes to the second cache meanwhile.
        has_turns: what is done with another product may run between the steps of this one.
    """

    rows: int
    columns: int
    depth: int
    part: int
    dtypes: Dtypes
    is_packed: bool = True
    prefetches: bool = False
    has_turns: bool = False

    @property
    def blocks(self) -> int:
        """Blocks of rows."""
        return -(-self.rows // BLOCK)

    @property
    def turns(self) -> int:
        """The steps of all blocks of rows."""
        return self.blocks * self.depth if self.has_turns else 0

    @property
    def name(self) -> str:
        """The function's."""
        shape = f"{self.rows}x{self.columns}x{self.depth}by{self.part}"
        marks = ["packed"] * self.is_packed + ["ahead"] * self.prefetches + ["turns"] * self.has_turns
        return "_".join(["amx", *self.dtypes, shape, *marks])


@cache
def tile_product(product: TileProduct) -> TensorIntrin:
    """The intrinsic ``c[i, j] = sum over q and r of dot(a[q, i, r], b[q, r, j])``, with ``r`` below 16.

    Left operands that are not packed are ``a[i, k]``, of which neighbours along ``k`` are joined to words.
    Neighbours along the last dimension of each operand and of the result must be neighbours in memory.
    """
    depth, parts = product.depth, parts_of(product.dtypes[0])
    packed = te.placeholder((depth, product.rows, DEPTH), "int32", name="a")
    plain = te.placeholder((product.rows, depth * DEPTH * parts), product.dtypes[0], name="a")
    b = te.placeholder((depth, DEPTH, product.columns), "int32", name="b")
    q, r = te.reduce_axis((0, depth), name="q"), te.reduce_axis((0, DEPTH), name="r")

    def left(i: IterVar) -> Expr:
        if product.is_packed:
            return te.Load(packed, (q, i, r))
        return te.word(*(plain[i, (q * DEPTH + r) * parts + part] for part in range(parts)))

    def element(i: IterVar, j: IterVar) -> Expr:
        return te.sum(te.dot(left(i), b[q, r, j], product.dtypes), axis=(q, r))

    meaning = te.compute((product.rows, product.columns), element, name="c")
    llvm_ir = _Writer(product).write()
    return te.decl_tensor_intrin(
        meaning, llvm_ir, product.name, resets=True, state=STATE, turns=product.turns
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the function of an intrinsic, and those that it calls for a block of rows and a part."""

    product: TileProduct

    @property
    def wide(self) -> int:
        """Tiles of sums side by side."""
        return self.product.columns // COLUMNS

    @property
    def share(self) -> int:
        """The lines of a tile's depth of the next panel that each block of rows fetches."""
        return -(-self.wide * DEPTH // self.product.blocks) if self.product.prefetches else 0

    @property
    def turn(self) -> str:
        """The parameters, if there are any, that say what runs meanwhile."""
        return ", ptr %turn, ptr %frame" if self.product.has_turns else ""

    @property
    def has_parts(self) -> bool:
        """Whether there is more than one part."""
        return self.product.part < self.product.depth

    def write(self) -> str:
        whole, rest = divmod(self.product.rows, BLOCK)
        heights = [2] * (whole > 0) + [1] * (rest > 0)
        starts = ["zero", *["load"] * self.has_parts]
        blocks = (self.block(high, start) for high in heights for start in starts)
        name = instruction_of(self.product.dtypes)
        head = [DECLARATIONS, f"declare void @llvm.x86.{name}(i8 immarg, i8 immarg, i8 immarg)"]
        return "\n".join(
            [*head, *state_functions(), *(line for block in blocks for line in block), *self.function()]
        )

    def function(self) -> Iterator[str]:
        """The intrinsic: the part that starts the sums, then the others, the last of them perhaps shorter."""
        depth, part = self.product.depth, min(self.product.part, self.product.depth)
        packed = self.product.is_packed
        left = "i64 %a.tile, i64 %a.row, i64 %a.word" if packed else "i64 %a.row, i64 %a.number"
        others = "ptr %b, i64 %b.tile, i64 %b.row, i64 %b.word, ptr %c, i64 %c.row, i64 %c.sum"
        inlined = "alwaysinline " if self.product.has_turns else ""
        yield f"define void @{self.product.name}(ptr %a, {left}, {others}{self.turn}) {inlined}{{"
        yield "entry:"
        yield f"  %ar = mul i64 %a.row, {4 if packed else 4 // parts_of(self.product.dtypes[0])}"
        yield "  %aq = shl i64 %a.tile, 2" if packed else f"  %aq = add i64 0, {LINE_BYTES}"
        yield from (f"  %{step} = shl i64 %{stride}, 2" for step, stride in _STEPS)
        yield f"  %next = mul i64 %bq, {depth}"
        yield from self.rows("zero", "entry", "0", ("%a", "%b", str(part)))
        if self.has_parts:
            yield "  br label %parts"
            yield "parts:"
            yield f"  %k = phi i64 [ {part}, %zero.done ], [ %k.next, %load.done ]"
            yield f"  %rest = sub i64 {depth}, %k"
            yield f"  %is.whole = icmp ugt i64 %rest, {part}"
            yield f"  %count = select i1 %is.whole, i64 {part}, i64 %rest"
            for operand in "ab":
                yield f"  %{operand}k.offset = mul i64 %k, %{operand}q"
                yield f"  %{operand}k = getelementptr i8, ptr %{operand}, i64 %{operand}k.offset"
            yield from self.rows("load", "parts", "%k", ("%ak", "%bk", "%count"))
            yield "  %k.next = add i64 %k, %count"
            yield f"  %is.more = icmp ult i64 %k.next, {depth}"
            yield "  br i1 %is.more, label %parts, label %done"
            yield "done:"
        yield "  ret void"
        yield "}"

    def rows(self, start: str, before: str, done: str, operands: tuple[str, str, str]) -> Iterator[str]:
        """A loop over whole blocks of rows, then what is left of them; ends in the block ``{start}.done``.

        ``done`` tiles of the depth are done already.
        """
        if self.product.has_turns:
            yield f"  %{start}.turns = mul i64 {done}, {self.product.blocks}"
        whole, rest = divmod(self.product.rows, BLOCK)
        if whole:
            row = f"%{start}.row"
            yield f"  br label %{start}.rows"
            yield f"{start}.rows:"
            yield f"  {row} = phi i64 [ 0, %{before} ], [ {row}.next, %{start}.rows ]"
            yield from self.call(2, start, row, operands)
            yield f"  {row}.next = add nuw nsw i64 {row}, {BLOCK}"
            yield f"  {row}.more = icmp ult i64 {row}.next, {whole * BLOCK}"
            yield f"  br i1 {row}.more, label %{start}.rows, label %{start}.last"
            yield f"{start}.last:"
        if rest:
            yield from self.call(1, start, str(whole * BLOCK), operands)
        yield f"  br label %{start}.done"
        yield f"{start}.done:"

    def call(self, high: int, start: str, row: str, operands: tuple[str, str, str]) -> Iterator[str]:
        """Multiply for one block of rows."""
        a, b, count = operands
        for operand, base in (("a", a), ("c", "%c")):
            mark = f"%{start}.{operand}{high}"
            yield f"  {mark}.offset = mul i64 {row}, %{operand}r"
            yield f"  {mark} = getelementptr i8, ptr {base}, i64 {mark}.offset"
        yield f"  %{start}.share{high} = mul i64 {row}, {self.share * LINE_BYTES // BLOCK}"
        yield f"  %{start}.ahead{high} = add i64 %{start}.share{high}, %next"
        pointers = f"ptr %{start}.a{high}, ptr {b}, ptr %{start}.c{high}"
        given = f"{pointers}, {_STRIDES}, i64 {count}, i64 %{start}.ahead{high}"
        if self.product.has_turns:
            block, first = f"%{start}.block{high}", f"%{start}.turn{high}"
            yield f"  {block} = udiv exact i64 {row}, {BLOCK}"
            yield f"  {block}.turns = mul i64 {block}, {count}"
            yield f"  {first} = add i64 %{start}.turns, {block}.turns"
            given += f", i64 {first}{self.turn}"
        yield f"  call void @{self.product.name}.{start}{high}({given})"

    def block(self, high: int, start: str) -> Iterator[str]:
        """A function that multiplies into ``high`` tiles of sums down and all across, for one part."""
        sums = [(i, j, i * self.wide + j) for i in range(high) for j in range(self.wide)]
        arguments = f"ptr %a, ptr %b, ptr %c, {_STRIDES}, i64 %count, i64 %ahead"
        if self.product.has_turns:
            arguments += f", i64 %first{self.turn}"
        yield f"define internal void @{self.product.name}.{start}{high}({arguments}) alwaysinline {{"
        yield "entry:"
        yield "  %a.half = shl i64 %ar, 4"
        yield "  %c.half = shl i64 %cr, 4"
        yield "  %c.low = getelementptr i8, ptr %c, i64 %c.half"
        for i, j, tile in sums:
            yield f"  %c{tile} = getelementptr i8, ptr %c{'.low' if i else ''}, i64 {j * LINE_BYTES}"
            load = f"tileloadd64(i8 {tile}, ptr %c{tile}, i64 %cr)"
            yield f"  call void @llvm.x86.{load if start == 'load' else f'tilezero(i8 {tile})'}"
        yield "  br label %depth"
        yield "depth:"
        yield "  %q = phi i64 [ 0, %entry ], [ %q.next, %depth ]"
        for operand in ("a", "b"):
            yield f"  %{operand}0 = phi ptr [ %{operand}, %entry ], [ %{operand}.next, %depth ]"
        yield from self.step(sums)
        yield from self.prefetch()
        yield "  %a.next = getelementptr i8, ptr %a0, i64 %aq"
        yield "  %b.next = getelementptr i8, ptr %b0, i64 %bq"
        yield "  %q.next = add nuw nsw i64 %q, 1"
        yield "  %is.more = icmp ult i64 %q.next, %count"
        yield "  br i1 %is.more, label %depth, label %done"
        yield "done:"
        for _, _, tile in sums:
            yield f"  call void @llvm.x86.tilestored64(i8 {tile}, ptr %c{tile}, i64 %cr)"
        yield "  ret void"
        yield "}"

    def prefetch(self) -> Iterator[str]:
        """What the next panel has at the same depth, a share of it."""
        if self.share:
            yield "  %far = getelementptr i8, ptr %b0, i64 %ahead"
        for line in range(self.share):
            yield f"  %far{line} = getelementptr i8, ptr %far, i64 {line * LINE_BYTES}"
            yield f"  call void @llvm.prefetch.p0(ptr %far{line}, i32 0, i32 2, i32 1)"

    def step(self, sums: Sequence[tuple[int, int, int]]) -> Iterator[str]:
        """One tile of the depth: each operand's tiles are loaded just ahead of what needs them.

        Those of the left one are used once a panel, so they are loaded past the first cache, of which the
        panel has need. Where they are not whole lines, that would fetch many lines twice.
        """
        left = "tileloaddt164" if self.product.is_packed else "tileloadd64"
        for i, j, tile in sums:
            if i and not j:
                yield "  %a1 = getelementptr i8, ptr %a0, i64 %a.half"
            if j and not i:
                yield f"  %b1 = getelementptr i8, ptr %b0, i64 {LINE_BYTES}"
            if not j:
                yield f"  call void @llvm.x86.{left}(i8 {_LEFT + i}, ptr %a{i}, i64 %ar)"
            if not i:
                yield f"  call void @llvm.x86.tileloadd64(i8 {_RIGHT + j}, ptr %b{j}, i64 %br)"
            tiles = f"i8 {tile}, i8 {_LEFT + i}, i8 {_RIGHT + j}"
            yield f"  call void @llvm.x86.{instruction_of(self.product.dtypes)}({tiles})"
            if self.product.has_turns and tile == 0:
                yield "  %number = add i64 %first, %q"
                yield "  call void %turn(ptr %frame, i64 %number)"


def state_functions() -> Iterator[str]:
    """The functions that make all tiles whole, and give them up (Intel's manual, volume 1, chapter 18)."""
    data = bytearray(64)
    data[0] = _PALETTE
    for tile in range(_TILES):
        data[16 + 2 * tile : 18 + 2 * tile] = LINE_BYTES.to_bytes(2, "little")
        data[48 + tile] = ROWS
    values = ", ".join(f"i8 {value}" for value in data)
    yield f"@{STATE}.tiles = internal constant [64 x i8] [{values}], align 64"
    yield f"define void @{STATE}.enter() {{"
    yield f"  call void @llvm.x86.ldtilecfg(ptr @{STATE}.tiles)"
    yield "  ret void"
    yield "}"
    yield f"define void @{STATE}.leave() {{"
    yield "  call void @llvm.x86.tilerelease()"
    yield "  ret void"
    yield "}"
