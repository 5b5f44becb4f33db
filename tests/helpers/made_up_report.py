"""A made-up report with plausible figures, for tests of the page and of the command line only."""

from __future__ import annotations

import math

import numpy as np

from spikesim.hardware import HardwareConfig
from spikesim.results.comparison import (
    Agreement,
    Baseline,
    Basis,
    BreakEvenPoint,
    Comparison,
    Design,
    EventEnergy,
    GlitchShare,
    LibraryFacts,
    OperationEnergy,
    Power,
    Saving,
    SourcedValue,
    Timing,
    UnitFigures,
)
from spikesim.results.report import (
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
    Raster,
    Rates,
    Report,
    Spikes,
    Whole,
    coarse_histogram,
)
from spikesim.spikes.digits import digits

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
        elapsed=Whole(
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


def compared(report: Report, comparison: Comparison | None = None) -> Report:
    """The report with area and power filled in, as `spikesim compare` would."""
    comparison = comparison or made_up_comparison()
    return report.model_copy(
        update={
            "comparison": comparison,
            "area_um2": {basis.name: basis.area_um2 for basis in comparison.bases},
            "power_mw": {basis.name: basis.power_mw for basis in comparison.bases},
            "energy_per_token_uj": {basis.name: basis.energy_per_token_uj for basis in comparison.bases},
            "reduction": {basis.name: basis.reduction for basis in comparison.bases},
            "timing": {design.name: design.timing for design in comparison.designs},
            "constants": made_up_constants(),
            "command": "spikesim compare examples/tiny_dssa -o out",
        }
    )


def made_up_constants() -> tuple[SourcedValue, ...]:
    """Numbers from outside, two of them assumed."""
    return (
        SourcedValue(
            name="supply of the cells",
            value=1.1,
            unit="V",
            node="45 nm",
            voltage="1.1 V",
            source="Nangate45 typical corner, nom_voltage",
        ),
        SourcedValue(
            name="SRAM bit cell",
            value=0.374,
            unit="µm²",
            node="45 nm",
            source="FreePDK45 6T cell, OpenRAM",
        ),
        SourcedValue(
            name="wordline driver per row",
            value=1.92e-15,
            unit="J",
            node="45 nm",
            voltage="1.1 V",
            source="same driver strength as the column; no published value for this height",
            assumed=True,
        ),
        SourcedValue(
            name="leakage of idle memory",
            value=0.5,
            unit="of active",
            source="drowsy mode of an SRAM of the same node",
            assumed=True,
        ),
        SourcedValue(name="clock", value=500e6, unit="Hz", source="hardware file"),
    )


def _power(total: float, glitch: float = 0.1) -> Power:
    return Power(
        leakage=0.03 * total,
        internal=0.55 * total,
        switching=(0.42 - glitch) * total,
        glitch=glitch * total,
    )


def _design(name: str, label: str, units: dict[str, tuple[float, float]], **others: object) -> Design:
    memories = {"row memory", "state memory", "vector memory", "caches"}
    fields: dict[str, object] = {
        "cells": 41_022,
        "flip_flops": 6_410,
        "cycles_per_token": 79_761.0,
        "timing": Timing(
            period_ns=2.0, worst_slack_ns=0.043, worst_path_ns=1.957, start="array.q3", end="array.sum[17]"
        ),
        "lockstep": Agreement(tokens=16, cycles=1_276_176, values=4_318_208),
        "glitches": GlitchShare(cycles=4_096, factor=1.24, spread=0.03),
        **others,
    }
    return Design(
        name=name,
        label=label,
        units=tuple(
            UnitFigures(
                unit=unit,
                is_memory=unit in memories,
                area_um2=area,
                power=_power(power, 0.0 if unit in memories else 0.1),
            )
            for unit, (area, power) in units.items()
        ),
        **fields,  # type: ignore[arg-type]
    )


def _beside(twin: str, name: str, area: Rates, power: Rates, ratio: float) -> dict[str, object]:
    bare = Rates(
        spiking=0.84 * power.spiking,
        dense=0.62 * power.dense,
        skipping=0.62 * (power.skipping or power.dense),
    )
    # One token takes 69,344 cycles of 2 ns on the dense core; powers at equal throughput are for the same time.
    energy = Rates(
        spiking=0.139 * power.spiking * (ratio if name == "core" else 1),
        dense=0.139 * power.dense,
        skipping=0.139 * (power.skipping or power.dense),
    )
    its_area = float(getattr(area, twin))
    slower = ratio if name in ("unit", "core") else 1
    tokens = Rates(
        spiking=7211 / slower * its_area / area.spiking,
        dense=7211 * its_area / area.dense,
        skipping=7211 * its_area / (area.skipping or area.dense),
    )
    return {
        "twin": twin,
        "area_um2": area,
        "power_mw": power,
        "power_zero_delay_mw": bare,
        "energy_per_token_uj": energy,
        "tokens_per_s_at_equal_area": tokens,
        "cycle_ratio": ratio,
        "reduction": Saving(
            area=1 - area.spiking / its_area,
            power=1 - power.spiking / getattr(power, twin),
            power_zero_delay=1 - bare.spiking / getattr(bare, twin),
            energy=1 - energy.spiking / getattr(energy, twin),
            tokens_per_s=tokens.spiking / getattr(tokens, twin) - 1,
        ),
    }


def _basis(
    name: str, label: str, condition: str, area: Rates, power: Rates, ratio: float, **others: object
) -> Basis:
    """Beside the twin that skips zeros spiking's array is a quarter larger, at equal throughput."""
    slower = 1.25
    grown = area
    if name in ("equal_throughput", "row_memory"):
        grown = area.model_copy(update={"spiking": area.spiking + 8_000})
    return Basis.model_validate(
        {
            "name": name,
            "label": label,
            "condition": condition,
            **_beside("dense", name, area, power, ratio),
            "skipping": _beside("skipping", name, grown, power, ratio * slower),
            **others,
        }
    )


def made_up_comparison() -> Comparison:
    """Everything `spikesim compare` fills, with plausible figures; one baseline misses the clock."""
    return Comparison(
        clock_mhz=500,
        library=LibraryFacts(
            name="NangateOpenCellLibrary", file="stdcells.lib", voltage_v=1.1, temperature_c=25, cells=135
        ),
        tokens="the first 16 tokens of the held-out text, after the cores had been reset",
        bases=(
            _basis(
                "unit",
                "per unit",
                "16 ways × 8 lanes each, per cycle: array alone, without encoder and memories; a spiking way needs 1.18"
                " cycles where a dense one needs 1.",
                Rates(spiking=21_288, dense=78_032, skipping=78_112),
                Rates(spiking=14.6, dense=69.4, skipping=66.1),
                1.0,
                published={"area": 0.706, "power": 0.465},
            ),
            _basis(
                "equal_throughput",
                "array and encoder at equal throughput",
                "Array and encoder, spiking scaled to the dense tokens per second by 1.41 × its cycles; without"
                " memories and without the rest of the core.",
                Rates(spiking=1.41 * 34_512, dense=78_032, skipping=79_340),
                Rates(spiking=1.41 * 23.8, dense=69.4, skipping=60.3),
                1.41,
            ),
            _basis(
                "row_memory",
                "array, encoder and row memory at equal throughput",
                "Array, encoder, its memory and row memory: what grows with a system.",
                Rates(spiking=3_068_660, dense=3_098_032, skipping=3_101_500),
                Rates(spiking=94.6, dense=117.4, skipping=88.9),
                1.41,
            ),
            _basis(
                "core",
                "whole core with memories",
                "Everything one core holds, at the same clock; energy per token counts the cycles each really takes.",
                Rates(spiking=3_814_274, dense=3_857_752, skipping=3_861_020),
                Rates(spiking=121.0, dense=147.3, skipping=141.9),
                1.15,
            ),
        ),
        designs=(
            _design(
                "spiking_core",
                "spiking core",
                {
                    "array": (21_288, 14.6),
                    "encoder": (13_224, 9.2),
                    "pointwise": (18_410, 6.1),
                    "control": (4_222, 1.9),
                    "host": (3_120, 0.4),
                    "select": (2_010, 0.3),
                    "row memory": (3_020_000, 61.0),
                    "state memory": (402_000, 16.2),
                    "vector memory": (330_000, 11.3),
                },
                timing=Timing(
                    period_ns=2.0,
                    worst_slack_ns=0.043,
                    worst_path_ns=1.957,
                    start="array/bank3/queue.head[2]",
                    end="array/sum/lane7.accumulator[31]",
                    memory_access_ns=1.31,
                    memory_slack_ns=0.22,
                ),
            ),
            _design(
                "dense_core",
                "dense core",
                {
                    "array": (78_032, 69.4),
                    "pointwise": (18_410, 6.1),
                    "control": (4_180, 1.9),
                    "host": (3_120, 0.4),
                    "select": (2_010, 0.3),
                    "row memory": (3_020_000, 48.0),
                    "state memory": (402_000, 12.9),
                    "vector memory": (330_000, 8.3),
                },
                cycles_per_token=69_344.0,
                glitches=GlitchShare(cycles=4_096, factor=1.91, spread=0.08),
                timing=Timing(
                    period_ns=2.0,
                    worst_slack_ns=0.002,
                    worst_path_ns=1.998,
                    start="array/way11.activation[4]",
                    end="array/product11.sum[18]",
                    memory_access_ns=1.31,
                    memory_slack_ns=0.22,
                ),
            ),
            _design(
                "fp8_array",
                "FP8 E4M3 array",
                {"array": (131_400, 104.0)},
                timing=Timing(
                    period_ns=2.0,
                    worst_slack_ns=-0.12,
                    worst_path_ns=2.12,
                    start="align/shift[3]",
                    end="sum/fraction[22]",
                ),
                lockstep=Agreement(tokens=0, cycles=65_536, values=65_536),
            ),
        ),
        baselines=(
            Baseline(
                label="dense INT8",
                area_um2=609.6,
                energy_pj=1.084,
                worst_slack_ns=0.002,
                note="Booth multipliers, gated clocks; synthesised and simulated on the same tokens",
            ),
            Baseline(
                label="dense INT8 that skips zeros",
                area_um2=641.2,
                energy_pj=0.702,
                worst_slack_ns=0.004,
                note="the same, holding its operands when an activation is zero",
            ),
            Baseline(
                label="FP8 E4M3",
                area_um2=1026.6,
                energy_pj=1.625,
                worst_slack_ns=-0.12,
                note="products added in FP16 after alignment; random operands",
            ),
            Baseline(
                label="FP16 (published)",
                area_um2=1640.0,
                energy_pj=1.5,
                note="Horowitz, ISSCC 2014: 45 nm, 0.9 V",
            ),
        ),
        operations=(
            OperationEnergy(operation="gather_matrix", spiking_uj=4.1, dense_uj=9.8),
            OperationEnergy(operation="row_reads", spiking_uj=6.2, dense_uj=4.4),
            OperationEnergy(operation="multiply", spiking_uj=2.0, dense_uj=1.9),
            OperationEnergy(operation="state_reads", spiking_uj=1.2, dense_uj=1.0),
            OperationEnergy(operation="scatter", spiking_uj=0.6, dense_uj=0.9),
            OperationEnergy(operation="softmax_weights", spiking_uj=0.21, dense_uj=0.21),
            OperationEnergy(operation="leakage_and_clock", spiking_uj=3.3, dense_uj=3.1),
        ),
        events=(
            EventEnergy(name="per event, 8 lanes", spiking_pj=1.9),
            EventEnergy(name="per multiply-accumulate", dense_pj=1.084),
            EventEnergy(name="per row read, 8 bytes", spiking_pj=3.1, dense_pj=3.1),
            EventEnergy(name="per token, whole core", spiking_pj=19.4e6, dense_pj=20.5e6),
        ),
        break_even=_break_even_points(),
        notes=(
            "There is no clock tree and no layout: wires are the library's wire load model.",
            "Memories are modelled, not synthesised.",
        ),
        seconds={"synthesis": 412.0, "lockstep": 96.4, "glitches": 33.1, "break even": 0.0},
    )


def _break_even_points() -> tuple[BreakEvenPoint, ...]:
    def point(parameter: str, value: str, sparsity: float, area: float, energy: float) -> BreakEvenPoint:
        return BreakEvenPoint(
            parameter=parameter,
            value=value,
            sparsity=sparsity,
            events_per_value=7 * (1 - sparsity),
            cycle_ratio=1.41 * (1 - sparsity) / 0.165,
            area_reduction=area,
            energy_reduction=energy,
        )

    return (
        point("threshold_k", "1", 0.91, 0.62, 0.66),
        point("threshold_k", "2", 0.865, 0.47, 0.55),
        point("threshold_k", "3", 0.835, 0.376, 0.516),
        point("threshold_k", "8", 0.76, 0.1, 0.29),
        point("threshold_k", "24", 0.655, -0.31, -0.08),
        point("window", "3", 0.862, 0.45, 0.53),
        point("window", "4", 0.829, 0.37, 0.5),
        point("window", "7", 0.835, 0.376, 0.516),
        point("coding", "bitwise", 0.835, 0.376, 0.516),
        point("coding", "signed_digit", 0.84, 0.33, 0.49),
        point("coding", "ternary", 0.58, -0.62, -0.4),
        point("ways", "4", 0.835, -0.08, 0.11),
        point("ways", "8", 0.835, 0.21, 0.38),
        point("ways", "16", 0.835, 0.376, 0.516),
        point("ways", "32", 0.835, 0.41, 0.53),
        point("accumulator_bits", "24", 0.835, 0.41, 0.54),
        point("accumulator_bits", "32", 0.835, 0.376, 0.516),
        point("accumulator_bits", "48", 0.835, 0.3, 0.46),
    )
