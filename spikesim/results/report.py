"""What a run measured, as a typed document: `report.json` is this, `report.html` shows it.

`Report` is the contract between whoever measures (`spikesim.flow`) and whoever shows or compares
(`spikesim.report`, the command line, other tools). Every field states its unit. Numbers must be finite; what
was not measured is `None`.

Three cores are compared all through: the *spiking* core, its *dense* INT8 twin, and the same twin *skipping* zeros;
same ways and lanes, the same program and the same clock. That is a comparison of cycles per unit; area, power and equal
throughput are measured on request and then are in `Report.comparison` (`spikesim.results.comparison`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from spikesim.results.activity import Activity
from spikesim.results.base import SKIPPING, Rates, Result, Whole
from spikesim.results.comparison import Comparison, Saving, SourcedValue, Timing
from spikesim.results.energy import EnergyEstimate
from spikesim.results.lava import LavaRun

COMPARISON_BASIS = "same ways and lanes, same program, same clock"
"""What "spiking against dense" means in every table and figure of a report."""

COARSE_EDGES = (0, 1, 2, 3, 4, 8, 16, 32, 64, 128)
"""Bin n of a coarse histogram counts |s| from edge n up to, not including, edge n + 1."""

COARSE_LABELS = ("0", "1", "2", "3", "4–7", "8–15", "16–31", "32–63", "64–127")
"""What to write below the bins of a coarse histogram."""

InputKind = Literal["held-out text", "text", "tokens", "random tokens", "samples", "random samples"]
Item = Literal["token", "frame", "step"]
"""What a step of the core is of: a token of a language model, a sample of a network without state, a step of a sample
of one with state."""

Bound = Literal["compute", "dram"]


def coarse_histogram(histogram: Sequence[int]) -> tuple[int, ...]:
    """Sum a histogram of |s| (128 bins, one per value) into the nine bins of `COARSE_EDGES`."""
    return tuple(sum(histogram[low:high]) for low, high in itertools.pairwise(COARSE_EDGES))


class ModelSummary(Result):
    """The model that was mapped."""

    name: str = Field(description="short name, such as the file or folder name")
    path: str = Field(description="the checkpoint as the user named it")
    source: str = Field(description="kind of checkpoint and where its weights come from, one sentence")
    parameters: int = Field(ge=0, description="number of parameters, tied ones counted once")
    layers: dict[str, int] = Field(description="number of layers by kind: moba, sse, full")
    layer_kinds: tuple[str, ...] = Field(description="kind of each layer, first to last")
    item: Item = Field(
        default="token",
        description="what runs step by step, and all figures per token are of: token, frame (a sample of a network "
        "without state) or step (of a sample of one with state)",
    )
    hidden_size: int | None = Field(
        default=None,
        gt=0,
        description="width of the residual stream, elements; None if not a language model",
    )
    vocab_size: int | None = Field(
        default=None, gt=0, description="number of token ids; None if not a language model"
    )
    input_shape: tuple[int, ...] | None = Field(
        default=None, description="of the numbers that come in at every step; None for a language model"
    )
    classes: int | None = Field(
        default=None, gt=0, description="scores that leave at every step; None for a language model"
    )


class InputSummary(Result):
    """What was run. A token is an item of the model: see `ModelSummary.item`."""

    kind: InputKind = Field(description="where the tokens come from")
    name: str = Field(default="", description="file the tokens come from, if any")
    n_tokens: int = Field(ge=0, description="tokens run through the model, all sequences together")
    n_bytes: int | None = Field(
        default=None, description="bytes of text the tokens stand for; None if not text, or not known"
    )
    sequence_length: int = Field(
        ge=0, description="longest sequence, tokens; state and caches start empty in each"
    )
    sequences: int = Field(ge=0, description="number of sequences")
    context: int | None = Field(
        default=None,
        ge=1,
        description="longest sequence that caches are laid out for, tokens; None if not recorded",
    )
    cached_tokens: int = Field(
        default=0,
        ge=0,
        description="tokens that cycles suppose before every sequence, with the run's own keys and values",
    )
    left_out: int = Field(
        default=0, ge=0, description="tokens at the end of the input that fill no sequence and did not run"
    )
    special_tokens: str = Field(
        default="", description="special tokens that the tokenizer added, in words; empty without a tokenizer"
    )
    unknown_tokens: int = Field(
        default=0, ge=0, description="tokens that stand for text which the tokenizer has no token for"
    )
    samples: int | None = Field(
        default=None, ge=0, description="samples that were run; None for a language model"
    )
    labelled: bool = Field(default=False, description="whether the classes of the samples are known")
    saturated_numbers: int | None = Field(
        default=None,
        ge=0,
        description="numbers of the samples beyond the range of the input words; None for a language model, or if not "
        "known",
    )
    seed: int | None = Field(
        default=None, description="seed of random tokens or samples; None if nothing was drawn"
    )
    note: str = Field(
        default="", description="what a reader must know about the input before believing a figure"
    )


class FloatInteger(Result):
    """One quality figure of the float model and of the integer model on the same tokens."""

    float_model: float | None = Field(
        default=None, description="float32 reference; None without a checkpoint"
    )
    integer_model: float | None = Field(default=None, description="integer model, as the cores compute it")


NOISE_ERRORS = 4.0
"""Standard errors by which the integer model must be better than the float model to be suspected: by chance that
happens once in 30,000 runs."""


class LayerCosine(Result):
    """Agreement of one layer's output between the float and the integer model."""

    layer: int = Field(ge=0, description="layer index, from 0")
    kind: str = Field(description="kind of the layer")
    cosine: float = Field(
        description="mean over tokens of the cosine between float and integer output (−1 … 1)"
    )
    minimum: float | None = Field(default=None, description="smallest cosine of any token")


