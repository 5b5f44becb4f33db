"""Lava itself: whole models against golden, and everything that can go wrong around a worker.

All tests that start a network are in this file, one after the other, so that what is left behind can be told.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.places import CHECKOUT
from helpers.programs import TINY, compiled_layer, small_config
from helpers.tried import tried
from typer.testing import CliRunner

from spikesim.backends.lava import launch as launcher
from spikesim.backends.lava import run as lava_run
from spikesim.backends.lava.package import find_lava
from spikesim.backends.lava.run import LavaResult, execute
from spikesim.backends.lava.spikes import SERIAL
from spikesim.cli.app import app
from spikesim.errors import CapacityError, CodingError, ConfigError, ToolError
from spikesim.hardware import HardwareConfig
from spikesim.mapping.dssa.compile import compile_position
from spikesim.program import Program, series
from spikesim.verify.job import Job, model_job, self_test_job
from spikesim.verify.random_programs import RandomProgram

TOKENS = 20
"""More than a window and several finished blocks of the model."""

FAULTS = CHECKOUT / "tests" / "helpers" / "lava_faults.py"
SHM = Path("/dev/shm")


def shared_memory() -> set[str]:
    """Python's shared memory segments."""
    return {path.name for path in SHM.glob("psm_*")} if SHM.is_dir() else set()


def workers() -> list[int]:
    """Processes of Lava workers, those with a fault too, that are more than an entry waiting to be collected."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            if "spikesim.backends.lava.worker" in command or FAULTS.name in command:
                found.append(int(folder.name))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """After each test no worker runs and no shared memory is left."""
    before = shared_memory()
    yield
    limit = time.monotonic() + 5
    while (workers() or shared_memory() - before) and time.monotonic() < limit:
        time.sleep(0.05)
    assert workers() == []
    assert shared_memory() - before == set()


@pytest.fixture(scope="module")
def tiny() -> Job:
    return model_job(TINY, HardwareConfig(), tokens=TOKENS)


def assert_exact(found: LavaResult) -> None:
    assert found.exact, "\n".join(map(str, found.comparison.differences))
    for network in found.networks:
        for program in network.programs:
            assert found.comparison.of(program.text.name).words > 0


def test_whole_model_with_graded_spikes(tiny: Job) -> None:
    """Every program, every word, past windows, finished blocks and decayed states."""
    found = execute(tiny.chain, tiny.words, tiny.hardware)
    assert_exact(found)
    assert len(found.expected) == len(tiny.programs)
    assert found.planes == 1
    assert len(found.networks) == 1
    assert found.steps == TOKENS + sum(len(network.stages) for network in found.networks)
    layers = [name for name in found.comparison.compared if name.startswith("layer")]
    for name in layers:
        compared = found.comparison.of(name)
        assert min(compared.words, compared.spikes, compared.states, compared.counts) > 0


@pytest.mark.parametrize("coding", SERIAL)
def test_layers_bit_serially(tiny: Job, coding: str) -> None:
    """A layer with a cache, a layer with states; ternary in fewer planes, since each costs a step."""
    window = 4 if coding == "ternary" else 7
    hardware = HardwareConfig().replace(**{"numerics.coding": coding, "numerics.window": window})
    job = model_job(TINY, hardware, tokens=4) if coding in ("ternary", "bitwise") else tiny
    found = execute(job.chain, job.words[:4], job.hardware, coding=coding, names=["layer_00", "layer_01"])
    assert_exact(found)
    assert found.planes > 1
    assert all(found.comparison.spikes[name] > 0 for name in ("layer_00", "layer_01"))


def test_sizes_that_divide_by_nothing() -> None:
    """Layers of another model, an SSE layer with its own shapes among them, behind their position program."""
    config = small_config(num_sparse_partition=2, num_writer=1, head_dim=24, hidden_size=96, window_size=1)
    hardware = HardwareConfig()
    layer = compiled_layer(config, 1, hardware, tokens=7, sequences=1, seed=3)
    chain = series([compile_position(config), layer.program])
    assert_exact(execute(chain, layer.words[:, 0], hardware, coding="signed_digit"))


@tried(1, "a stream that is rescaled within a layer, on Lava", "every word is that of the golden model")
def test_a_layer_whose_stream_is_rescaled() -> None:
    config, hardware = small_config(), HardwareConfig()
    layer = compiled_layer(config, 0, hardware, tokens=5, sequences=1, scale=1e-7, stream=34)
    assert {"h_mid.rescaled", "attn_norm.coarse"} <= set(layer.program.text.vectors)
    chain = series([compile_position(config), layer.program])
    assert_exact(execute(chain, layer.words[:, 0], hardware))


def test_random_programs() -> None:
    """Operands that no compiler makes; hundreds more run without Lava in `test_lava_microcode.py`."""
    for seed, coding in ((3, "graded"), (11, "twos_complement")):
        made = RandomProgram(seed)
        assert_exact(execute(series([made.program()]), made.inputs(), HardwareConfig(), coding=coding))


def test_matrices_of_one_sign_and_extreme_weights() -> None:
    """Lava guesses from a matrix whether its weights have a sign, and scales and clips them by that guess."""
    job = self_test_job(HardwareConfig(), tokens=2)
    (program,) = job.programs
    for low, high in ((-128, -128), (-128, 0), (0, 127), (127, 127), (0, 0), (-1, 0)):
        matrix = np.random.default_rng(0).integers(low, high + 1, program.matrices["weights"].shape)
        other = Program(
            text=program.text, constants=program.constants, matrices={"weights": matrix.astype(np.int8)}
        )
        assert_exact(execute(series([other]), job.words, job.hardware))


def test_a_long_chain_runs_as_several_networks(tiny: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_run, "MOST_PROCESSES", 14)
    found = execute(tiny.chain, tiny.words[:3], tiny.hardware, names=["layer_00", "layer_01", "head"])
    assert_exact(found)
    assert [[p.text.name for p in network.programs] for network in found.networks] == [
        ["layer_00"],
        ["layer_01"],
        ["head"],
    ]


# What goes wrong


def fault(name: str, timeout: float = 60) -> LavaResult:
    """A small chain in a worker with a fault."""
    job = self_test_job(HardwareConfig(), tokens=3)
    command = (sys.executable, str(FAULTS), name)
    return execute(job.chain, job.words, job.hardware, timeout=timeout, command=command)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("raises", r"Lava failed in stage self_test\.\d, token 1: KeyError: 'no such vector'"),
        ("disk_full", "Lava needs room for its records in .*, which is full: make some, or .* TMPDIR"),
        ("dies", "Lava failed in the network: .*ended before its time"),
        ("is_killed", "Lava failed in the network: .*ended before its time"),
        ("worker_dies", "Lava's worker ended with status -9"),
    ],
)
def test_a_failure_is_one_sentence(name: str, sentence: str) -> None:
    started = time.monotonic()
    with pytest.raises(ToolError, match=sentence) as caught:
        fault(name)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 30  # a limit, far from what it takes


@pytest.mark.parametrize("name", ["hangs", "ignores_sigterm"])
def test_a_network_that_hangs_is_ended(name: str) -> None:
    with pytest.raises(ToolError, match=r"must finish within 4 s, and had finished \d tokens"):
        fault(name, timeout=4)
    if name == "ignores_sigterm":
        # Killed without mercy, it cannot remove its shared memory; whoever ends it like that must.
        for segment in SHM.glob("psm_*"):
            segment.unlink()


def test_a_wrong_word_is_named(tiny: Job) -> None:
    """A state that is off by one: where it shows first, and that later words are counted."""
    command = (sys.executable, str(FAULTS), "wrong")
    found = execute(tiny.chain, tiny.words[:4], tiny.hardware, names=["layer_01"], command=command)
    assert not found.exact
    first = found.comparison.differences[0]
    assert (first.program, first.what) == ("layer_01", "word")
    assert first.token >= 1
    assert found.comparison.of("layer_01").different > len(found.comparison.differences)
    for part in ("layer_01", "stage", "token", "word", "got", "expected"):
        assert part in str(first)


def test_the_network_ends_when_its_launcher_is_killed() -> None:
    script = f"""
