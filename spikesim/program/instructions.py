"""The instructions of a spike core and their operands: `docs/program.md` states each one's equation.

A view names words of the vector memory; `docs/timing.md` states the cycles of an instruction and `docs/numerics.md` its
widths and rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

WORD_LIMIT = 2**31 - 1
"""Largest magnitude of a vector word; words saturate symmetrically."""

ACTIVATION_LIMIT = 2**15 - 1
"""Largest magnitude of an activation, an operand of the multiplier or of a table."""

COUNT_LIMIT = 127
"""Largest magnitude of a count: seven magnitude planes, which also fit the dense twin's INT8 operand."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)]
"""Of a program, or of what it names: it becomes the name of a file, and stands in sentences."""


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys, because programs are also read back from files."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class View(Frozen):
    """`groups` runs of `length` words of the vector `name`; run g starts at `offset + g · stride`.

    A stride of 0 lets every group read the same run. A `length` of 1 is read as the same word for every element.
    In vectors indexed by key (scores, softmax weights) `length` is the longest run; the number of valid keys follows
    from the token's position.
    """

    name: Name
    offset: int = 0
    groups: int = 1
    length: int = 1
    stride: int = 0

    def part(self, offset: int, length: int, groups: int = 1) -> View:
        """`length` words in all from `offset` on, split into `groups` adjacent runs."""
        run = length // groups
        return View(name=self.name, offset=self.offset + offset, groups=groups, length=run, stride=run)

    def split(self, groups: int) -> View:
        """The same words as `groups` adjacent runs."""
        return self.part(0, self.groups * self.length, groups)

    @property
    def words(self) -> int:
        """Words addressed in all, groups times length."""
        return self.groups * self.length


class Reduction(Frozen):
    """A statistic of an instruction's output, one per group, taken while the words are written.

    `sum`, `sum_abs`, `sum_squares`, `max_abs`: exact sums, normalised to a packed scalar. `max`: the plain
    largest word.
    """

    kind: Literal["sum", "sum_abs", "sum_squares", "max_abs", "max"]
    dst: View


class Constant(Frozen):
    """The scalar mantissa · 2^exponent, mantissa normalised to [2^15, 2^16)."""

    mantissa: int = Field(ge=2**15, lt=2**16)
    exponent: int = Field(ge=-2000, le=2000)

    def __float__(self) -> float:
        return float(self.mantissa) * 2.0**self.exponent


class CacheKeys(Frozen):
    """The cached tokens an attention instruction works on.

    `window`: the last `span` tokens. `full`: all tokens so far. `blocks`: the token's own block of `span`
    tokens and the past blocks that `selected` names, -1 for none.
    """

    cache: Name
    kind: Literal["window", "full", "blocks"]
    span: int = 0
    selected: View | None = None


SectionKind = Literal["parallel", "attention", "recurrent"]


class Operation(Frozen):
    """What every instruction has: views that it reads and writes, the store it touches, where in a program it may be.

    `RESULTS`: the fields that it writes; statistics are written too, and every other view is read. `PARTS`: hardware
    instructions that it becomes. `STORE`: the field that names the cache or state which it writes, and `SECTION`: where
    it then must be: a cache is complete before attention reads it, a state goes from step to step.
    """

    RESULTS: ClassVar[tuple[str, ...]] = ("dst",)
    PARTS: ClassVar[int] = 1
    STORE: ClassVar[str | None] = None
    SECTION: ClassVar[SectionKind | None] = None

    op: str

    def views(self) -> Iterator[tuple[str, View, bool]]:
        """(field, view, whether it is written) of every view, in the order of the fields.

        >>> [field for field, _, _ in Add(dst=View(name="c"), a=View(name="a"), b=View(name="b")).views()]
        ['dst', 'a', 'b']
        """
        for name, value in self:
            if isinstance(value, View):
                yield name, value, name in self.RESULTS
            elif isinstance(value, Reduction):
                yield f"{name}.dst", value.dst, True
            elif isinstance(value, CacheKeys) and value.selected is not None:
                yield f"{name}.selected", value.selected, False

    def reads(self) -> tuple[View, ...]:
        """The views that it reads, constants included."""
        return tuple(view for _, view, written in self.views() if not written)

    def writes(self) -> tuple[View, ...]:
        """The views that it writes, its result before its statistic."""
        return tuple(view for _, view, written in self.views() if written)

    @property
    def label(self) -> str:
        """Its op, and of a gather what it reads: "gather matrix", "gather keys" …"""
        return self.op

    @property
    def cached(self) -> CacheKeys | None:
        """The cached tokens that it works on, its field `keys`; None if it works on none."""
        keys: CacheKeys | None = getattr(self, "keys", None)
        return keys

    @property
    def store(self) -> str | None:
        """The cache or state that it reads or writes, by name; None if it touches none."""
        if self.STORE is not None:
            return str(getattr(self, self.STORE))
        return None if self.cached is None else self.cached.cache

    @property
    def changes_store(self) -> bool:
        """Whether it writes the cache or state that it touches."""
        return self.STORE is not None

    @property
    def section(self) -> SectionKind | None:
        """The only kind of section that it may be in; None if any will do."""
        return "attention" if self.cached is not None else self.SECTION

    @property
    def keyed(self) -> bool:
        """Whether its result has one word per cached key or block, which exist only while attention runs."""
        return False


