"""Whole models and random programs on the RTL in Verilator against the simulator: every word, cycle and counter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.places import VECTORS
from helpers.programs import compiled_layer, small_config
from helpers.rtl_cores import CORES, MORE, built_core
from helpers.tried import tried

from spikesim.errors import OutputError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.mapping.link import link
from spikesim.program import series
from spikesim.verify.job import model_job
from spikesim.verify.lockstep import BuiltCore, Lockstep, LockstepResult
from spikesim.verify.random_programs import RandomProgram

TINY = VECTORS / "tiny_dssa"


def _assert_agrees(result: LockstepResult) -> None:
    found = result.comparison
    assert found.agrees, f"{found.differing}\n" + "\n".join(map(str, found.differences))
    assert found.values > 0
    assert found.instructions > 0


@pytest.mark.parametrize("name", ["plane", "dense", "row", "window", "skipping"])
def test_whole_model(name: str, tmp_path: Path) -> None:
    """All layers of a DSSA model, token after token: past windows, finished MoBA blocks, decayed states."""
    core = CORES[name]
    tokens = 12 if core.hardware.array.ways > 4 else 10
    job = model_job(TINY, core.hardware, tokens=tokens)
    # The core of the random programs: what fits them fits this small model.
    layout = link(job.chain, job.hardware)
    config = core.config()
    assert layout.encoder_rows <= config.encoder_rows
    assert layout.scatter_rows <= config.scatter_rows
    assert layout.blocks <= config.blocks
    result = Lockstep(job.chain, job.hardware, built_core(name, config), tmp_path).run(job.words)
    _assert_agrees(result)
    assert result.comparison.counters["keys_read"] > 0


@pytest.mark.parametrize(
    "form",
    [
        {"moba_topk": 4, "moba_chunk_size": 4, "attn_num_heads": 2, "attn_num_kv_heads": 1},
        {"num_sparse_partition": 2, "num_writer": 1, "head_dim": 24, "hidden_size": 96, "window_size": 1},
    ],
)
def test_layers_of_other_models(form: dict[str, int], tmp_path: Path) -> None:
    """Sizes that divide by nothing, on a core they share; one layer of each kind."""
    core, config = CORES["plane"], small_config(**form)
    built = built_core("plane", core.config())
    for index in range(3):
        layer = compiled_layer(config, index, core.hardware, tokens=20, sequences=1, seed=index)
        chain = series([compile_position(config), layer.program])
        lockstep = Lockstep(chain, core.hardware, built, tmp_path / str(index))
        _assert_agrees(lockstep.run(layer.words[:, 0]))


@tried(
    1,
    "a stream that is rescaled within a layer, on the core in RTL",
    "every word is that of the golden model",
)
def test_layers_whose_stream_is_rescaled(tmp_path: Path) -> None:
    """And whose squares are taken of a coarser copy, because eps is too many units of them."""
    core, config = CORES["plane"], small_config()
    built = built_core("plane", core.config())
    for index in range(3):
        layer = compiled_layer(config, index, core.hardware, tokens=8, sequences=1, scale=1e-7, stream=34)
        assert "attn_norm.coarse" in layer.program.text.vectors
        assert layer.program.text.outputs[0].format.fraction < 34
        chain = series([compile_position(config), layer.program])
        lockstep = Lockstep(chain, core.hardware, built, tmp_path / str(index))
        _assert_agrees(lockstep.run(layer.words[:, 0]))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.more] * (name in MORE)) for name in CORES]
)
def test_random_programs(name: str, tmp_path: Path) -> None:
    """Shapes and operands that no compiler makes."""
    core = CORES[name]
    built = built_core(name, core.config())
    for seed in range(core.first_seed, core.first_seed + core.programs):
        made = RandomProgram(seed)
        lockstep = Lockstep(series([made.program()]), core.hardware, built, tmp_path / str(seed))
        _assert_agrees(lockstep.run(made.inputs()))


def test_a_difference_is_named_and_leaves_a_waveform(tmp_path: Path) -> None:
    """A wrong weight in the RTL's image: unit, instruction, cycle, lane, expected, got; and where the waveform is."""
    core = CORES["row"]  # the smallest, since a second simulation is built
    made = RandomProgram(core.first_seed + 1)
    lockstep = Lockstep(series([made.program()]), core.hardware, built_core("row", core.config()), tmp_path)
    for image in sorted(tmp_path.glob("vector_*.hex")):
        lines = image.read_text().split("\n")
        for n in [n for n, line in enumerate(lines) if line.strip("0")][1:]:
            lines[n] = f"{(int(lines[n], 16) ^ 0x3F) & 0xFFFFFFFF:08x}"
        image.write_text("\n".join(lines))
    result = lockstep.run(made.inputs())
    assert not result.comparison.agrees
    first = result.comparison.differences[0]
    assert first.unit in ("pointwise", "gather", "select", "scatter", "sweep", "store")
    text = str(first)
    assert all(word in text for word in ("unit", "instruction", "cycle", "expected", "got")), text
    assert result.wave is not None
    assert result.wave.stat().st_size > 1000


@tried(9, "a core built (`BuiltCore`) beside a folder `build` of the user", "refused; the folder stays")
def test_a_foreign_build_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="must be absent or an earlier build"):
        BuiltCore(CORES["plane"].config(), tmp_path).binary()
    assert (tmp_path / "build" / "thesis.tex").read_text() == "precious"


def test_inputs_of_random_programs_are_extreme() -> None:
    """The generator does what its docstring says: silent and extreme tokens occur."""
    words = np.concatenate([RandomProgram(seed).inputs() for seed in range(10)])
    assert (words == 0).all(axis=1).any()
    assert np.abs(words).max() > 2**30
    assert HardwareConfig().array.ways == 8
