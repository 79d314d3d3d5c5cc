"""Reads and writes of buffers in LLVM IR: addresses, masks and what is known to be unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilewright.compiler.backends.llvm_function import FunctionText, Operand, Scope, constant, index
from tilewright.compiler.backends.llvm_halves import narrow_bits, widen_bfloat16, widen_float16
from tilewright.compiler.backends.llvm_shuffle import shuffle
from tilewright.compiler.backends.llvm_strided import read_strided, write_strided
from tilewright.compiler.backends.llvm_types import MEMORY, MOVED, VALUE, suffix, vector
from tilewright.compiler.ir.affine import Linear, Ranges, bounds, linear, recombine
from tilewright.compiler.ir.loops import Buffer, Store
from tilewright.compiler.ir.visit import variables, walk
from tilewright.compiler.te.expr import BYTES, INDEX, Expr, Load, Var
from tilewright.compiler.te.words import WORD

if TYPE_CHECKING:
    from tilewright.compiler.backends.llvm_expr import ExprWriter


# The name of the metadata of stores past the caches, and the bytes of the smallest.
NONTEMPORAL = "!4"
LEAST_STREAMED = 16


@dataclass(slots=True)
class Lanes:
    """The part of a vectorized loop under way: ``var`` is ``base + lane``, where the mask (if any) holds.

    ``active`` is the number of leading lanes in use where the mask says just that (-1 where the number is
    known only when the code runs), else 0.
    """

    var: Var
    base: Operand
    count: int
    mask: Operand | None = None
    active: int = 0

    @property
    def may_be_idle(self) -> bool:
        """Whether the mask may hold in no lane at all, so that nothing may be read."""
        return self.mask is not None and not self.active


@dataclass(slots=True)
class Address:
    """An element's address; ``step`` is how far apart lanes are, ``offsets`` their places when uneven.

    The element lies ``distance`` elements from ``origin``; ``fixed`` is the flat offset where it is constant.
    """

    origin: Operand
    distance: int
    pointer: Operand
    step: int
    offsets: Operand | None = None
    fixed: int | None = None


class Memory:
    """The buffers of a function: where they are, and how often each was written.

    ``emulated`` are the types of 16 bits that the processor does not convert by itself; ``has_masks`` says
    that it writes some of a vector as fast as all of it.
    """

    def __init__(
        self,
        text: FunctionText,
        ranges: Ranges,
        emulated: frozenset[str] = frozenset(),
        has_masks: bool = False,
    ) -> None:
        self.text = text
        self.ranges = ranges
        self.emulated = emulated
        self.has_masks = has_masks
        self.variables: dict[Var, Operand] = {}
        self.pointers: dict[Buffer, Operand] = {}
        self.row_strides: dict[Buffer, tuple[int, ...]] = {}
        self.versions: dict[Buffer, int] = {}
        self.stored: dict[Buffer, dict[tuple[int, int], tuple[Scope, Operand]]] = {}
        self.read_only: set[Buffer] = set()
        self._forms: dict[int, tuple[Load | Store, Linear]] = {}
        self.spread: dict[Buffer, int] = {}
        self.unrolled: dict[Var, tuple[int, int]] = {}
        self.declarations: set[str] = set()
        self.is_around_loops = False
        self.streamed: set[Buffer] = set()
        self._words: dict[Buffer, Buffer] = {}
        self._word_alignments: dict[Buffer, int] = {}

    def touch(self, buffer: Buffer) -> None:
        """Note that a buffer's contents changed, or may have."""
        self.versions[buffer] = self.versions.get(buffer, 0) + 1
        self.stored.pop(buffer, None)

    def _last_stored(self, buffer: Buffer, address: Address, count: int) -> Operand | None:
        """What was stored to a place of a register tile last, where that was here."""
        if address.fixed is None or (count and (address.step != 1 or address.offsets is not None)):
            return None
        found = self.stored.get(buffer, {}).get((address.fixed, count))
        return found[1] if found is not None and found[0] is self.text.scopes[-1] else None

    def _note_stored(self, buffer: Buffer, address: Address, count: int, value: Operand) -> None:
        """Keep what was stored to a place of a register tile; places partly the same are forgotten."""
        self.versions[buffer] = self.versions.get(buffer, 0) + 1
        kept = self.stored.setdefault(buffer, {})
        assert address.fixed is not None
        if (address.fixed, count) not in kept:
            for place, width in list(kept):
                if place < address.fixed + max(1, count) and address.fixed < place + max(1, width):
                    del kept[place, width]
        kept[address.fixed, count] = self.text.scopes[-1], value

    def strides(self, buffer: Buffer) -> tuple[int, ...]:
        """Elements between neighbours, rows padded where the buffer's are."""
        return self.row_strides.get(buffer) or buffer.strides

    def pad_rows(self, buffer: Buffer, lanes: int) -> int:
        """Let every row of a buffer end at a whole vector; the number of elements then."""
        row = -(-buffer.shape[-1] // lanes) * lanes
        padded = Buffer(buffer.name, (*buffer.shape[:-1], row), buffer.dtype)
        self.row_strides[buffer] = padded.strides
        return padded.size

    def as_words(self, buffer: Buffer, parts: int) -> Buffer:
        """The same read-only memory as words of so many elements each."""
        if buffer not in self._words:
            words = Buffer(f"{buffer.name}.words", (buffer.size // parts,), WORD)
            self._words[buffer] = words
            self._word_alignments[words] = BYTES[buffer.dtype]
            self.pointers[words] = self.pointers[buffer]
            self.read_only.add(words)
        return self._words[buffer]

    def load_words(self, node: Load, parts: int, lanes: Lanes | None, writer: ExprWriter) -> Operand | None:
        """Words that begin at an element, the same in every lane or side by side; None otherwise."""
        buffer = node.source
        assert isinstance(buffer, Buffer)
        address = self.address(node, buffer, lanes, writer)
        is_same = lanes is None or (address.step == 0 and address.offsets is None)
        if lanes is not None and (lanes.may_be_idle or address.offsets is not None):
            return None
        words = self.as_words(buffer, parts)
        if is_same:
            return self.plain_load(address.pointer, words, 0)
        assert lanes is not None
        if address.step != parts:
            return None
        if lanes.mask is not None:
            return self.masked_load(address.pointer, words, lanes.count, lanes.mask)
        return self.plain_load(address.pointer, words, lanes.count)

    def alignment(self, buffer: Buffer) -> int:
        """The bytes of which an element's address is a multiple."""
        return self._word_alignments.get(buffer) or BYTES[buffer.dtype]

    # -- addresses ------------------------------------------------------------------------------

    def form(self, node: Load | Store, buffer: Buffer) -> Linear:
        """The flat element offset of an access, in terms of loop variables."""
        found = self._forms.get(id(node))
        if found is not None:
            return found[1]
        form = Linear({}, 0)
        for expr, stride in zip(node.indices, self.strides(buffer), strict=True):
            form = form.add(linear(expr, self.ranges), stride)
        form = recombine(form, self.ranges)
        self._forms[id(node)] = (node, form)
        return form

    def address(self, node: Load | Store, buffer: Buffer, lanes: Lanes | None, writer: ExprWriter) -> Address:
        """The address of an access in the first lane."""
        form = self.form(node, buffer)
        width = self.spread.get(buffer, 0)
        if width:
            form = form.scale(width)
        offset, step = form.const, 0
        parts: dict[int, list[tuple[Operand, int]]] = {}
        uneven: list[tuple[Operand, int]] = []
        for atom, scale in form.terms.values():
            if lanes is not None and atom is lanes.var:
                step, operand = scale, lanes.base
            elif lanes is not None and not isinstance(atom, Var) and lanes.var in variables(atom):
                uneven.append((writer.write(atom, lanes), scale))
                continue
            else:
                operand = self.variables[atom] if isinstance(atom, Var) else writer.write(atom, None)
            if operand.text[0] != "%":
                offset += scale * int(operand.text)
            else:
                parts.setdefault(operand.depth, []).append((operand, scale))
        pointer = self.pointers[buffer]
        for depth in sorted(parts):
            pointer = self._move(pointer, self._sum(parts[depth]), buffer)
        if parts and self.is_around_loops:
            # LLVM's loop strength reduction takes long over many addresses that run once per inner loop.
            pointer = self.text.pure(f"freeze ptr {pointer.text}", "ptr", 0, pointer)
        step += 1 if width else 0
        fixed = offset if not parts and not uneven and not width else None
        spaced = self._uneven(uneven, step, lanes, writer) if uneven else None
        return Address(pointer, offset, self.advance(pointer, offset, buffer), step, spaced, fixed)

    def element(self, node: Load, lanes: Lanes | None, writer: ExprWriter) -> Operand:
        """The address of an element, which may lie outside the buffer, in the first lane."""
        assert isinstance(node.source, Buffer)
        return self.address(node, node.source, lanes, writer).pointer

    def _sum(self, parts: list[tuple[Operand, int]]) -> Operand:
        total: Operand | None = None
        for operand, scale in parts:
            term = operand
            if scale != 1:
                term = self.text.pure(f"mul nsw i64 {operand.text}, {scale}", INDEX, 0, operand)
            total = (
                term
                if total is None
                else self.text.pure(f"add nsw i64 {total.text}, {term.text}", INDEX, 0, total, term)
            )
        assert total is not None
        return total

    def advance(self, pointer: Operand, distance: int, buffer: Buffer) -> Operand:
        """A pointer so many elements further on."""
        return self._move(pointer, index(distance), buffer) if distance else pointer

    def _move(self, pointer: Operand, offset: Operand, buffer: Buffer) -> Operand:
        element = MEMORY[buffer.dtype]
        text = f"getelementptr {element}, ptr {pointer.text}, i64 {offset.text}"
        return self.text.pure(text, "ptr", 0, pointer, offset)

    def _uneven(
        self, parts: list[tuple[Operand, int]], step: int, lanes: Lanes | None, writer: ExprWriter
    ) -> Operand:
        assert lanes is not None
        steps = ", ".join(f"i64 {n * step}" for n in range(lanes.count))
        total = Operand(f"<{steps}>", INDEX, lanes.count, 0)
        for operand, scale in parts:
            factor = constant(scale, INDEX, lanes.count)
            total = writer.operate(
                "+", total, writer.operate("*", writer.splat(operand, lanes.count), factor)
            )
        return total

    def gather_pointers(self, address: Address, buffer: Buffer, lanes: Lanes) -> Operand:
        """One address a lane."""
        offsets = address.offsets
        if offsets is None:
            steps = ", ".join(f"i64 {n * address.step}" for n in range(lanes.count))
            offsets = Operand(f"<{steps}>", INDEX, lanes.count, 0)
        text = f"getelementptr {MEMORY[buffer.dtype]}, ptr {address.pointer.text}, {offsets.typed}"
        return self.text.pure(text, "ptr", lanes.count, address.pointer, offsets)

    # -- reads ----------------------------------------------------------------------------------

    def load(self, node: Load, lanes: Lanes | None, writer: ExprWriter) -> Operand:
        """Read an element, or one a lane."""
        buffer = node.source
        assert isinstance(buffer, Buffer)
        address = self.address(node, buffer, lanes, writer)
        uniform = lanes is None or (address.step == 0 and address.offsets is None)
        version = self.versions.get(buffer, 0)
        mask = None if lanes is None or uniform else lanes.mask
        if uniform and lanes is not None and lanes.may_be_idle and not self._is_inside(node, buffer):
            return self._uniform_masked(node, address, buffer, lanes, writer)
        count = 0 if uniform or lanes is None else lanes.count
        memory_key = (
            buffer,
            version,
            self.text.epoch,
            address.pointer.text,
            address.offsets and address.offsets.text,
        )
        key = (*memory_key, address.step if count else 0, count, mask and mask.text)
        found = self._last_stored(buffer, address, count) or self.text.recall(key)
        if found is not None:
            return found
        # A padded row may be read past its end, but not ahead of its begin, as a condition may ask.
        may_overrun = buffer in self.row_strides and (
            (lanes is not None and lanes.active != 0) or self.is_within(address, buffer, count)
        )
        if count and lanes is not None and (address.step != 1 or address.offsets is not None):
            raw = read_strided(self, node, address, lanes) or self._gather(address, buffer, lanes)
        elif mask is not None and not may_overrun:
            # Lanes past a tail are read as zero: what lies there may be denormal, and slow to multiply.
            raw = self.masked_load(address.pointer, buffer, count, mask)
        else:
            raw = self.plain_load(address.pointer, buffer, count)
        return self.text.remember(key, self._extend(raw, buffer))

    def _is_inside(self, node: Load, buffer: Buffer) -> bool:
        """Whether an access surely is to an element of the buffer, wherever the loops around stand."""
        places = (bounds(linear(index, self.ranges), self.ranges) for index in node.indices)
        return all(
            0 <= low <= high < extent for (low, high), extent in zip(places, buffer.shape, strict=True)
        )

    def is_within(self, address: Address, buffer: Buffer, count: int) -> bool:
        """Whether so many elements from a constant place on surely are the buffer's."""
        return address.fixed is not None and 0 <= address.fixed <= self.padded_size(buffer) - max(1, count)

    def padded_size(self, buffer: Buffer) -> int:
        """Elements of a buffer, the padding of its rows included."""
        return self.strides(buffer)[0] * buffer.shape[0] if buffer.shape else 1

    def read_ahead(self, value: Expr, lanes: Lanes, writer: ExprWriter) -> None:
        """Read what a value takes from registers ahead of a branch, which would read it for itself."""
        for node in walk(value):
            if not isinstance(node, Load) or node.source not in self.row_strides:
                continue
            buffer = node.source
            assert isinstance(buffer, Buffer)
            address = self.address(node, buffer, lanes, writer)
            reach = (lanes.active or lanes.count) * address.step
            if address.offsets is None and self.is_within(address, buffer, reach - address.step + 1):
                self.load(node, lanes, writer)

    def _floor(self, buffer: Buffer) -> int:
        """How far out a read may move: nowhere if the buffer changes, else into the loops surely run."""
        return self.text.conditional_depth() if buffer in self.read_only else self.text.depth

    def plain_load(self, pointer: Operand, buffer: Buffer, count: int) -> Operand:
        """Elements side by side, as memory holds them."""
        element = MEMORY[buffer.dtype]
        text = f"load {vector(element, count)}, ptr {pointer.text}, align {self.alignment(buffer)}"
        if buffer in self.read_only:
            floor = self._floor(buffer)
            return self.text.pure(text, buffer.dtype, count, pointer, floor=floor, is_read=True)
        return self.text.value(text, buffer.dtype, count)

    def masked_load(self, pointer: Operand, buffer: Buffer, count: int, mask: Operand) -> Operand:
        """Elements side by side where the mask holds, else zero."""
        element = MOVED[buffer.dtype]
        whole = vector(element, count)
        name = f"llvm.masked.load.{suffix(element, count)}.p0"
        self.declare(f"declare {whole} @{name}(ptr, i32, <{count} x i1>, {whole})")
        arguments = f"ptr {pointer.text}, i32 {self.alignment(buffer)}, {mask.typed}, {whole} zeroinitializer"
        return self._moved(f"call {whole} @{name}({arguments})", buffer, count)

    def _moved(self, call: str, buffer: Buffer, count: int) -> Operand:
        """What a masked access reads, as the type in memory."""
        raw = self.text.value(call, buffer.dtype, count)
        element, stored = MOVED[buffer.dtype], MEMORY[buffer.dtype]
        if element == stored:
            return raw
        line = f"bitcast {vector(element, count)} {raw.text} to {vector(stored, count)}"
        return self.text.pure(line, buffer.dtype, count, raw)

    def _gather(self, address: Address, buffer: Buffer, lanes: Lanes) -> Operand:
        element, count = MOVED[buffer.dtype], lanes.count
        whole = vector(element, count)
        pointers = self.gather_pointers(address, buffer, lanes)
        name = f"llvm.masked.gather.{suffix(element, count)}.v{count}p0"
        self.declare(f"declare {whole} @{name}(<{count} x ptr>, i32, <{count} x i1>, {whole})")
        mask = lanes.mask.text if lanes.mask is not None else "splat (i1 true)"
        arguments = f"<{count} x ptr> {pointers.text}, i32 {self.alignment(buffer)}, <{count} x i1> {mask}"
        return self._moved(f"call {whole} @{name}({arguments}, {whole} zeroinitializer)", buffer, count)

    def _uniform_masked(
        self, node: Load, address: Address, buffer: Buffer, lanes: Lanes, writer: ExprWriter
    ) -> Operand:
        """One element for all lanes that is only read if some lane wants it."""
        spread = Lanes(lanes.var, lanes.base, lanes.count, lanes.mask)
        return self._extend(self._gather(replace(address, step=0, offsets=None), buffer, spread), buffer)

    def _extend(self, raw: Operand, buffer: Buffer) -> Operand:
        """From the type in memory to the type of values."""
        if _is_held_whole(buffer):
            return raw
        if buffer.dtype == "float16" and buffer.dtype in self.emulated:
            return retyped(widen_float16(self.text, raw), buffer.dtype)
        if buffer.dtype == "bfloat16":
            # A conversion LLVM moves behind what follows, of which processors do nothing in 16 bits; and it
            # vectorizes loops of single reads, a few elements apart, to a type that it cannot handle.
            return retyped(widen_bfloat16(self.text, raw), buffer.dtype)
        stored, held = vector(MEMORY[buffer.dtype], raw.lanes), vector(VALUE[buffer.dtype], raw.lanes)
        name = "trunc" if buffer.dtype == "bool" else "fpext"
        return self.text.pure(f"{name} {stored} {raw.text} to {held}", buffer.dtype, raw.lanes, raw)

    # -- writes ---------------------------------------------------------------------------------

    def store(self, node: Store, value: Operand, lanes: Lanes | None, writer: ExprWriter) -> None:
        """Write an element, or one a lane."""
        buffer = node.buffer
        address = self.address(node, buffer, lanes, writer)
        if lanes is not None and (address.step or address.offsets is not None or lanes.mask is not None):
            value = writer.splat(value, lanes.count)
        raw = self._narrow(value, buffer)
        align = BYTES[buffer.dtype]
        side_by_side = address.step == 1 and address.offsets is None
        if lanes is None or not value.lanes or (side_by_side and self._is_whole(address, buffer, lanes)):
            how = f"align {align}"
            if buffer in self.streamed and lanes is not None and self._is_aligned(node, buffer, lanes):
                how = f"align {lanes.count * align}, !nontemporal {NONTEMPORAL}"
            self.text.line(f"  store {raw}, ptr {address.pointer.text}, {how}")
            if address.fixed is not None and buffer in self.row_strides and _is_held_whole(buffer):
                self._note_stored(buffer, address, value.lanes, value)
                return
        elif side_by_side and lanes.active > 0 and not self.has_masks and _is_held_whole(buffer):
            self._store_leading(value, address.pointer, buffer, lanes.active)
        elif side_by_side:
            self._call_store("store", raw, f"ptr {address.pointer.text}", "p0", buffer, lanes)
        elif not write_strided(self, value, address, buffer, lanes):
            pointers = self.gather_pointers(address, buffer, lanes)
            where = f"<{lanes.count} x ptr> {pointers.text}"
            self._call_store("scatter", raw, where, f"v{lanes.count}p0", buffer, lanes)
        self.touch(buffer)

    def _store_leading(self, value: Operand, pointer: Operand, buffer: Buffer, active: int) -> None:
        """Store the first lanes in parts, each a power of two: AMD's cores take 18 steps to mask a store."""
        done = 0
        while done < active:
            size = 1 << ((active - done).bit_length() - 1)
            part = shuffle(self.text, value, value, range(done, done + size))
            place = self.advance(pointer, done, buffer)
            self.text.line(f"  store {part.typed}, ptr {place.text}, align {BYTES[buffer.dtype]}")
            done += size

    def _is_aligned(self, node: Store, buffer: Buffer, lanes: Lanes) -> bool:
        """Whether a vector begins at a multiple of its size, if the buffer begins at a cache line."""
        form, count = self.form(node, buffer), lanes.count
        places = [form.const]
        for atom, scale in form.terms.values():
            operand = lanes.base if atom is lanes.var else self.variables.get(atom)  # type: ignore[call-overload]
            is_known = operand is not None and operand.text[0] != "%"
            places.append(scale * int(operand.text) if is_known else scale)
        return all(place % count == 0 for place in places) and count * BYTES[buffer.dtype] >= LEAST_STREAMED

    def _is_whole(self, address: Address, buffer: Buffer, lanes: Lanes) -> bool:
        """Whether all lanes may be written: there is no mask, or what it hides is a padded row's end."""
        if lanes.mask is None:
            return True
        if buffer not in self.row_strides or address.fixed is None or lanes.active <= 0:
            return False
        row = self.row_strides[buffer][-2] if len(buffer.shape) > 1 else address.fixed + lanes.count
        return address.fixed % row + lanes.active == buffer.shape[-1]

    def _call_store(
        self, kind: str, raw: str, where: str, spelled: str, buffer: Buffer, lanes: Lanes
    ) -> None:
        element, count = MOVED[buffer.dtype], lanes.count
        if element != MEMORY[buffer.dtype]:
            moved = self.text.value(f"bitcast {raw} to {vector(element, count)}", buffer.dtype, count)
            raw = f"{vector(element, count)} {moved.text}"
        name = f"llvm.masked.{kind}.{suffix(element, count)}.{spelled}"
        pointer = where.rsplit(" ", 1)[0]
        self.declare(f"declare void @{name}({vector(element, count)}, {pointer}, i32, <{count} x i1>)")
        mask = lanes.mask.text if lanes.mask is not None else "splat (i1 true)"
        arguments = f"{raw}, {where}, i32 {BYTES[buffer.dtype]}, <{count} x i1> {mask}"
        self.text.line(f"  call void @{name}({arguments})")

    def _narrow(self, value: Operand, buffer: Buffer) -> str:
        """The value as it is stored, with its type."""
        if _is_held_whole(buffer):
            return value.typed
        stored = vector(MEMORY[buffer.dtype], value.lanes)
        if buffer.dtype in self.emulated:
            return f"{stored} {narrow_bits(self.text, value, buffer.dtype).text}"
        name = "zext" if buffer.dtype == "bool" else "fptrunc"
        short = self.text.pure(f"{name} {value.typed} to {stored}", value.dtype, value.lanes, value)
        return f"{stored} {short.text}"

    def declare(self, text: str) -> None:
        """Note what the module must declare or define."""
        self.declarations.add(text)


def retyped(value: Operand, dtype: str) -> Operand:
    """The same value under the name of another type that is held alike."""
    return Operand(value.text, dtype, value.lanes, value.depth)


def _is_held_whole(buffer: Buffer) -> bool:
    """Whether memory holds values as they are computed, not rounded to fewer bits."""
    return MEMORY[buffer.dtype] == VALUE[buffer.dtype]
