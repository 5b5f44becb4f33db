"""A made-up run on Lava with plausible figures, for tests of the page and of its sentences only."""

from __future__ import annotations

from spikesim.results.comparison import SourcedValue
from spikesim.results.lava import (
    Compared,
    CoreUse,
    Demand,
    EnergyEstimate,
    InstructionWidth,
    LavaDifference,
    LavaRun,
    LayerUse,
    Placement,
    ProgramRun,
    Steps,
    Traffic,
)

OPERATIONS = {
    "graded": 848_590.0,
    "signed_digit": 1_214_334.0,
    "bitwise": 1_350_021.0,
    "dense": 988_160.0,
}
WHY = "layer_01 needs 68 cores and 30 are left; its K/V cache of 4,096 tokens alone takes 64"


def made_up_traffic(operations: dict[str, float], ran: str = "graded") -> tuple[Traffic, ...]:
    """A row per coding."""
    return tuple(
        Traffic(
            coding=coding,
            planes=1 if coding in ("graded", "dense") else 8,
            spikes_per_token=value / 100,
            synaptic_operations_per_token=value,
            ran=coding == ran,
        )
        for coding, value in operations.items()
    )


def made_up_placement() -> Placement:
    """Two programs on one chip, the second one without room."""
    return Placement(
        target="Loihi X",
        coding="graded",
        chips=1,
        chips_used=1,
        cores_used=3,
        cores_available=128,
        cores_per_chip=128,
        processors=6,
        neurons_per_core=8192,
        memory_per_core=192 * 1024,
        limits=(
            SourcedValue(name="neurons per core", value=8192, unit="neurons", source="a brief"),
            SourcedValue(name="chips", value=1, unit="chips", source="one is enough here", assumed=True),
        ),
        demands=(
            Demand(program="layer_00", name="mlp.in", part="matrix", on="neurocore", neurons=768, cores=0.5),
            Demand(program="layer_00", name="tables", part="processor", on="processor", words=1040),
            Demand(
                program="layer_01", name="attn.cache", part="cache", on="neurocore", neurons=524_288, cores=64
            ),
        ),
        layers=(
            LayerUse(
                program="layer_00",
                kind="sse",
                cores=3,
                neurons=21_248,
                synapses=98_304,
                synaptic_bytes=98_304,
                processor_words=1040,
                fits=True,
            ),
            LayerUse(
                program="layer_01",
                kind="full",
                cores=68,
                neurons=524_288,
                synapses=0,
                synaptic_bytes=0,
                processor_words=0,
                placed=False,
                fits=False,
                why=WHY,
            ),
        ),
        cores=(
            CoreUse(program="layer_00", part="matrix", neurons=0.1, memory=0.9),
            CoreUse(program="layer_00", part="state", neurons=1, memory=0.2),
            CoreUse(program="layer_00", part="pointwise", neurons=0.3, memory=0.1),
        ),
        context=4096,
        longest_context=1800,
        step_ns=200,
        step_note="the shortest time step of Loihi X",
        energy_note="Blank: nobody has published it.",
        notes=("Axons are not checked.",),
    )


def made_up_lava() -> LavaRun:
    """An exact run of two programs, graded."""
    return LavaRun(
        coding="graded",
        tokens=64,
        context=4096,
        exact=True,
        programs=tuple(
            ProgramRun(
                name=f"layer_0{n}",
                kind=kind,
                stages=5,
                processes=9,
                matrices=4,
                compared=Compared(words=41_230, spikes=23_456, states=20_480, counts=256),
                spikes_per_token=1520.4,
                synaptic_operations_per_token=424_295,
            )
            for n, kind in enumerate(("sse", "full"))
        ),
        traffic=made_up_traffic(OPERATIONS),
        widths=(
            InstructionWidth(
                op="multiply",
                words=1_000_000,
                beyond_24_bits=206,
                widest_word_bits=27,
                widest_product_bits=44,
                vectors=("sse.decay_log2",),
            ),
            InstructionWidth(
                op="lookup", words=830_000, beyond_24_bits=0, widest_word_bits=17, widest_product_bits=0
            ),
        ),
        steps=Steps(
            stages=10, planes=1, run=74, latency=247, interval=12, interval_of="layer_00: sse.partitions"
        ),
        placement=made_up_placement(),
        networks=1,
        processes=18,
        seconds={"golden": 1.2, "lava_run": 2.3},
        memory_bytes=440 * 2**20,
    )


def failed(run: LavaRun, differences: int = 3) -> LavaRun:
    """The run with words that differ."""
    first = run.programs[0]
    wrong = first.model_copy(
        update={"compared": first.compared.model_copy(update={"different": differences})}
    )
    return run.model_copy(
        update={
            "exact": False,
            "programs": (wrong, *run.programs[1:]),
            "differences": tuple(
                LavaDifference(
                    what="word",
                    program="layer_00",
                    stage=3,
                    name="sse.out.sums",
                    token=n,
                    word=5,
                    got=112,
                    expected=114,
                )
                for n in range(differences)
            ),
        }
    )


def with_energy(run: LavaRun) -> LavaRun:
    """The run on a target whose constants are public."""
    energy = EnergyEstimate(
        synaptic_uj=28.7, neurons_uj=4.6, spikes_uj=0.0068, note="Estimate of the neurocores alone."
    )
    return run.model_copy(update={"placement": run.placement.model_copy(update={"energy": energy})})