class Multiply(Operation):
    """dst = saturate(round(round(a · b / 2^shift_b) · scalar / 2^shift)); `b` or `scalar` may be absent.

    Without `scalar` the second step is only round(· / 2^shift). With `clip` saturated words are counted as clipped.
    With `bound` the limit is part of the function (ReLU6, integer neurons): what it cuts is right, and not counted.
    """

    op: Literal["multiply"] = "multiply"
    dst: View
    a: View
    b: View | None = None
    scalar: View | None = None
    shift_b: int = 0
    shift: int = 0
    limit: int = ACTIVATION_LIMIT
    clip: bool = False
    bound: bool = False
    reduce: Reduction | None = None
    keys: CacheKeys | None = None

    @property
    def keyed(self) -> bool:
        """With keys it is."""
        return self.keys is not None


class Add(Operation):
    """dst = saturate(a ± b)."""

    op: Literal["add"] = "add"
    dst: View
    a: View
    b: View
    subtract: bool = False
    limit: int = WORD_LIMIT
    reduce: Reduction | None = None


class Reduce(Operation):
    """reduction.dst = statistic of `a` alone.

    For `sum_squares` of words wider than 16 bits, `norm` is their `max_abs`: each word is first shifted right,
    rounding, so that the largest fits 15 bits, and the result's exponent makes up for it. `initial` is added
    to the sum, rounded to its unit.
    """

    RESULTS = ()

    op: Literal["reduce"] = "reduce"
    a: View
    reduction: Reduction
    norm: View | None = None
    initial: Constant | None = None


class Invert(Operation):
    """dst = constant / src, or constant / √src with `root`; 0 where src is 0. Packed scalars."""

    op: Literal["invert"] = "invert"
    dst: View
    src: View
    constant: Constant
    root: bool = False


class ScalarMultiply(Operation):
    """dst = a · b · constant, packed scalars."""

    op: Literal["scalar_multiply"] = "scalar_multiply"
    dst: View
    a: View
    b: View
    constant: Constant


class Exponential(Operation):
    """dst = 2^(−src / 2^fraction) as a packed scalar, src ≥ 0 a plain word."""

    op: Literal["exponential"] = "exponential"
    dst: View
    src: View
    fraction: int


class Lookup(Operation):
    """dst = function(a), a piecewise linear table; `fraction` is the binary point of `a`.

    `sigmoid` gives 16 fractional bits, `softplus` 20, `step` (1 where a > 0) none.
    """

    op: Literal["lookup"] = "lookup"
    dst: View
    a: View
    function: Literal["sigmoid", "softplus", "step"]
    fraction: int


class SoftmaxWeights(Operation):
    """dst = round(limit · 2^((a − maximum) / 2^fraction)): softmax weights as counts, their sum to `reduce`."""

    op: Literal["softmax_weights"] = "softmax_weights"
    dst: View
    a: View
    maximum: View
    fraction: int
    limit: int = COUNT_LIMIT
    reduce: Reduction
    keys: CacheKeys

    @property
    def keyed(self) -> bool:
        """Always."""
        return True


