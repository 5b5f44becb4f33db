"""The command line: what it hands on, what it prints, and one clear sentence for everything that can go wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from helpers.interrupted import SIGNALS, interrupted
from helpers.made_up_report import made_up_report
from helpers.tried import tried
from typer.testing import CliRunner, Result

from spikesim import __version__, errors
from spikesim.cli.app import app
from spikesim.cli.progress import TerminalProgress
from spikesim.hardware import Coding, HardwareConfig
from spikesim.report import write_report
from spikesim.results.report import Report
from spikesim.run.tokens import InputRequest
from spikesim.spikes.digits import CODINGS
from spikesim.spikes.encode import encode
from spikesim.support.files import MARKER, atomic_directory

COMMAND = [sys.executable, "-c", "from spikesim.cli import main; main()"]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})


def sentence(result: Result, code: int = 1) -> str:
    """The one line on the standard error; nothing on the standard output, no traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    if len(lines) == 2:
        assert code == 2
        assert lines[1].startswith("try: spikesim")
    else:
        assert len(lines) == 1
    assert lines[0].startswith("spikesim: ")
    assert not result.stdout
    return lines[0].removeprefix("spikesim: ")


class Flow:
    """Stands in for `spikesim.flow`: remembers its arguments, gives a made-up report or fails as told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.failure: BaseException | None = None
        self.report: Report = made_up_report()

    def map_model(self, model: Path, **arguments: Any) -> Report:
        self.calls.append({"model": model, **arguments})
        return self._work(arguments)

    def simulate_mapping(self, folder: Path, **arguments: Any) -> Report:
        self.calls.append({"folder": folder, **arguments})
        return self._work(arguments)

    def _work(self, arguments: dict[str, Any]) -> Report:
        if "output" in arguments:
            (arguments["output"] / "mapping.json").write_text("{}")
        with arguments["progress"].stage("simulate", 3) as advance:
            advance()
            if self.failure is not None:
                raise self.failure
            with arguments["progress"].stage("layer 0") as inner:
                inner(2)
            advance(2)
        return self.report


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second, and is tested elsewhere."""
    monkeypatch.setattr("spikesim.report.html.render", lambda report: f"a page about {report.model.name}")


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Flow:
    fake = Flow()
    module = SimpleNamespace(map_model=fake.map_model, simulate_mapping=fake.simulate_mapping)
    monkeypatch.setitem(sys.modules, "spikesim.flow", module)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """A folder as `spikesim map` leaves it."""
    folder = tmp_path / "mapped"
    with atomic_directory(folder) as workspace:
        (workspace / "mapping.json").write_text("{}")
        write_report(made_up_report(), workspace)
    return folder


# General


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"spikesim {__version__}\n")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 0
    for name in ("map", "simulate", "encode", "info"):
        assert re.search(rf"\b{name}\b", result.stdout)


@pytest.mark.parametrize("name", ["map", "simulate", "encode", "info"])
def test_every_command_has_help(name: str) -> None:
    assert run(name, "--help").exit_code == 0