class Fidelity(Result):
    """How much of the float model survives quantisation and integer arithmetic.

    Without a scored token, as with sequences of one token, nothing is measured: every figure is absent.
    """

    scored_tokens: int = Field(
        default=0, ge=0, description="tokens that were predicted and scored: all but the first of a sequence"
    )
    bits_per_byte: FloatInteger | None = Field(
        default=None,
        description="cross entropy of the scored tokens, bits per byte of text; None when tokens are not bytes of "
        "known text",
    )
    perplexity: FloatInteger | None = Field(
        default=None, description="exp of the mean cross entropy per scored token"
    )
    increase_percent: float | None = Field(
        default=None,
        description="rise of the cross entropy of the scored tokens from float to integer, percent",
    )
    increase_error_percent: float | None = Field(
        default=None,
        ge=0,
        description="standard error of that rise, from the difference at each scored token, percent; None for fewer "
        "than two",
    )
    compared_tokens: int = Field(
        default=0,
        ge=0,
        description="tokens whose most likely successor was compared: all, the last of a sequence included",
    )
    top1_agreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the compared tokens whose most likely successor is the same in both (0 … 1)",
    )
    accuracy: FloatInteger | None = Field(
        default=None,
        description="share of the labelled samples whose class has the largest score (0 … 1); of equal scores the "
        "first counts; None without labels, and for a language model",
    )
    labelled_samples: int = Field(default=0, ge=0, description="samples whose class is known")
    compared_samples: int = Field(
        default=0, ge=0, description="samples whose class was compared between float and integer model"
    )
    class_agreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the compared samples whose largest score is that of the same class in both (0 … 1)",
    )
    layer_cosine: tuple[LayerCosine, ...] = Field(
        default=(), description="per layer, over all tokens; empty without a float model"
    )
    state_overflows: int = Field(default=0, ge=0, description="16-bit words of the SSE state that wrapped")

    @property
    def better_than_float(self) -> bool:
        """Whether the integer model has the smaller cross entropy, by more than noise: no gain, but a warning."""
        rise, error = self.increase_percent, self.increase_error_percent
        return rise is not None and error is not None and rise < -NOISE_ERRORS * error


class PublishedFigure(Result):
    """A figure of the literature, shown beside ours and never mixed with them."""

    label: str = Field(description="what it is called, with its source")
    value: float = Field(description="the published number, as a share (0 … 1)")
    steps: int = Field(description="time steps it is most likely counted over")
    note: str = Field(default="", description="what is not known about it")


PUBLISHED_SPARSITY = (
    PublishedFigure(
        label="SpikingBrain2.0 INT8-Spiking",
        value=0.6431,
        steps=7,
        note="number of time steps not stated; 7 assumed",
    ),
    PublishedFigure(
        label="SpikingBrain1.0-7B W8ASpike, 3 steps",
        value=0.6915,
        steps=3,
        note="treatment of counts above 7 not stated",
    ),
)
"""The two published sparsity figures; how exactly they were counted is not public."""


class LayerSpikes(Result):
    """Spike statistics of the inputs of one layer's projections."""

    layer: int = Field(ge=0, description="layer index, from 0")
    kind: str = Field(description="kind of the layer")
    elements: int = Field(ge=0, description="activation values encoded")
    silent: float = Field(ge=0, le=1, description="share of values with count 0 (0 … 1)")
    average: float = Field(ge=0, description="mean number of ones of |s|, spikes per value")
    firing_rate: float = Field(
        ge=0, le=1, description="spikes of the coding in use ÷ (values × steps) (0 … 1)"
    )
    clipped: int = Field(default=0, ge=0, description="values beyond the window, cut to its limit")
    histogram: tuple[int, ...] = Field(default=(), description="values per bin of COARSE_EDGES (nine bins)")


