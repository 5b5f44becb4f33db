"""Emitted cores in Icarus Verilog, from X in all registers and memories: results, and no X on any output.

What a memory holds that neither the host nor the program has written is X to the end, as it is anything in a macro.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.elaborated import assigned, combinational_blocks, elaborated
from helpers.icarus import END, Script, from_x, needs_iverilog, play, results
from helpers.micro_model import micro_model
from helpers.one_layer import one_layer
from helpers.places import CHECKOUT
from helpers.rtl_cores import CORES, built_core

from spikesim.cores import CoreName
from spikesim.hardware import HardwareConfig
from spikesim.mapping.link import link
from spikesim.rtl.config import CoreConfig, core_config, datapath
from spikesim.rtl.core import SpikeCore
from spikesim.rtl.verilog import WAIVERS, verilog
from spikesim.tools import verilator
from spikesim.verify.expected import expect
from spikesim.verify.job import Job, model_job, self_test_job
from spikesim.verify.lockstep import Lockstep, one_core

FORMS: dict[str, tuple[str, CoreName]] = {
    "plane": ("plane", "spiking"),
    "row": ("row", "spiking"),
    "window": ("window", "spiking"),
    "dense": ("plane", "dense"),
    "skipping": ("plane", "skipping"),
}
"""Order and core: each has encoders of its own."""


def hardware(form: str) -> HardwareConfig:
    """A core that is emitted in two seconds; its update unit serves two banks in turn."""
    return HardwareConfig().replace(
        **{
            "array.ways": 2,
            "array.lanes": 2,
            "array.order": FORMS[form][0],
            "array.state_banks": 1,
            "pointwise.words": 1,
            "memory.row_kib": 16,
            "memory.state_kib": 16,
            "limits.max_context": 64,
            "limits.max_channels": 64,
        }
    )


@functools.cache
def emitted(form: str) -> str:
    """The Verilog of the form's core."""
    return verilog(SpikeCore(core_config(hardware(form), **datapath(FORMS[form][1]))), "spike_core")


def expected(job: Job) -> np.ndarray:
    """int32[steps, words] that the simulator says."""
    return expect(job.chain, link(job.chain, job.hardware), job.hardware, job.words).outputs


@needs_iverilog
@pytest.mark.parametrize("form", FORMS)
def test_self_test_from_x(form: str, tmp_path: Path) -> None:
    """Two tokens of three instructions."""
    job = self_test_job(hardware(form), tokens=2)
    outputs, counters = results(tmp_path, from_x(emitted(form)), job)
    assert np.array_equal(outputs, expected(job))
    assert counters["instructions"] == 2 * 3


@needs_iverilog
def test_states_and_attention_from_x(tmp_path: Path) -> None:
    """A model with a layer of each kind: Icarus, Verilator and the simulator agree in results, cycles and counts."""
    assert three_agree(micro_model(tmp_path / "model"), tmp_path, tokens=2)["keys_read"] > 0


@pytest.mark.more
@needs_iverilog
@pytest.mark.parametrize("layer", [0, 1], ids=["attention", "states"])
def test_a_layer_of_the_shipped_model_from_x(layer: int, tmp_path: Path) -> None:
    """All three again, on trained weights in their real sizes."""
    model = one_layer(tmp_path / "model.pt", layer)
    three_agree(model, tmp_path, tokens=2, context=4, encoder_rows=96, cycles=1_000_000)


def three_agree(
    model: Path,
    folder: Path,
    *,
    tokens: int,
    context: int | None = None,
    encoder_rows: int | None = None,
    cycles: int = 200_000,
) -> dict[str, int]:
    """Icarus, Verilator and the simulator agree on a model's tokens; -> the counters.

    `encoder_rows`: other than those of the core that is shared with lockstep. `cycles`: Icarus' at most.
    """
    core = CORES["row"]
    job = model_job(model, core.hardware, tokens=tokens, context=context)
    name, config = "row", core.config()
    if encoder_rows is not None:
        name, config = f"row_{encoder_rows}", replace(config, encoder_rows=encoder_rows)
    built = built_core(name, config)
    result = Lockstep(job.chain, job.hardware, built, folder).run(job.words)
    assert result.comparison.agrees
    text = (built.folder / "spike_core.v").read_text()
    outputs, counters = results(folder, from_x(text), job, cycles=cycles)
    assert np.array_equal(outputs, expected(job))
    assert counters == result.comparison.counters
    return counters


@pytest.mark.more
@needs_iverilog
@pytest.mark.parametrize("form", ["plane", "row", "window"])
def test_every_order_runs_a_model_from_x(form: str, tmp_path: Path) -> None:
    """States and attention on the encoders of each. A twin multiplies words that are not written by 0: X in Verilog."""
    job = model_job(micro_model(tmp_path / "model"), hardware(form), tokens=2)
    outputs, _ = results(tmp_path, from_x(emitted(form)), job)
    assert np.array_equal(outputs, expected(job))


@needs_iverilog
def test_an_x_is_found(tmp_path: Path) -> None:
    """The check is checked: a word that leaves before anything has written it."""
    host = Script()
    host.receive(0, 1)
    with pytest.raises(AssertionError, match="a word of the output stream is X"):
        play(tmp_path, from_x(emitted("row")), [*host.numbers, END], cycles=1000)


@pytest.mark.parametrize("form", FORMS)
def test_blocks_assign_every_bit_once(form: str) -> None:
    """So that one that is woken without a change changes nothing: Icarus Verilog 11 wakes blocks for nothing."""
    design = elaborated(emitted(form))  # has to outlive its blocks
    blocks = list(combinational_blocks(design))
    assert len(blocks) > 20
    assert all(assigned(block) for block in blocks)


@pytest.mark.parametrize("form", FORMS)
def test_lint(form: str, tmp_path: Path) -> None:
    """Nothing beyond the waivers, so that no blocks wait for each other, either (UNOPTFLAT)."""
    source = tmp_path / "spike_core.v"
    source.write_text(emitted(form))
    assert verilator.lint([source], "spike_core", waived=[waiver.code for waiver in WAIVERS]) == []


PRESETS: dict[str, tuple[Path, CoreName]] = {
    f"{path.stem}-{core}": (path, core)
    for path in sorted((CHECKOUT / "examples" / "hardware").glob("*.toml"))
    for core in ("spiking", "dense", "skipping")
}


@pytest.mark.more
@pytest.mark.parametrize("preset", ["parameters", *PRESETS])
def test_presets(preset: str, tmp_path: Path) -> None:
    """Every hardware file of the examples as each core, and the defaults of the parameters: slang and lint."""
    config = CoreConfig()
    if preset in PRESETS:
        path, core = PRESETS[preset]
        config = core_config(one_core(HardwareConfig.from_toml(path)), **datapath(core))
    source = tmp_path / "spike_core.v"
    source.write_text(verilog(SpikeCore(config), "spike_core"))
    design = elaborated(source.read_text())
    assert all(assigned(block) for block in combinational_blocks(design))
    assert verilator.lint([source], "spike_core", waived=[waiver.code for waiver in WAIVERS]) == []