def test_help_names_every_choice() -> None:
    shown = run("map", "--help").stdout
    assert all(coding in shown for coding in get_args(Coding))
    assert all(coding in run("encode", "--help").stdout for coding in CODINGS)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from spikesim.cli.app import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"torch", "numba", "matplotlib", "numpy", "jinja2", "pydantic"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["map"], "Missing argument 'MODEL'"),
        (["map", "m.pt", "--max-tokens", "0"], "--max-tokens"),
        (["map", "m.pt", "--window", "x"], "--window"),
        (["map", "m.pt", "--unknown"], "No such option"),
        (["map", "m.pt", "--tokens", "a", "--text", "b"], "one of --tokens and --text"),
        (["map", "m.pt", "--activation", "int8", "--threshold-k", "2"], "no effect with int8"),
        (["simulate", "d", "--text", "a", "--random-tokens", "4"], "one of --text and --random-tokens"),
        (["encode"], "Missing argument"),
        (["encode", "1", "--int8", "--threshold-k", "3"], "one of --int8 and --threshold-k"),
        (["encode", "1", "--window", "3"], "--window goes with --threshold-k"),
        (["encode", "1", "-o", "out.txt"], "must be a .npz file"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(words: list[str], message: str) -> None:
    assert message in sentence(run(*words), 2)


# map


def test_map_hands_everything_on(flow: Flow, tmp_path: Path) -> None:
    hardware = tmp_path / "hw.toml"
    hardware.write_text("[array]\nlanes = 16\n[numerics]\nthreshold_k = 2.0\n")
    result = run(
        *("map", "m.pt", "-o", "out", "--text", "t.txt", "--calibration", "c.txt", "--hardware", hardware),
        *(
            "--coding",
            "signed_digit",
            "--window",
            "5",
            "--sequence-length",
            "64",
            "--max-tokens",
            "99",
            "--seed",
            "3",
        ),
    )
    assert result.exit_code == 0, result.output
    (call,) = flow.calls
    assert call.pop("output").name == "out"
    call.pop("progress")
    assert call == {
        "model": Path("m.pt"),
        "hardware": HardwareConfig.from_toml(hardware).replace(
            **{"numerics.coding": "signed_digit", "numerics.window": 5}
        ),
        "request": InputRequest(text=Path("t.txt"), sequence_length=64, max_tokens=99, seed=3),
        "calibration": Path("c.txt"),
        "context": None,
        "cached": 0,
        "command": f"spikesim map m.pt -o out --text t.txt --calibration c.txt --hardware {hardware} --coding"
        " signed_digit --window 5 --sequence-length 64 --max-tokens 99 --seed 3",
    }


def test_map_writes_the_report_and_says_where(flow: Flow, tmp_path: Path) -> None:
    result = run("map", "m.pt", "-o", "a/out")
    assert result.exit_code == 0
    names = {path.name for path in (tmp_path / "a/out").iterdir()}
    assert names == {"mapping.json", "report.json", "report.html", MARKER}
    assert result.stdout.splitlines()[-1] == "report: a/out/report.html"
    for shown in (
        "Spike sparsity",
        "Tokens per second",
        "Bits per byte",
        "2.0411",
        "94.62 %",
        "as many cycles",
    ):
        assert shown in result.stdout
    assert "simulate:" in result.stderr
    assert "layer 0" not in result.stderr


def test_map_has_a_default_output(flow: Flow, tmp_path: Path) -> None:
    assert run("map", "some/model.pt").exit_code == 0
    assert (tmp_path / "model-spikesim" / "report.html").is_file()


def test_map_settings_left_out_are_the_defaults(flow: Flow) -> None:
    run("map", "m.pt")
    assert flow.calls[0]["hardware"] == HardwareConfig()


def test_map_int8_and_k_from_a_file_is_fine(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "hw.toml").write_text("[numerics]\nthreshold_k = 2.0\n")
    assert run("map", "m.pt", "--hardware", "hw.toml", "--activation", "int8").exit_code == 0
    assert flow.calls[0]["hardware"].numerics.activation == "int8"


def test_map_warns_of_random_tokens(flow: Flow) -> None:
    flow.report = made_up_report(random_tokens=True)
    assert "come from random tokens" in run("map", "m.pt", "--random-tokens", "256").stdout


@tried(
    3,
    "special tokens, unknown tokens and tokens that did not run",
    "the terminal says them, and the report has them",
)
def test_map_says_what_its_input_is(flow: Flow, tmp_path: Path) -> None:
    report = made_up_report()
    said = {
        "special_tokens": "<bos> first, 1 of 512, not predicted",
        "note": "3 tokens are <unk>.",
        "left_out": 9,
    }
    flow.report = report.model_copy(update={"input": report.input.model_copy(update=said)})
    shown = run("map", "m.pt", "-o", "out").stdout
    assert "special tokens: <bos> first, 1 of 512, not predicted\n" in shown
    assert "3 tokens are <unk>." in shown
    kept = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["input"]
    assert kept.items() >= said.items()


def test_map_keeps_an_earlier_result_unless_forced(flow: Flow, mapped: Path) -> None:
    before = sorted(mapped.iterdir())
    assert "--force" in sentence(run("map", "m.pt", "-o", mapped))
    assert not flow.calls
    assert sorted(mapped.iterdir()) == before
    assert run("map", "m.pt", "-o", mapped, "--force").exit_code == 0


def test_map_never_replaces_foreign_files(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "thesis.txt" in sentence(run("map", "m.pt", "-o", "mine", "--force"))
    assert not flow.calls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[array]\nlanes = 0\n", "array.lanes must be"),
        ("[array]\nlans = 8\n", "did you mean lanes"),
        ("[memory]\nrow_kib = 1\n[array]\nlanes = 256\nways = 64\n", "memory.row_kib must be at least"),
        ("array = [", "must be a TOML file"),
    ],
)
def test_map_refuses_impossible_hardware(flow: Flow, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hw.toml").write_text(text)
    assert message in sentence(run("map", "m.pt", "--hardware", "hw.toml"))
    assert not flow.calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hardware", "absent.toml"], "absent.toml"),
        (["--coding", "morse"], "numerics.coding must be one of"),
        (["--activation", "fp8"], "numerics.activation must be one of"),
        (["--threshold-k", "0"], "numerics.threshold_k must be"),
        (["--threshold-k", "nan"], "numerics.threshold_k must be"),
        (["--window", "9"], "numerics.window must be"),
    ],
)
def test_map_refuses_wrong_settings(flow: Flow, words: list[str], message: str) -> None:
    assert message in sentence(run("map", "m.pt", *words))
    assert not flow.calls