class InputSpikes(Result):
    """Spike statistics of one kind of projection input, all layers together."""

    name: str = Field(description="the projection or operand that receives the spikes")
    elements: int = Field(ge=0, description="activation values encoded")
    silent: float = Field(ge=0, le=1, description="share of values with count 0 (0 … 1)")
    average: float = Field(ge=0, description="mean number of ones of |s|, spikes per value")
    clipped: int = Field(default=0, ge=0, description="values beyond the window, cut to its limit")


class MacroSparsity(Result):
    """Work that whole blocks of memory are spared, on top of the spikes."""

    sse_partitions_untouched: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of SSE states (shared one included) a token neither reads nor writes",
    )
    moba_keys_skipped: float | None = Field(
        default=None, ge=0, le=1, description="share of causal keys that MoBA's block choice leaves out"
    )


class Spikes(Result):
    """Spike statistics of all encoded activations."""

    definition: str = Field(
        description="the population: which values are counted, and how shared inputs count"
    )
    coding: str = Field(description="spike coding in use")
    steps: int = Field(gt=0, description="time steps (planes) of the coding in use")
    elements: int = Field(ge=0, description="activation values encoded")
    silent: float = Field(ge=0, le=1, description="share of values with count 0 (0 … 1)")
    average: float = Field(ge=0, description="mean number of ones of |s|, spikes per value")
    firing_rate: float = Field(
        ge=0, le=1, description="spikes of the coding in use ÷ (values × steps) (0 … 1)"
    )
    within_7: float = Field(ge=0, le=1, description="share of values with |s| ≤ 7 (0 … 1)")
    above_16: float = Field(ge=0, le=1, description="share of values with |s| > 16 (0 … 1)")
    headline: str = Field(description="name of the definition of `sparsity` that summaries quote")
    sparsity: dict[str, float] = Field(description="sparsity under every definition, by name, as a share")
    definitions: dict[str, str] = Field(description="what each name in `sparsity` means")
    published: tuple[PublishedFigure, ...] = Field(
        default=PUBLISHED_SPARSITY, description="figures of the literature to set beside"
    )
    clipped: int = Field(ge=0, description="values beyond the window, cut to its limit")
    clipped_share: float = Field(ge=0, le=1, description="the same as a share of all values (0 … 1)")
    histogram: tuple[int, ...] = Field(
        min_length=128, max_length=128, description="values with |s| = 0, 1, …, 127"
    )
    events_per_value: dict[str, float] = Field(
        default={}, description="mean events per value that each coding would need for the same counts"
    )
    by_layer: tuple[LayerSpikes, ...] = Field(description="per layer")
    by_input: tuple[InputSpikes, ...] = Field(
        default=(), description="per kind of input, all layers together"
    )
    macro: MacroSparsity = Field(
        default=MacroSparsity(), description="whole partitions and blocks that are skipped"
    )


COUNT_MAGNITUDE = 127
"""Largest magnitude of an INT8 word."""

WARNED_COUNTS = 0.1
"""Share of the INT8 words of a place above which their saturation is a warning. Static scales reach to the largest
value of the calibration text and no further: of a text of n tokens 1 in n may be cut, by a unit or two."""

WARNED_WORDS = 1e-4
"""The same for all wider words, which have room for twice the largest value at least: hardly any is ever cut."""

Cut = Literal["limit", "wrap", "window"]
"""limit: saturated at the limit of a word. wrap: a state word that went around. window: a count whose scale is its own
token's, cut to the planes that were asked for."""


class SaturatedPlace(Result):
    """The words of one vector, state or cache of one program that are not what they would be with more bits."""

    program: str = Field(description="program, such as layer_00")
    layer: int | None = Field(default=None, ge=0, description="layer index, from 0; None for no layer")
    place: str = Field(description="vector, state or cache that was written")
    instruction: str = Field(description="kind of instruction that wrote it")
    cut: Cut = Field(description="what happened to the words")
    limit: int = Field(ge=0, description="largest magnitude of a word there")
    saturated: int = Field(ge=0, description="words whose exact value was beyond a limit")
    words: int = Field(ge=1, description="words written there, all tokens together")
    share: float = Field(ge=0, le=1, description="saturated ÷ words of this place (0 … 1)")

    @property
    def warned(self) -> bool:
        """Whether so many words saturated that the figures of the run are in doubt; a window was asked for."""
        bound = WARNED_COUNTS if self.limit <= COUNT_MAGNITUDE else WARNED_WORDS
        return self.cut != "window" and self.share > bound


