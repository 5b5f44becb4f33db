"""A made-up report with plausible figures, for tests of the page and of the command line only."""

from __future__ import annotations

import math

import numpy as np

from spikesim.digits import digits
from spikesim.hardware import HardwareConfig
from spikesim.results import (
    Cores,
    Counter,
    Cycles,
    Fidelity,
    FloatInteger,
    InputSpikes,
    InputSummary,
    InstructionCycles,
    LayerCosine,
    LayerCycles,
    LayerPlacement,
    LayerSpikes,
    MacroSparsity,
    MemoryUse,
    ModelSummary,
    Pair,
    Raster,
    Rates,
    Report,
    Spikes,
    coarse_histogram,
)

TINY = ("moba", "sse", "sse", "moba", "sse", "full")
DEFINITIONS = {
    "sparsity7": "1 − mean pop(s) ÷ 7: seven steps of sign-magnitude planes",
    "sparsity3_all": "1 − mean pop(s) ÷ 3, every value",
    "sparsity3_in": "1 − mean pop(s) ÷ 3 over values with |s| ≤ 7 only",
    "sparsity3_drop": "1 − spikes of values with |s| ≤ 7 ÷ (3 × all values)",
    "sparsity3_sat": "1 − mean pop(s) ÷ 3 with |s| clipped to 7",
    "sparsity3_low": "1 − mean pop of the low three bits ÷ 3",
}