class Phase(Operation):
    """cos, sin = table of the angle (position · increment mod 2^32) / 2^32 turns, with 15 fractional bits."""

    RESULTS = ("cos", "sin")

    op: Literal["phase"] = "phase"
    cos: View
    sin: View
    increment: View


class Rotate(Operation):
    """RoPE of each group: (x1, x2) -> (x1 c − x2 s, x1 s + x2 c), halves paired, rounded once, saturated."""

    op: Literal["rotate"] = "rotate"
    dst: View
    a: View
    cos: View
    sin: View
    reduce: Reduction | None = None


class SelectTop(Operation):
    """dst = indices of the `count` largest words of `a` per group, ascending; equal words: the lower index wins.

    With `keys` (MoBA) `a` has one word per finished past block, and missing choices are −1.
    """

    op: Literal["select_top"] = "select_top"
    dst: View
    a: View
    count: int
    keys: CacheKeys | None = None


class Gather(Operation):
    """dst[lane] = Σ over channels of count · row[lane], per group: the event-driven product.

    `operand` names what the rows are: a weight matrix, cached keys (lane = token), cached values (row = token), block
    means (lane = block), or an SSE state (16 bits, read as two bytes). Group g of a cache operand is query head
    `first_head` + g and reads key/value head (`first_head` + g) // `sharing`. `partition` holds the copy of
    the state.
    """

    op: Literal["gather"] = "gather"
    dst: View
    counts: View
    operand: Literal["matrix", "keys", "values", "means", "state"]
    name: Name
    keys: CacheKeys | None = None
    partition: View | None = None
    first_head: int = 0
    sharing: int = 1

    @property
    def label(self) -> str:
        """With what it reads."""
        return f"gather {self.operand}"

    @property
    def store(self) -> str | None:
        """Of a matrix none."""
        return None if self.operand == "matrix" else self.name

    @property
    def section(self) -> SectionKind | None:
        """A matrix may be gathered anywhere."""
        if self.operand == "matrix":
            return None
        return "recurrent" if self.operand == "state" else "attention"

    @property
    def keyed(self) -> bool:
        """Keys and means have one lane each."""
        return self.operand in ("keys", "means")


class Scatter(Operation):
    """state[row][lane] += round(count[row] · update[lane] / 2^shift), per group; 16-bit words wrap, which is counted.

    Every row is written once, so that its rounding does not depend on the coding of the counts.
    """

    RESULTS = ()
    STORE = "state"
    SECTION = "recurrent"

    op: Literal["scatter"] = "scatter"
    counts: View
    update: View
    shift: int
    state: Name
    partition: View | None = None


class Decay(Operation):
    """G ← G · factor per group; if G falls below ½ the rows are shifted right, rounding, and G is doubled to match.

    The group's new factor goes to `dst` as a packed scalar.
    """

    PARTS = 2  # the factors, and the shifting of rows
    STORE = "state"
    SECTION = "recurrent"

    op: Literal["decay"] = "decay"
    dst: View
    factor: View
    state: Name
    partition: View | None = None


class Store(Operation):
    """Append the counts `src` [kv heads, head size] to a cache as this token's keys or values."""

    RESULTS = ()
    STORE = "cache"
    SECTION = "parallel"

    op: Literal["store"] = "store"
    src: View
    cache: Name
    kind: Literal["keys", "values"]


class Pool(Operation):
    """Add the keys `src` to the running sum of their block; at its last token store the mean.

    The mean is saturate(round(sum · scale / 2^shift)).
    """

    RESULTS = ()
    PARTS = 3  # the running sum, its mean, and storing that
    STORE = "cache"
    SECTION = "parallel"

    op: Literal["pool"] = "pool"
    src: View
    cache: Name
    block: int
    scale: int
    shift: int


Instruction = Annotated[
    Multiply
    | Add
    | Reduce
    | Invert
    | ScalarMultiply
    | Exponential
    | Lookup
    | SoftmaxWeights
    | Phase
    | Rotate
    | SelectTop
    | Gather
    | Scatter
    | Decay
    | Store
    | Pool,
    Field(discriminator="op"),
]


def is_matrix(instruction: Operation) -> TypeGuard[Gather]:
    """Whether it is a gather of a weight matrix."""
    return isinstance(instruction, Gather) and instruction.operand == "matrix"