class Saturation(Result):
    """Every word that was cut to a limit, place by place."""

    definition: str = Field(
        default="words whose exact value was beyond the limit of their place; a word that was cut twice on its way "
        "counts once, and a word that just reached its limit is none",
        description="what is counted",
    )
    words: int = Field(ge=0, description="words written under a limit, windows of counts left out")
    saturated: int = Field(ge=0, description="how many of them saturated or wrapped")
    share: float = Field(ge=0, le=1, description="saturated ÷ words (0 … 1)")
    warned_above_counts: float = Field(
        default=WARNED_COUNTS,
        description="share of the INT8 words of one place above which a run is warned of",
    )
    warned_above: float = Field(default=WARNED_WORDS, description="the same for wider words")
    places: tuple[SaturatedPlace, ...] = Field(
        default=(), description="places where words saturated or wrapped, the largest share first"
    )
    windows: tuple[SaturatedPlace, ...] = Field(
        default=(),
        description="places where counts were cut to the window that was asked for, the largest share first",
    )

    @property
    def warned(self) -> tuple[SaturatedPlace, ...]:
        """The places that a reader must know of before believing a figure."""
        return tuple(place for place in self.places if place.warned)


class LayerCycles(Result):
    """Cycles of one layer, all tokens together. Compute and DRAM overlap; the longer one decides."""

    layer: int = Field(ge=0, description="layer index, from 0; the output head comes after the last layer")
    kind: str = Field(description="kind of the layer, or head")
    spiking: int = Field(ge=0, description="compute cycles of the spiking core")
    dense: int = Field(ge=0, description="compute cycles of the dense twin")
    skipping: int | None = Field(default=None, ge=0, description=SKIPPING)
    dram: int = Field(
        default=0, ge=0, description="cycles the DRAM needs to stream this layer, the same for both"
    )
    bound: Bound = Field(description="what decides the spiking core's time")
    bound_dense: Bound = Field(default="compute", description="what decides the dense twin's time")


class InstructionCycles(Result):
    """Cycles of one kind of instruction, all layers and tokens together."""

    spiking: int = Field(ge=0, description="compute cycles of the spiking core")
    dense: int = Field(ge=0, description="compute cycles of the dense twin")
    skipping: int | None = Field(default=None, ge=0, description=SKIPPING)
    executed: int = Field(default=0, ge=0, description="instructions executed")


class Counter(Result):
    """A counter of the cores, all layers and tokens together."""

    spiking: int = Field(ge=0, description="of the spiking core")
    dense: int | None = Field(default=None, description="of the dense twin; None where it has no such thing")
    skipping: int | None = Field(default=None, description=SKIPPING)
    meaning: str = Field(default="", description="what is counted")


class Cycles(Result):
    """Where the time goes. Totals, layers and instruction kinds sum up to the same compute cycles."""

    basis: str = Field(default=COMPARISON_BASIS, description="on what basis the cores are compared")
    spiking: int = Field(ge=0, description="compute cycles of the spiking core, all tokens")
    dense: int = Field(ge=0, description="compute cycles of the dense twin, all tokens")
    skipping: int | None = Field(default=None, ge=0, description=SKIPPING)
    elapsed: Whole = Field(
        description="cycles from first to last, waiting for DRAM included; throughput uses these"
    )
    per_token: Rates = Field(description="compute cycles per token")
    by_layer: tuple[LayerCycles, ...] = Field(description="per layer")
    by_instruction: dict[str, InstructionCycles] = Field(description="per kind of instruction")
    counters: dict[str, Counter] = Field(default={}, description="events, row reads and the like, by name")


class LayerPlacement(Result):
    """Where one layer lives and how well it fills the array."""

    layer: int = Field(ge=0, description="layer index, from 0; the output head comes after the last layer")
    kind: str = Field(description="kind of the layer, or head")
    cores: int = Field(ge=1, description="cores that share the layer's outputs")
    weight_bytes: int = Field(ge=0, description="bytes of its INT8 weights")
    resident: bool = Field(
        description="weights stay in row memory; otherwise they stream from DRAM for every token"
    )
    occupancy: Rates = Field(
        description="busy way slots ÷ all way slots over the layer's compute cycles (0 … 1)"
    )