@pytest.mark.parametrize(
    "kind", [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
)
def test_every_error_is_its_sentence(flow: Flow, tmp_path: Path, kind: type[errors.SpikesimError]) -> None:
    flow.failure = kind("a thing must be\n  small, not big.")
    result = run("map", "m.pt", "-o", "out")
    assert result.exit_code == kind.exit_code
    assert result.stderr.splitlines() == ["spikesim: a thing must be small, not big"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (MemoryError(), 1, "there is not enough memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 GB"),
            1,
            "not enough memory",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "text.txt"), 1, "text.txt: Permission denied"),
    ],
)
def test_other_ends_are_sentences_too(
    flow: Flow, tmp_path: Path, failure: BaseException, code: int, message: str
) -> None:
    flow.failure = failure
    result = run("map", "m.pt", "-o", "out")
    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bug", [RuntimeError("surprise"), KeyError("x"), AssertionError()])
def test_bugs_keep_their_traceback(flow: Flow, tmp_path: Path, bug: Exception) -> None:
    flow.failure = bug
    assert run("map", "m.pt", "-o", "out").exception is bug
    assert not list(tmp_path.iterdir())


def test_markup_in_messages_is_text(flow: Flow) -> None:
    flow.failure = errors.TokenError("token [bold]9[/bold] must be known")
    assert "[bold]9[/bold]" in run("map", "m.pt").stderr


# simulate


def test_simulate_prints_and_writes_nothing(flow: Flow, mapped: Path, tmp_path: Path) -> None:
    result = run("simulate", mapped, "--random-tokens", "32")
    assert result.exit_code == 0
    assert "Spike sparsity" in result.stdout
    assert "report:" not in result.stdout
    (call,) = flow.calls
    assert call["hardware"] is None
    assert call["folder"] == mapped
    assert call["request"] == InputRequest(random_tokens=32)
    assert [path.name for path in tmp_path.iterdir()] == ["mapped"]


def test_simulate_writes_a_report_elsewhere(flow: Flow, mapped: Path, tmp_path: Path) -> None:
    (tmp_path / "hw.toml").write_text("[array]\nways = 8\n")
    result = run("simulate", mapped, "--hardware", "hw.toml", "-o", "again", "--text", "t.txt")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again" / "report.json").is_file()
    assert flow.calls[0]["hardware"].array.ways == 8


def test_simulate_does_not_replace_what_it_reads(flow: Flow, mapped: Path) -> None:
    message = sentence(run("simulate", mapped, "-o", f"{mapped}/../mapped", "--force"))
    assert "another folder" in message
    assert not flow.calls


def test_simulate_keeps_an_earlier_result(flow: Flow, mapped: Path) -> None:
    assert run("simulate", mapped, "-o", "again").exit_code == 0
    assert "--force" in sentence(run("simulate", mapped, "-o", "again"))


# encode


def test_encode_numbers_shows_the_train() -> None:
    result = run("encode", "5", "-3", "0", "-127")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert ["count", "64", "32", "16", "8", "4", "2", "1"] in rows
    assert ["5", "·", "·", "·", "·", "+", "·", "+"] in rows
    assert ["-127", *"−" * 7] in rows
    assert "share of s = 0" in result.stdout