import sys
from spikesim.backends.lava.run import execute
from spikesim.hardware import HardwareConfig
from spikesim.verify.job import self_test_job
job = self_test_job(HardwareConfig(), tokens=3)
execute(job.chain, job.words, job.hardware, command=(sys.executable, {str(FAULTS)!r}, "hangs"))
"""
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        wait_for(lambda: len(workers()) > 4)
        process.kill()


def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """The whole foreground group gets the signal; one sentence, 130, and nothing left of the job's folder either."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    words = ["lava", str(TINY), "--tokens", "64", "--coding", "ternary", "--programs", "head"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-c", "from spikesim.cli import main; main()", *words],
            environment,
        )
    output = b""
    try:
        limit = time.monotonic() + 120
        pressed = False
        while time.monotonic() < limit:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    chunk = os.read(terminal, 4096)
                except OSError:
                    break
                if not chunk:
                    break
                output += chunk
            if not pressed and len(workers()) > 4:
                time.sleep(0.5)
                os.write(terminal, b"\x03")
                pressed = True
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", output).decode(errors="replace")
    assert os.waitstatus_to_exitcode(status) == 130, text
    assert "interrupted; nothing was written" in text
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_few_descriptors_make_several_networks(tiny: Job) -> None:
    """With 1,024 open files, the bit-serial model does not fit one network; the chain is cut, never hung."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
from pathlib import Path
from spikesim.backends.lava.run import execute
from spikesim.hardware import HardwareConfig
from spikesim.verify.job import model_job
job = model_job(Path({str(TINY)!r}), HardwareConfig(), tokens=2)
found = execute(job.chain, job.words, job.hardware, coding="bitwise")
print(found.exact, len(found.networks), found.processes)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    exact, networks, processes = done.stdout.split()
    assert exact == "True", done.stderr
    assert int(networks) > 1
    assert int(processes) > 70
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_too_few_descriptors_are_said(tiny: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_run.resource, "getrlimit", lambda _which: (100, 100))
    with pytest.raises(
        CapacityError, match=r"layer_00 takes \d+ Lava Processes: .* must be at least \d+, not 100"
    ):
        execute(tiny.chain, tiny.words[:1], tiny.hardware)


def wait_for(condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_wrong_requests_are_named(tiny: Job) -> None:
    with pytest.raises(ConfigError, match=r"programs must be among position, layer_00, .*, not layer_99"):
        execute(tiny.chain, tiny.words, tiny.hardware, names=["layer_99"])
    with pytest.raises(CodingError, match=r"coding must be one of graded, .*, not morse"):
        execute(tiny.chain, tiny.words, tiny.hardware, coding="morse")  # type: ignore[arg-type]


# Where Lava is


def test_lava_is_installed_apart() -> None:
    """`make install` puts it where only a worker sees it: here it cannot be imported."""
    folder = find_lava()
    assert folder is not None, "Lava must not be importable here: run make install"
    assert (folder / "lava" / "magma").is_dir()
    assert "lava" not in sys.modules


def test_a_missing_package_is_said_with_both_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    result = CliRunner().invoke(app, ["lava", str(TINY)])
    assert result.exit_code == 1
    said = result.stderr
    assert said.count("\n") == 1
    assert "pip install 'spikesim[lava]'" in said
    assert "pip install --no-deps --ignore-requires-python --target" in said
    assert "lava-nc==0.10.0" in said


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = find_lava()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("SPIKESIM_LAVA", str(folder))
    assert find_lava() == folder


# The command


def test_command_writes_a_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["lava", str(TINY), "--tokens", "3", "--programs", "layer_00,head", "-o", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    for part in (
        "layer_00",
        "head",
        "all equal",
        "no Loihi hardware was used",
        "synaptic operations",
        "Loihi 2",
    ):
        assert part in " ".join(result.stdout.split()), part
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "no Loihi hardware was used" in page
    assert "Loihi-style target" in page
    again = CliRunner().invoke(app, [*words, "--target", "loihi1", "--coding", "bitwise"])
    assert again.exit_code == 1
    assert "--force" in again.stderr


def test_command_on_a_mapped_folder(tmp_path: Path) -> None:
    """Its tokens and numbers are those it was mapped with; another text is another run."""
    mapped = tmp_path / "mapped"
    text = tmp_path / "text.txt"
    text.write_text("A text for this.", encoding="utf-8")
    assert (
        CliRunner().invoke(app, ["map", str(TINY), "-o", str(mapped), "--random-tokens", "24"]).exit_code == 0
    )
    result = CliRunner().invoke(app, ["lava", str(mapped), "--tokens", "2", "--programs", "head"])
    assert result.exit_code == 0, result.output
    refused = CliRunner().invoke(app, ["lava", str(mapped), "--window", "3"])
    assert refused.exit_code == 2
    assert "--window has no effect" in refused.stderr
    into = CliRunner().invoke(app, ["lava", str(mapped), "-o", str(mapped), "--force"])
    assert into.exit_code == 1
    assert "must be another folder" in into.stderr
    text.write_text("A text that is longer than all there is room for.", encoding="utf-8")
    long = CliRunner().invoke(app, ["lava", str(mapped), "--text", str(text), "--tokens", "30"])
    assert long.exit_code == 1
    assert "sequences must be at most" in long.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--target", "nowhere.toml"], "nowhere.toml"),
        (["--target", "loihi1"], "bit-serial"),
        (["--programs", "layer_77"], "--programs must be of position, layer_00"),
        (["--programs", ","], "not nothing"),
        (["--text", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_command_refuses_in_one_sentence(words: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["lava", str(TINY), *words])
    assert result.exit_code == (2 if "--programs" in words else 1)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_difference_ends_the_command_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report is written all the same, and says it."""
    monkeypatch.setattr(launcher, "WORKER", (sys.executable, str(FAULTS), "wrong"))
    out = tmp_path / "out"
    words = ["lava", str(TINY), "--tokens", "3", "--programs", "layer_01", "-o", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1, result.output
    assert "differ from the golden model" in " ".join(result.stdout.split())
    assert "got" in result.stdout
    assert "no Loihi hardware was used" in result.stdout
    assert "verified" not in result.stdout
    assert (out / "report.html").is_file()


def test_seconds_are_measured(tiny: Job) -> None:
    """Not what they are: that the stages are there, and memory was read where the system tells it."""
    found = execute(tiny.chain, tiny.words[:1], tiny.hardware, names=["head"])
    assert set(found.seconds) == {"golden", "Lava", "comparison"}
    assert found.memory is None or found.memory > 2**20
    assert isinstance(found.comparison.of("head").words, int)
    assert np.isfinite(list(found.seconds.values())).all()
