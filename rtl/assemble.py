"""From the instructions of programs to hardware instructions: fields of `spikesim.rtl.isa` with addresses filled in.

Most instructions become one hardware instruction. A decay becomes two (the factors, the shifting of rows), a pool
three (the running sum; at the end of a block its mean, and storing that).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from spikesim import program as isa
from spikesim.chaining import tails
from spikesim.errors import CapacityError
from spikesim.program import CacheKeys, Chain, Program, View
from spikesim.program.kept import kept_counts
from spikesim.program.layout import CoreLayout, OperandLayout, ProgramLayout, StateLayout, block_bits
from spikesim.program.tables import EXP2_INDEX_BITS
from spikesim.program.verifier import verify_chain
from spikesim.rtl.isa import INSTRUCTION, Extent, PointwiseOperation, RunLength, Statistic, Unit, check_fields
from spikesim.rtl.pointwise.lookup_table import LOW_BITS
from spikesim.rtl.pointwise.multiplier import B_BITS
from spikesim.timing import pointwise_latency, pointwise_shape, step

WORD = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class HardwareInstruction:
    """One word of program memory, and the instruction of a program it belongs to.

    `program`: number of the program, −1 for what belongs to none; `instruction`: number within it. `behind`: cycles
    for which it may still write when it has ended.
    """

    common: dict[str, Any]
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    program: int = -1
    instruction: int = -1
    behind: int = 0

    def check(self, owner: str) -> None:
        """Raises CapacityError, naming `owner`, if a number does not fit its field."""
        check_fields(self.common, self.fields, owner)

    def word(self) -> int:
        """The 512 bits. Raises CapacityError if a number does not fit its field."""
        self.check(f"program {self.program}, instruction {self.instruction}")
        const: Any = INSTRUCTION.const({"common": self.common, "fields": self.fields})
        return int(const.as_value().value) & (1 << 512) - 1

    @property
    def unit(self) -> Unit:
        """The unit that executes it."""
        return Unit(self.common["unit"])


END = HardwareInstruction(common={"unit": Unit.END})


@dataclass(frozen=True, kw_only=True)
class Executable:
    """Program memory: `instructions`, the entry of a token, and that of clearing all that persists."""

    instructions: tuple[HardwareInstruction, ...]
    token_entry: int
    clear_entry: int


def assemble(chain: Chain, layout: CoreLayout, *, ways: int, words: int) -> Executable:
    """All programs in order, for one step, then END; behind that, clearing states, factors and block sums.

    `ways`, and the `words` that the pointwise unit takes per cycle: of the core that will run them.

    Raises ProgramError for programs that are unsound or do not fit one behind the other, and CapacityError for whatever
    a field of an instruction word does not hold: program, instruction, field, value and limit are named.
    """
    verify_chain(chain)
    found: list[HardwareInstruction] = []
    for number, (program, own) in enumerate(zip(chain.programs, layout.programs, strict=True)):
        for index, part in _executed(program, own, layout, ways, words):
            found.append(replace(part, program=number, instruction=index))
    found.append(END)
    entry = len(found)
    for program, own in zip(chain.programs, layout.programs, strict=True):
        found += _cleared(program, own, layout, words)
    found.append(END)
    return Executable(instructions=tuple(found), token_entry=0, clear_entry=entry)


def check_fits(program: Program, own: ProgramLayout, layout: CoreLayout, *, ways: int, words: int) -> None:
    """Raises CapacityError, as `assemble` does, for a program of a chain; its numbers are not looked at."""
    for _ in _executed(program, own, layout, ways, words):
        pass
    _cleared(program, own, layout, words)


def _executed(
    program: Program, own: ProgramLayout, layout: CoreLayout, ways: int, words: int
) -> Iterator[tuple[int, HardwareInstruction]]:
    """(number of the instruction, hardware instruction) for a token, every field checked."""
    assembler, kept = _Assembler(program, own, layout, ways), kept_counts(program)
    follows = tails(program, words=words)
    for index, instruction in enumerate(program.instructions()):
        for part in assembler.assemble(instruction):
            if index in kept:
                part.fields["array"]["keep"] = 1
            timed = _with_tail(part, follows[index], pointwise_latency(words))
            timed.check(f"{program.text.name}, instruction {index} ({instruction.op})")
            yield index, timed


def _with_tail(part: HardwareInstruction, tail: int, latency: int) -> HardwareInstruction:
    """The same with its `tail`, if it is a pointwise instruction, whose last result is written after `latency`."""
    if part.unit != Unit.POINTWISE:
        return part
    fields = part.fields["pointwise"] | {"tail": tail}
    return replace(part, fields={"pointwise": fields}, behind=latency - tail)


def _cleared(
    program: Program, own: ProgramLayout, layout: CoreLayout, words: int
) -> list[HardwareInstruction]:
    """Hardware instructions that clear what persists, every field checked."""
    latency = pointwise_latency(words)
    parts = [_with_tail(part, latency, latency) for part in _clear(program, own, layout)]
    for part in parts:
        part.check(f"{program.text.name}, clearing")
    return parts


def _clear(program: Program, own: ProgramLayout, layout: CoreLayout) -> Iterator[HardwareInstruction]:
    """Factors to just below one, rows shifted out, block sums and persistent vectors to zero."""
    for name, spec in program.text.states.items():
        state = own.states[name]
        yield _fill(state.factors, spec.copies * spec.heads, layout.full_factor, WORD)
        yield _fill(layout.scratch, spec.heads, layout.clear_shift, WORD)
        for copy in range(spec.copies):
            yield _sweep(state, spec.heads, layout.scratch, {}, copy * state.copy_stride)
    for name, cache in program.text.caches.items():
        if cache.block:
            # any word, saturated to zero
            yield _fill(own.caches[name].sums, cache.heads * cache.size, layout.clear_shift, 0)
    for name in program.text.persistent:
        yield _fill(own.vectors[name], program.text.vectors[name], layout.clear_shift, 0)


def _fill(dst: int, words: int, source: int, limit: int) -> HardwareInstruction:
    """`words` copies of the word at `source`, saturated."""
    fields = {"operation": PointwiseOperation.MULTIPLY, "a": source, "dst": dst, "limit": limit}
    return HardwareInstruction(
        common={"unit": Unit.POINTWISE, "groups": 1, "length": words}, fields={"pointwise": fields}
    )


def _sweep(
    state: StateLayout, heads: int, shifts: int, partition: dict[str, Any], offset: int = 0
) -> HardwareInstruction:
    return HardwareInstruction(
        common={"unit": Unit.SWEEP, "groups": heads, **partition},
        fields={
            "sweep": {
                "shifts": shifts,
                "base": state.operand.base + offset,
                "head_stride": state.operand.head_stride,
                "rows": state.rows,
            }
        },
    )


LOOKUPS = {
    "sigmoid": PointwiseOperation.SIGMOID,
    "softplus": PointwiseOperation.SOFTPLUS,
    "step": PointwiseOperation.STEP,
}


class _Assembler:
    """The hardware instructions of one program's instructions."""

    def __init__(self, program: Program, own: ProgramLayout, layout: CoreLayout, ways: int) -> None:
        self.program, self.own, self.layout, self.ways = program, own, layout, ways

    def assemble(self, instruction: isa.Instruction) -> Iterator[HardwareInstruction]:
        """`PARTS` hardware instructions."""
        match instruction:
            case isa.Multiply():
                return self._multiply(instruction)
            case isa.Add():
                return self._add(instruction)
            case isa.Reduce():
                return self._reduce(instruction)
            case isa.Invert():
                return self._invert(instruction)
            case isa.ScalarMultiply():
                return self._scalar_multiply(instruction)
            case isa.Exponential():
                return self._exponential(instruction)
            case isa.Lookup():
                return self._lookup(instruction)
            case isa.SoftmaxWeights():
                return self._softmax_weights(instruction)
            case isa.Phase():
                return self._phase(instruction)
            case isa.Rotate():
                return self._rotate(instruction)
            case isa.SelectTop():
                return self._select_top(instruction)
            case isa.Gather():
                return self._gather(instruction)
            case isa.Scatter():
                return self._scatter(instruction)
            case isa.Decay():
                return self._decay(instruction)
            case isa.Store():
                return self._store(instruction)
            case isa.Pool():
                return self._pool(instruction)
            case _:
                assert_never(instruction)

    def _at(self, view: View) -> int:
        return self.own.vectors[view.name] + view.offset

    # Pointwise

    def _pointwise(self, i: Any, common: dict[str, Any] | None = None, **fields: Any) -> HardwareInstruction:
        groups, length = pointwise_shape(i)
        return HardwareInstruction(
            common={"unit": Unit.POINTWISE, "groups": groups, "length": length, **(common or {})},
            fields={"pointwise": fields},
        )

    def _operand(self, i: Any, name: str, view: View | None, *, steps: bool = True) -> dict[str, Any]:
        """Address, group stride and step of one operand or destination."""
        if view is None:
            return {}
        groups, _ = pointwise_shape(i)
        merged = groups == 1 and view.groups > 1 and view.stride > 0
        fields = {name: self._at(view), f"{name}_stride": 0 if merged else view.stride}
        if steps:
            fields[f"{name}_step"] = int(view.length > 1 or (merged and step(view, 1) == 1))
        if groups == 1:
            fields[f"{name}_stride"] = 0
        return fields

    def _reduction(self, reduction: isa.Reduction | None) -> dict[str, Any]:
        if reduction is None:
            return {}
        return {
            "statistic": Statistic[reduction.kind.upper()],
            "result": self._at(reduction.dst),
            "result_stride": reduction.dst.stride,
        }

    def _scalar(self, view: View | None) -> dict[str, Any]:
        if view is None:
            return {}
        return {"has_scalar": 1, "scalar": self._at(view), "scalar_stride": view.stride}

    def _multiply(self, i: isa.Multiply) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            self._keys(i.keys) if i.keys else None,
            operation=PointwiseOperation.MULTIPLY,
            has_b=int(i.b is not None),
            clip=int(i.clip),
            shift_b=i.shift_b,
            shift=i.shift,
            limit=i.limit,
            **self._operand(i, "a", i.a),
            **self._operand(i, "b", i.b),
            **self._operand(i, "dst", i.dst, steps=False),
            **self._scalar(i.scalar),
            **self._reduction(i.reduce),
        )

    def _add(self, i: isa.Add) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.ADD,
            has_b=1,
            subtract=int(i.subtract),
            limit=i.limit,
            **self._operand(i, "a", i.a),
            **self._operand(i, "b", i.b),
            **self._operand(i, "dst", i.dst, steps=False),
            **self._reduction(i.reduce),
        )

    def _reduce(self, i: isa.Reduce) -> Iterator[HardwareInstruction]:
        initial: dict[str, Any] = {}
        if i.initial is not None:
            initial = {"mantissa": i.initial.mantissa, "exponent": i.initial.exponent}
        yield self._pointwise(
            i,
            operation=PointwiseOperation.REDUCE,
            **self._operand(i, "a", i.a),
            **self._scalar(i.norm),
            **self._reduction(i.reduction),
            **initial,
        )

    def _invert(self, i: isa.Invert) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.ROOT if i.root else PointwiseOperation.INVERT,
            mantissa=i.constant.mantissa,
            exponent=i.constant.exponent,
            **self._operand(i, "a", i.src),
            **self._operand(i, "dst", i.dst, steps=False),
        )

    def _scalar_multiply(self, i: isa.ScalarMultiply) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.SCALAR_MULTIPLY,
            has_b=1,
            mantissa=i.constant.mantissa,
            exponent=i.constant.exponent,
            **self._operand(i, "a", i.a),
            **self._operand(i, "b", i.b),
            **self._operand(i, "dst", i.dst, steps=False),
        )

    def _exponential(self, i: isa.Exponential) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.EXPONENTIAL,
            fraction=self._fraction(i),
            **self._operand(i, "a", i.src),
            **self._operand(i, "dst", i.dst, steps=False),
        )

    def _lookup(self, i: isa.Lookup) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=LOOKUPS[i.function],
            fraction=i.fraction,
            limit=WORD,
            **self._operand(i, "a", i.a),
            **self._operand(i, "dst", i.dst, steps=False),
        )

    @staticmethod
    def _fraction(i: Any) -> int:
        low, high = EXP2_INDEX_BITS, EXP2_INDEX_BITS + LOW_BITS
        if not low <= i.fraction <= high:
            raise CapacityError(
                f"{i.op} must have a fraction of {low} to {high} bits for the core's table, not {i.fraction}"
            )
        return int(i.fraction)

    def _softmax_weights(self, i: isa.SoftmaxWeights) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            self._keys(i.keys),
            operation=PointwiseOperation.SOFTMAX,
            fraction=self._fraction(i),
            limit=i.limit,
            **self._operand(i, "a", i.a),
            **self._operand(i, "dst", i.dst, steps=False),
            **self._scalar(i.maximum),
            **self._reduction(i.reduce),
        )

    def _phase(self, i: isa.Phase) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.PHASE,
            a=self._at(i.increment),
            a_step=1,
            dst=self._at(i.cos),
            result=self._at(i.sin),
        )

    def _rotate(self, i: isa.Rotate) -> Iterator[HardwareInstruction]:
        yield self._pointwise(
            i,
            operation=PointwiseOperation.ROTATE,
            has_b=1,
            limit=isa.ACTIVATION_LIMIT,
            scalar=self._at(i.sin),
            **self._operand(i, "a", i.a),
            b=self._at(i.cos),
            b_step=1,
            **self._operand(i, "dst", i.dst, steps=False),
            **self._reduction(i.reduce),
        )

    def _decay(self, i: isa.Decay) -> Iterator[HardwareInstruction]:
        state, scratch = self.own.states[i.state], self.layout.scratch
        heads = self.program.text.states[i.state].heads
        groups, _ = pointwise_shape(i)
        apart = int(groups > 1)
        yield self._pointwise(
            i,
            self._partition(i.partition, heads),
            operation=PointwiseOperation.DECAY,
            has_b=1,
            a=state.factors,
            a_stride=apart,
            a_step=1,
            **self._operand(i, "b", i.factor),
            **self._operand(i, "dst", i.dst, steps=False),
            result=state.factors,
            result_stride=apart,
            scalar=scratch,
            scalar_stride=apart,
        )
        yield _sweep(state, i.dst.groups, scratch, self._partition(i.partition, state.copy_stride))

    def _pool(self, i: isa.Pool) -> Iterator[HardwareInstruction]:
        cache, spec = self.own.caches[i.cache], self.program.text.caches[i.cache]
        if cache.means is None:
            raise ValueError(f"cache {i.cache} must have blocks to pool keys into means")
        words = spec.heads * spec.size
        if not -(1 << B_BITS - 1) <= i.scale < 1 << B_BITS - 1:
            raise CapacityError(
                f"scale of {self.program.text.name}, pool of {i.cache}, must be in {-(1 << B_BITS - 1)} … "
                f"{(1 << B_BITS - 1) - 1}, what the multiplier takes, not {i.scale}"
            )
        span = {"span": i.block}
        groups, length = pointwise_shape(i)
        apart = length if groups > 1 else 0
        yield self._pointwise(
            i,
            span,
            operation=PointwiseOperation.ADD,
            has_b=1,
            block_start=1,
            limit=WORD,
            **self._operand(i, "a", i.src),
            b=cache.sums,
            b_stride=apart,
            b_step=1,
            dst=cache.sums,
            dst_stride=apart,
        )
        at_end = {"unit": Unit.POINTWISE, "groups": 1, "length": words, "block_end": 1, **span}
        # The mean takes the place of its sum, which the next token starts anew.
        mean = {
            "operation": PointwiseOperation.MULTIPLY,
            "has_b": 1,
            "a": cache.sums,
            "a_step": 1,
            "b": cache.scale,
            "dst": cache.sums,
            "shift_b": i.shift,
            "limit": isa.COUNT_LIMIT,
        }
        yield HardwareInstruction(common=at_end, fields={"pointwise": mean})
        store = self._stored(cache.means, cache.sums, spec.size, spec.size, columns=True, finished=1)
        yield HardwareInstruction(
            common={"unit": Unit.STORE, "groups": spec.heads, "block_end": 1, **span}, fields={"store": store}
        )

    # Selection

    def _select_top(self, i: isa.SelectTop) -> Iterator[HardwareInstruction]:
        if i.keys is None:
            extent: dict[str, Any] = {"extent": Extent.FIXED, "length": i.a.length}
        else:
            extent = {"extent": Extent.FINISHED, "span": i.keys.span}
        yield HardwareInstruction(
            common={"unit": Unit.SELECT, "groups": i.dst.groups, "chosen": i.count, **extent},
            fields={
                "select": {
                    "a": self._at(i.a),
                    "a_stride": i.a.stride,
                    "dst": self._at(i.dst),
                    "dst_stride": i.dst.stride,
                }
            },
        )

    # The array

    def _keys(self, keys: CacheKeys) -> dict[str, Any]:
        """Which extent the keys have."""
        if keys.kind == "window":
            return {"extent": Extent.WINDOW, "span": keys.span}
        if keys.kind == "full":
            return {"extent": Extent.FULL, "span": self.program.text.caches[keys.cache].tokens}
        if keys.selected is None:
            return {"extent": Extent.FINISHED, "span": keys.span}
        chosen = keys.selected.length
        return {
            "extent": Extent.BLOCKS,
            "span": keys.span,
            "chosen": chosen,
            "chosen_length": chosen * keys.span,
        }

    def _partition(self, partition: View | None, stride: int) -> dict[str, int]:
        if partition is None:
            return {}
        return {"partition": 1, "partition_address": self._at(partition), "partition_stride": stride}

    def _gather(self, i: isa.Gather) -> Iterator[HardwareInstruction]:
        common: dict[str, Any] = {"unit": Unit.GATHER, "groups": i.dst.groups}
        fields: dict[str, Any] = {
            "counts": self._at(i.counts),
            "counts_stride": i.counts.stride,
            "channels": i.counts.length,
            "dst": self._at(i.dst),
            "dst_stride": i.dst.stride,
            "outputs": i.dst.length,
            "sharing": i.sharing,
            "head_phase": i.first_head % i.sharing,
        }
        if i.operand == "matrix":
            # All groups read the same rows: the distance between heads of a matrix is 0.
            operand = self.own.matrices[i.name]
        elif i.operand == "state":
            state = self.own.states[i.name]
            operand = state.operand
            common |= self._partition(i.partition, state.copy_stride)
            fields["state"] = 1
        else:
            cache = self.own.caches[i.name]
            found = {"keys": cache.keys, "values": cache.values, "means": cache.means}[i.operand]
            if found is None or i.keys is None:
                raise ValueError(
                    f"a gather of {i.operand} must say which keys it reads, of a cache with {i.operand}"
                )
            operand = found
            common |= self._keys(i.keys)
            fields["run"] = RunLength.CHANNELS if i.operand == "values" else RunLength.OUTPUTS
            if i.keys.selected is not None:
                fields |= {
                    "blocks": 1,
                    "block_bits": block_bits(i.keys.span, self.ways),
                    "selected": self._at(i.keys.selected),
                    "selected_stride": i.keys.selected.stride,
                }
        fields |= self._rows(operand, first_head=i.first_head // i.sharing)
        yield HardwareInstruction(common=common, fields={"array": fields})

    def _rows(self, operand: OperandLayout, first_head: int = 0) -> dict[str, int]:
        return {
            "base": operand.base + first_head * operand.head_stride,
            "head_stride": operand.head_stride,
            "chunk_stride": operand.chunk_stride,
            "block_stride": operand.block_stride,
        }

    def _scatter(self, i: isa.Scatter) -> Iterator[HardwareInstruction]:
        state = self.own.states[i.state]
        fields = {
            "state": 1,
            "counts": self._at(i.counts),
            "counts_stride": i.counts.stride,
            "channels": i.counts.length,
            "dst": self._at(i.update),
            "dst_stride": i.update.stride,
            "outputs": i.update.length,
            "sharing": 1,
            "shift": i.shift,
            **self._rows(state.operand),
        }
        common = {
            "unit": Unit.SCATTER,
            "groups": i.counts.groups,
            **self._partition(i.partition, state.copy_stride),
        }
        yield HardwareInstruction(common=common, fields={"array": fields})

    def _store(self, i: isa.Store) -> Iterator[HardwareInstruction]:
        cache, spec = self.own.caches[i.cache], self.program.text.caches[i.cache]
        operand = cache.keys if i.kind == "keys" else cache.values
        fields = self._stored(operand, self._at(i.src), i.src.stride, spec.size, columns=i.kind == "keys")
        if not spec.block:
            fields["block_stride"] = 0
        yield HardwareInstruction(
            common={"unit": Unit.STORE, "groups": spec.heads, "span": spec.block or spec.tokens},
            fields={"store": fields},
        )

    def _stored(
        self,
        operand: OperandLayout,
        src: int,
        src_stride: int,
        size: int,
        *,
        columns: bool,
        finished: int = 0,
    ) -> dict[str, int]:
        return {
            "columns": int(columns),
            "finished": finished,
            "src": src,
            "src_stride": src_stride,
            "size": size,
            **self._rows(operand),
        }