@pytest.mark.parametrize("coding", CODINGS)
def test_encode_saves_what_decodes(tmp_path: Path, coding: str) -> None:
    counts = np.random.default_rng(1).integers(0, 100, (6, 50)).astype(np.int8)
    np.save(tmp_path / "x.npy", counts)
    result = run("encode", tmp_path / "x.npy", "--coding", coding, "-o", tmp_path / "out.npz")
    assert result.exit_code == 0, result.output
    train = encode(counts, coding)
    with np.load(tmp_path / "out.npz") as saved:
        np.testing.assert_array_equal(saved["bits"], train.bits)
        np.testing.assert_array_equal(saved["signs"], train.signs)
        assert saved["coding"] == coding
        assert tuple(saved["shape"]) == (6, 50)
        assert saved["steps"] == train.steps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npz", "x.npy"]


def test_encode_large_ternary_counts() -> None:
    assert "127 steps" in run("encode", "127", "-1", "--coding", "ternary").stdout


def test_encode_makes_integers_of_activations(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(4, 64)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    result = run(
        "encode", tmp_path / "x.npy", "--threshold-k", "3", "--window", "2", "-o", tmp_path / "o.npz"
    )
    assert result.exit_code == 0
    assert "clipped" in result.stdout
    with np.load(tmp_path / "o.npz") as saved:
        assert saved["scale"].shape == (4, 1)
        assert saved["steps"] == 2
    assert run("encode", tmp_path / "x.npy", "--int8").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1.5", "2"], "must be integers"),
        (["1", "two"], "not 'two'"),
        (["nan", "--int8"], "must be finite"),
        (["absent.npy"], "absent.npy cannot be read"),
        (["3", "--coding", "morse"], "coding must be one of"),
        (["-3", "--coding", "binary"], "must be 0 or more"),
        (["3", "--steps", "0"], "steps"),
        (["3", "--codng", "bitwise"], "not '--codng'"),
        ([str(2**70), "1"], "64 bits"),
        (["1", "--threshold-k", "0"], "k must be greater than 0"),
    ],
)
def test_encode_refuses_wrong_numbers(words: list[str], message: str) -> None:
    assert message in sentence(run("encode", *words))


def _pickled(path: Path) -> None:
    np.save(path, np.array([print], dtype=object), allow_pickle=True)


def _truncated(path: Path) -> None:
    np.save(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize(
    "make",
    [
        _pickled,
        _truncated,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"hello"),
        lambda path: np.save(path, np.zeros(0, np.int8)),
        lambda path: np.save(path, np.array(["a"])),
        lambda path: path.mkdir(),
    ],
    ids=["pickle", "truncated", "empty file", "text", "no numbers", "strings", "folder"],
)
def test_encode_refuses_other_files(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "x.npy"
    make(path)
    assert "x.npy" in sentence(run("encode", path))


def test_encode_output_that_cannot_be_written(tmp_path: Path) -> None:
    assert "cannot write" in sentence(run("encode", "1", "-o", tmp_path / "absent" / "o.npz"))


# info


def test_info_of_a_mapped_folder(mapped: Path) -> None:
    result = run("info", mapped)
    assert result.exit_code == 0
    assert "1,234,176 parameters" in result.stdout
    assert "Spike sparsity" in result.stdout
    as_json = run("info", mapped, "--json").stdout
    assert Report.model_validate_json(as_json) == made_up_report()


def test_info_of_a_damaged_report(mapped: Path) -> None:
    (mapped / "report.json").write_text('{"model": {}}')
    assert "must be a report" in sentence(run("info", mapped))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Path]:
    torch = pytest.importorskip("torch")
    from spikesim.mapping.dssa.config import DSSAConfig
    from spikesim.mapping.dssa.parameters import model_shapes

    config = {
        "model_type": "sse_swa_moba",
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_heads": 2,
        "head_dim": 8,
        "intermediate_size": 32,
        "vocab_size": 50,
        "tie_word_embeddings": True,
        "use_output_gate": False,
        "attn": {
            "layers": [0, 2],
            "full_layers": [2],
            "num_heads": 2,
            "num_kv_heads": 1,
            "qk_norm": True,
            "window_size": 16,
            "moba_chunk_size": 4,
            "moba_topk": 2,
        },
    }
    shapes = model_shapes(DSSAConfig.from_dict(config))
    path = tmp_path / "model.pt"
    torch.save({"config": config, "state_dict": {name: torch.zeros(s) for name, s in shapes.items()}}, path)
    yield path
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_info_of_a_checkpoint(checkpoint: Path) -> None:
    result = run("info", checkpoint)
    assert result.exit_code == 0, result.output
    facts = json.loads(run("info", checkpoint, "--json").stdout)
    sse, moba = facts["layers"]["sse"], facts["layers"]["moba"]
    assert sse["state_bytes"] == 2 * (1 + 4) * 2 * 8 * 8
    assert sse["cache_bytes"] == 16 * 2 * 8
    assert moba["cache_bytes_per_token"] == 2 * 8
    assert moba["state_bytes"] == 0
    assert moba["int8_weight_bytes"] == 2 * (16 * 24) + 2 * (8 * 24) + 3 * 24 * 32
    per_layer = sum(entry["number"] * entry["parameters"] for entry in facts["layers"].values())
    assert facts["sizes"]["parameters"] == per_layer + 50 * 24 + 24
    assert facts["sizes"]["int8_head_bytes"] == 50 * 24
    assert f"{facts['sizes']['parameters']:,}" in result.stdout