class MemoryUse(Result):
    """One kind of memory, the fullest core."""

    name: str = Field(description="row memory, state memory, vector memory, …")
    used: int = Field(ge=0, description="in `unit`, on the fullest core")
    available: int = Field(ge=0, description="in `unit`, per core")
    unit: Literal["bytes", "words"] = Field(description="unit of both figures; a word has 32 bits")


class Cores(Result):
    """How the model fills the hardware."""

    used: int = Field(ge=0, description="cores that hold part of the model")
    available: int = Field(ge=1, description="cores of the hardware")
    occupancy: Rates = Field(description="mean array utilisation, weighted by compute cycles (0 … 1)")
    definition: str = Field(
        default="busy way slots ÷ (ways × compute cycles), array and pointwise cycles together",
        description="what occupancy means",
    )
    memories: tuple[MemoryUse, ...] = Field(description="use of each memory")
    resident_layers: int = Field(ge=0, description="layers whose weights stay in row memory")
    streamed_layers: int = Field(ge=0, description="layers whose weights stream from DRAM")
    bound: Bound = Field(description="what decides the time of the whole run on the spiking core")
    by_layer: tuple[LayerPlacement, ...] = Field(default=(), description="per layer")


class Raster(Result):
    """A sample of counts for the spike raster: a few tokens, a few channels of one projection's input."""

    layer: int = Field(ge=0, description="layer index, from 0")
    kind: str = Field(description="kind of the layer")
    name: str = Field(description="the projection input that is shown")
    first_token: int = Field(default=0, ge=0, description="position of the first token shown")
    first_channel: int = Field(default=0, ge=0, description="index of the first channel shown")
    counts: tuple[tuple[int, ...], ...] = Field(description="signed counts [tokens][channels]")


class Report(Result):
    """Everything one run of `spikesim map` or `spikesim simulate` measured."""

    schema_version: Literal[1, 2] = Field(
        default=2,
        description="version of this document's form; 1 is 2 without the twin that skips zeros, and is still read",
    )
    model: ModelSummary = Field(description="what was mapped")
    input: InputSummary = Field(description="what was run through it")
    fidelity: Fidelity = Field(description="float against integer")
    saturation: Saturation | None = Field(
        default=None, description="words that did not fit; None in reports that did not count them"
    )
    spikes: Spikes = Field(description="activations as spikes")
    cycles: Cycles = Field(description="spiking against dense, in cycles")
    throughput_tokens_per_s: Rates = Field(
        description="tokens per second at the clock, one token after the other"
    )
    latency_us_per_token: Rates = Field(description="mean time per token, microseconds")
    cores: Cores = Field(description="placement and occupancy")
    raster: Raster | None = Field(default=None, description="sample for the spike raster")
    activity: Activity | None = Field(
        default=None, description="what the spikes of a network do; None for a language model"
    )
    area_um2: dict[str, Rates] | None = Field(default=None, description="per basis of the comparison, µm²")
    power_mw: dict[str, Rates] | None = Field(default=None, description="per basis, glitches included, mW")
    energy_per_token_uj: dict[str, Rates] | None = Field(default=None, description="per basis, µJ")
    reduction: dict[str, Saving] | None = Field(
        default=None, description="per basis: what spiking saves of the dense twin's"
    )
    timing: dict[str, Timing] | None = Field(default=None, description="per synthesised design")
    constants: tuple[SourcedValue, ...] = Field(
        default=(), description="every number from outside that the comparison uses"
    )
    comparison: Comparison | None = Field(
        default=None, description="area and power in full; None if they were not asked for"
    )
    energy: EnergyEstimate | None = Field(
        default=None,
        description="energy of the whole model by component, estimated from rates that were measured on gates",
    )
    lava: LavaRun | None = Field(
        default=None,
        description="the programs on Lava and on a Loihi-style chip; None if they did not run there",
    )
    hardware: dict[str, Any] = Field(description="the hardware configuration, every parameter")
    quantisation: dict[str, Any] = Field(description="activation, threshold_k, window, coding, calibration …")
    warnings: tuple[str, ...] = Field(default=(), description="what the run noticed and a reader should know")
    limits: tuple[str, ...] = Field(default=(), description="what is assumed or left out, one sentence each")
    versions: dict[str, str] = Field(description="spikesim, python and the libraries that matter")
    command: str = Field(description="the command line that made this report")
    created: str = Field(description="date and time, ISO 8601 with time zone")
    seconds: dict[str, float] = Field(
        description="wall-clock seconds of each stage: load, calibrate, quantise, …"
    )
    peak_memory_bytes: int | None = Field(
        default=None, description="largest resident memory of the process, bytes"
    )