def made_up_report(
    kinds: tuple[str, ...] = TINY, *, random_tokens: bool = False, float_model: bool = True
) -> Report:
    """A report of a model with layers of these kinds."""
    generator = np.random.default_rng(7)
    counts = [_counts(generator, 0.75 + 0.5 * n / len(kinds)) for n in range(len(kinds))]
    tokens = 256 if random_tokens else 20480
    layers = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    hardware = HardwareConfig()
    return Report(
        model=ModelSummary(
            name="tiny_dssa" if kinds == TINY else "spb2-5b",
            path="examples/tiny/model.pt",
            source="checkpoint file with config and state_dict",
            parameters=1_234_176,
            layers=layers,
            layer_kinds=kinds,
            hidden_size=192,
            vocab_size=256,
        ),
        input=InputSummary(
            kind="random tokens" if random_tokens else "held-out text",
            name="" if random_tokens else "heldout.txt",
            n_tokens=tokens,
            n_bytes=None if random_tokens else tokens,
            sequence_length=min(tokens, 2048),
            sequences=max(1, tokens // 2048),
            seed=0 if random_tokens else None,
            note="Fidelity and sparsity come from random tokens and say nothing about text."
            if random_tokens
            else "",
        ),
        fidelity=_fidelity(kinds, tokens, random_tokens, float_model),
        spikes=_spikes(kinds, counts),
        cycles=(cycles := _cycles(kinds, generator, tokens)),
        throughput_tokens_per_s=(
            rates := Rates(
                spiking=500e6 * tokens / cycles.elapsed.spiking, dense=500e6 * tokens / cycles.elapsed.dense
            )
        ),
        latency_us_per_token=Rates(spiking=1e6 / rates.spiking, dense=1e6 / rates.dense),
        cores=_cores(kinds, generator),
        raster=Raster(
            layer=len(kinds) - 1,
            kind="sse",
            name="sse.q",
            first_token=64,
            counts=tuple(map(tuple, counts[-1][:40, :48].tolist())),
        ),
        hardware=hardware.model_dump(),
        quantisation={
            "activation": "threshold",
            "threshold_k": 3.0,
            "window": 7,
            "coding": "bitwise",
            "calibration": {"source": "training text", "tokens": 4096},
        },
        warnings=("12 rows of layer 3 hold no weight at all.",),
        limits=("DRAM bandwidth is assumed to be sustained.", "The embedding lookup costs no cycles."),
        versions={
            "spikesim": "0.1.0",
            "python": "3.11.9",
            "numpy": "2.3.5",
            "torch": "2.13.0",
            "numba": "0.62.1",
        },
        command="spikesim map examples/tiny/model.pt --threshold-k 3 -o out",
        created="2025-11-22T10:15:00+00:00",
        seconds={"load": 0.31, "calibrate": 4.2, "quantise": 1.7, "simulate": 93.4},
        peak_memory_bytes=812 * 2**20,
    )


def _counts(generator: np.random.Generator, width: float) -> np.ndarray:
    values = generator.laplace(size=(64, 192)) * width * np.exp(0.5 * generator.normal(size=192))
    return np.clip(np.rint(3 * values / np.abs(values).mean(1, keepdims=True)), -127, 127).astype(np.int64)


def _pop(counts: np.ndarray) -> np.ndarray:
    return np.abs(digits(counts, "bitwise", 7)).sum(0)


def _histogram(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(np.bincount(np.abs(counts).ravel(), minlength=128).tolist())


def _fidelity(kinds: tuple[str, ...], tokens: int, random_tokens: bool, float_model: bool) -> Fidelity:
    if not float_model:
        return Fidelity(scored_tokens=tokens, bits_per_byte=FloatInteger(integer_model=2.041))
    cosines = [1 - 0.0012 * (n + 1) ** 0.7 for n in range(len(kinds))]
    return Fidelity(
        scored_tokens=tokens,
        bits_per_byte=None if random_tokens else FloatInteger(float_model=2.0173, integer_model=2.0411),
        perplexity=FloatInteger(float_model=4.0482, integer_model=4.1156),
        increase_percent=1.18,
        top1_agreement=0.9462,
        layer_cosine=tuple(
            LayerCosine(layer=n, kind=kind, cosine=cosine, minimum=1 - 4 * (1 - cosine))
            for n, (kind, cosine) in enumerate(zip(kinds, cosines, strict=True))
        ),
        state_overflows=0,
    )


def _spikes(kinds: tuple[str, ...], counts: list[np.ndarray]) -> Spikes:
    everything = np.concatenate(counts)
    magnitude = np.abs(everything)
    pops, inside = _pop(everything), magnitude <= 7
    average = float(pops.mean())
    return Spikes(
        definition="|s| of every input of every spiked projection, all tokens; inputs shared by projections once each",
        coding="bitwise",
        steps=7,
        elements=everything.size,
        silent=float((everything == 0).mean()),
        average=average,
        firing_rate=average / 7,
        within_7=float(inside.mean()),
        above_16=float((magnitude > 16).mean()),
        headline="sparsity7",
        sparsity={
            "sparsity7": 1 - average / 7,
            "sparsity3_all": 1 - average / 3,
            "sparsity3_in": 1 - float(pops[inside].mean()) / 3,
            "sparsity3_drop": 1 - float(pops[inside].sum()) / 3 / everything.size,
            "sparsity3_sat": 1 - float(_pop(np.minimum(magnitude, 7)).mean()) / 3,
            "sparsity3_low": 1 - float(_pop(magnitude & 7).mean()) / 3,
        },
        definitions=DEFINITIONS,
        clipped=21,
        clipped_share=21 / everything.size,
        histogram=_histogram(everything),
        events_per_value={
            "bitwise": average,
            "signed_digit": 0.94 * average,
            "twos_complement": 3.1,
            "ternary": 2.9,
        },
        by_layer=tuple(
            LayerSpikes(
                layer=n,
                kind=kind,
                elements=layer.size,
                silent=float((layer == 0).mean()),
                average=float(_pop(layer).mean()),
                firing_rate=float(_pop(layer).mean()) / 7,
                clipped=n,
                histogram=coarse_histogram(_histogram(layer)),
            )
            for n, (kind, layer) in enumerate(zip(kinds, counts, strict=True))
        ),
        by_input=tuple(
            InputSpikes(
                name=name,
                elements=layer.size,
                silent=float((layer == 0).mean()),
                average=float(_pop(layer).mean()),
            )
            for name, layer in zip(
                ("attn.q_proj", "attn.o_proj", "mlp.gate_proj", "mlp.down_proj", "sse.q", "softmax weights"),
                counts,
                strict=False,
            )
        ),
        macro=MacroSparsity(sse_partitions_untouched=0.4, moba_keys_skipped=0.372),
    )


def _cycles(kinds: tuple[str, ...], generator: np.random.Generator, tokens: int) -> Cycles:
    by_layer = []
    for n, kind in enumerate((*kinds, "head")):
        dense = int({"moba": 9_400, "sse": 15_200, "full": 14_100, "head": 3_300}[kind] * tokens)
        spiking = int(dense * generator.uniform(1.08, 1.3))
        dram = 0 if kind != "full" else int(13_300 * tokens)
        by_layer.append(
            LayerCycles(
                layer=n,
                kind=kind,
                spiking=spiking,
                dense=dense,
                dram=dram,
                bound="dram" if dram > spiking else "compute",
                bound_dense="dram" if dram > dense else "compute",
            )
        )
    spiking, dense = sum(entry.spiking for entry in by_layer), sum(entry.dense for entry in by_layer)
    shares = {
        "gather matrix": (0.62, 0.55),
        "gather keys": (0.04, 0.05),
        "gather values": (0.05, 0.06),
        "gather state": (0.08, 0.08),
        "scatter": (0.03, 0.05),
        "multiply": (0.1, 0.12),
        "reduce": (0.03, 0.03),
        "softmax_weights": (0.02, 0.02),
        "rotate": (0.02, 0.02),
        "decay": (0.01, 0.02),
    }
    return Cycles(
        spiking=spiking,
        dense=dense,
        elapsed=Pair(
            spiking=sum(max(e.spiking, e.dram) for e in by_layer),
            dense=sum(max(e.dense, e.dram) for e in by_layer),
        ),
        per_token=Rates(spiking=spiking / tokens, dense=dense / tokens),
        by_layer=tuple(by_layer),
        by_instruction={
            name: InstructionCycles(
                spiking=int(spiking * one), dense=int(dense * other), executed=tokens * 12
            )
            for name, (one, other) in shares.items()
        },
        counters={
            "events": Counter(spiking=151_200_331 * 20, meaning="spikes that a bank took in"),
            "row_reads": Counter(
                spiking=151_200_331 * 20, dense=133_120_000 * 20, meaning="rows read from row memory"
            ),
            "state_writes": Counter(
                spiking=9_830_400, dense=9_830_400, meaning="rows written to state memory"
            ),
            "pointwise_words": Counter(
                spiking=48_300_222, dense=48_300_222, meaning="words the pointwise unit wrote"
            ),
        },
    )


def _cores(kinds: tuple[str, ...], generator: np.random.Generator) -> Cores:
    return Cores(
        used=1,
        available=1,
        occupancy=Rates(spiking=0.634, dense=0.711),
        memories=(
            MemoryUse(name="row memory", used=1_301_504, available=2 * 2**20, unit="bytes"),
            MemoryUse(name="state memory", used=184_320, available=256 * 1024, unit="bytes"),
            MemoryUse(name="vector memory", used=21_448, available=65536, unit="words"),
        ),
        resident_layers=len(kinds),
        streamed_layers=1,
        bound="compute",
        by_layer=tuple(
            LayerPlacement(
                layer=n,
                kind=kind,
                cores=1,
                weight_bytes=182_000 + 3000 * n,
                resident=kind != "head",
                occupancy=Rates(
                    spiking=0.55 + 0.15 * math.sin(n) ** 2, dense=float(generator.uniform(0.66, 0.78))
                ),
            )
            for n, kind in enumerate((*kinds, "head"))
        ),
    )