def test_info_of_nothing(tmp_path: Path) -> None:
    assert "does not exist" in sentence(run("info", tmp_path / "absent.pt"))
    assert "must hold" in sentence(run("info", tmp_path))


# Progress and the process as a whole


def test_progress_counts_stages(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        with progress.stage("outer", 2) as advance:
            for _ in range(2):
                with progress.stage("inner", 5) as inner:
                    inner(5)
                advance()
        with progress.stage("unknown length") as advance:
            advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["outer", "unknown length"]


SLOW = """
import sys, time, types
def map_model(model, *, output, progress, **arguments):
    (output / "half").write_text("x")
    with progress.stage("simulate", 10):
        print("ready", flush=True)
        time.sleep(60)
sys.modules["spikesim.flow"] = types.SimpleNamespace(map_model=map_model)
from spikesim.cli import main
main()
"""


@tried(11, "SIGINT, SIGTERM or SIGHUP in the midst of `map`", "exit 130, 143 or 129; nothing is left")
@SIGNALS
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int, said: str) -> None:
    assert interrupted(SLOW, ["map", "m.pt", "-o", "out/deep"], tmp_path, number) == (code, said)
    assert not list(tmp_path.iterdir())


SLOW_CLEANING = """
import shutil, sys, time, types
def map_model(model, *, output, progress, **arguments):
    (output / "half").write_text("x")
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(1)
sys.modules["spikesim.flow"] = types.SimpleNamespace(map_model=map_model)
from spikesim.cli import main
main()
"""


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        pytest.param(
            first,
            second,
            code,
            marks=tried(
                11, f"{first.name}, and {second.name} during the clean-up", "cleaned up; the first decides"
            ),
        )
        for first, second, code in (
            (signal.SIGINT, signal.SIGINT, 130),
            (signal.SIGTERM, signal.SIGTERM, 143),
            (signal.SIGHUP, signal.SIGTERM, 129),
            (signal.SIGTERM, signal.SIGINT, 143),
        )
    ],
)
def test_a_second_signal_does_not_cut_the_cleaning_short(
    tmp_path: Path, first: signal.Signals, second: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_CLEANING, "map", "m.pt", "-o", "out/deep"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(first, signal.SIG_DFL),  # noqa: PLW1509 - single-threaded child
    ) as process:
        assert process.stdout is not None
        for said, number in (("ready\n", first), ("cleaning\n", second)):
            assert process.stdout.readline() == said
            process.send_signal(number)
        _, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@tried(11, "SIGHUP under `nohup`", "the run goes on")
def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    script = SLOW.replace("time.sleep(60)", "time.sleep(1); raise SystemExit(7)")
    with subprocess.Popen(
        [sys.executable, "-c", script, "map", "m.pt", "-o", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509 - single-threaded child
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 7


@tried(
    11,
    "Ctrl-C, or a full disk behind the standard output, when the output is complete",
    "the sentence says so",
)
@pytest.mark.parametrize(
    ("failure", "code"), [(KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "No space left on device"), 1)]
)
def test_what_comes_after_the_output_does_not_deny_it(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("spikesim.cli.map_model.announce", fail)
    result = run("map", "m.pt", "-o", "out")
    assert result.exit_code == code
    assert "out is complete" in result.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_status_and_streams_of_the_process() -> None:
    done = subprocess.run([*COMMAND, "info", "absent.pt"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"spikesim: absent\.pt does not exist.*\n", done.stderr)


def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100))
    process = subprocess.Popen(
        [*COMMAND, "encode", str(tmp_path / "x.npy")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=60)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_a_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "encode", "1"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    said = "spikesim: the standard output must take what is printed: No space left on device\n"
    assert done.stderr == said
