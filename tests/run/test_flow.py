"""The whole chain on small models: what lands in the folder, what the report says, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.programs import TINY, small_config

from spikesim.errors import CapacityError, CheckpointError, ConfigError, TokenError
from spikesim.flow import map_model, simulate_mapping
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import check_mappable
from spikesim.results.report import Report
from spikesim.run.token_files import token_file
from spikesim.run.tokens import InputRequest, cut, random_tokens

HARDWARE = HardwareConfig()


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("mapped")
    return folder, map_model(
        TINY, output=folder, hardware=HARDWARE, request=InputRequest(random_tokens=96, sequence_length=48)
    )


def test_report_adds_up(mapped: tuple[Path, Report]) -> None:
    """Totals, layers and instruction kinds are the same cycles; spikes are those of the layers."""
    _, report = mapped
    cycles = report.cycles
    assert cycles.spiking == sum(layer.spiking for layer in cycles.by_layer)
    assert cycles.spiking == sum(kind.spiking for kind in cycles.by_instruction.values())
    assert cycles.dense == sum(kind.dense for kind in cycles.by_instruction.values())
    assert cycles.per_token.spiking == pytest.approx(cycles.spiking / 96)
    assert report.throughput_tokens_per_s.dense == pytest.approx(500e6 * 96 / cycles.elapsed.dense)
    spikes = report.spikes
    assert spikes.elements == sum(layer.elements for layer in spikes.by_layer) == sum(spikes.histogram)
    assert spikes.average == pytest.approx(
        sum(n * value.bit_count() for value, n in enumerate(spikes.histogram)) / spikes.elements
    )
    assert 1 - spikes.sparsity["sparsity_int8_steps"] == pytest.approx(spikes.average / 7)
    assert report.input.kind == "random tokens"
    assert "random" in report.warnings[0]
    assert len(report.fidelity.layer_cosine) == 4
    assert spikes.macro.sse_partitions_untouched == pytest.approx(2 / 5)
    assert 0 < spikes.macro.moba_keys_skipped < 1  # type: ignore[operator]


def test_a_mapped_model_runs_again_without_its_checkpoint(mapped: tuple[Path, Report]) -> None:
    """Same tokens, same array: every figure that does not need the float model is the same."""
    folder, report = mapped
    again = simulate_mapping(folder)
    assert again.cycles == report.cycles
    assert again.spikes == report.spikes
    assert again.fidelity.perplexity is not None
    assert report.fidelity.perplexity is not None
    assert again.fidelity.perplexity.integer_model == report.fidelity.perplexity.integer_model


def test_another_array_changes_cycles_only(mapped: tuple[Path, Report]) -> None:
    folder, report = mapped
    hardware = HARDWARE.replace(**{"array.ways": 4, "array.order": "row"})
    other = simulate_mapping(folder, hardware=hardware)
    assert other.cycles.spiking > report.cycles.spiking
    assert other.spikes.histogram == report.spikes.histogram
    assert other.fidelity.perplexity == simulate_mapping(folder).fidelity.perplexity


def test_other_tokens_and_other_cuts(mapped: tuple[Path, Report]) -> None:
    folder, _ = mapped
    shorter = simulate_mapping(folder, request=InputRequest(sequence_length=16, max_tokens=40))
    assert (shorter.input.sequences, shorter.input.sequence_length) == (2, 16)
    with pytest.raises(CapacityError, match="at most 48 tokens"):
        simulate_mapping(folder, request=InputRequest(random_tokens=5000, sequence_length=5000))


def test_a_short_convolution_is_refused_before_any_work() -> None:
    config = small_config(use_short_conv=True)
    with pytest.raises(ConfigError, match="use_short_conv must be false to map"):
        check_mappable(config)


def test_mapping_file_places_everything(mapped: tuple[Path, Report]) -> None:
    """What `mapping.json` says of every program fits into the memories, and the report says what they hold."""
    folder, report = mapped
    mapping = json.loads((folder / "mapping.json").read_text(encoding="utf-8"))
    names = [program["name"] for program in mapping["programs"]]
    assert names == ["position", "layer_00", "layer_01", "layer_02", "layer_03", "head"]
    assert all(program["resident"] for program in mapping["programs"])
    used = {memory.name: memory for memory in report.cores.memories}
    assert 0 < used["row memory"].used <= used["row memory"].available
    for program in mapping["programs"]:
        assert program["vector_words"] <= used["vector memory"].available


def test_what_does_not_fit_streams_and_is_charged(tmp_path: Path) -> None:
    """A row memory of a few chunks: weights stream, the report says so, and the DRAM decides."""
    hardware = HARDWARE.replace(
        **{
            "memory.row_kib": 16,
            "memory.state_kib": 1,
            "dram.bandwidth_bytes_per_s": 1e9,
            "limits.max_context": 64,
        }
    )
    report = map_model(
        TINY, output=tmp_path, hardware=hardware, request=InputRequest(random_tokens=32, sequence_length=32)
    )
    assert report.cores.streamed_layers == 4
    assert report.cores.bound == "dram"
    assert all(layer.bound == "dram" for layer in report.cycles.by_layer if layer.kind != "position")
    assert report.cycles.elapsed.spiking > report.cycles.spiking


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"memory.row_kib": 1}, "memory.row_kib must be at least"),
        ({"memory.vector_words": 512}, "memory.vector_words must be at least"),
        ({"memory.program_words": 64}, "memory.program_words must be at least"),
        ({"array.accumulator_bits": 16}, "array.accumulator_bits must be at least"),
        ({"limits.max_context": 8}, "at most limits.max_context"),
    ],
)
def test_hardware_that_cannot_run_the_model_is_refused(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(CapacityError, match=sentence):
        map_model(
            TINY,
            output=tmp_path,
            hardware=HARDWARE.replace(**changes),
            request=InputRequest(random_tokens=32, sequence_length=32),
        )


def test_a_folder_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must be a folder that spikesim map wrote"):
        simulate_mapping(tmp_path)


def test_a_damaged_program_is_refused(mapped: tuple[Path, Report], tmp_path: Path) -> None:
    folder, _ = mapped
    for path in folder.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    program = tmp_path / "programs" / "layer_01.safetensors"
    program.write_bytes(program.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="program layer_01"):
        simulate_mapping(tmp_path, request=InputRequest(random_tokens=8))


def test_tokens_out_of_range_and_empty_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text("1 2 256", encoding="ascii")
    with pytest.raises(TokenError, match=r"must be in 0 … 255, not 256"):
        map_model(TINY, output=tmp_path, hardware=HARDWARE, request=InputRequest(tokens=path))
    path.write_text("", encoding="ascii")
    with pytest.raises(TokenError, match="at least one whole number"):
        token_file(path, 256)
    path.write_text("one", encoding="ascii")
    with pytest.raises(TokenError, match="whole numbers"):
        token_file(path, 256)


def test_sequences_drop_only_a_short_tail() -> None:
    assert cut(np.arange(10), 4, None).ids.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert cut(np.arange(3), 4, None).ids.tolist() == [[0, 1, 2]]
    assert cut(np.arange(10), 4, 5).ids.tolist() == [[0, 1, 2, 3]]
    assert random_tokens(16, 8, 4, 1).ids.shape == (2, 4)
