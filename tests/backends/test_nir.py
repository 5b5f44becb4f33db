"""NIR out: files run in norse and in snntorch give the golden model's sums, and what is not in them is listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import nir
import numpy as np
import pytest
from helpers.places import CHECKOUT, VECTORS
from helpers.programs import port
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from spikesim.backends.nir.exactness import PLANE_CODINGS, exactness, growth
from spikesim.backends.nir.export import export_programs
from spikesim.backends.nir.left_out import REASONS, left_out
from spikesim.backends.nir.manifest import Manifest
from spikesim.backends.nir.targets import TARGETS, NIRTarget, checked_target
from spikesim.cli.app import app
from spikesim.cli.export import Tool
from spikesim.errors import CapacityError, CheckpointError, CodingError, ToolError
from spikesim.flow import map_model
from spikesim.golden.frame import Frame
from spikesim.golden.product import product
from spikesim.hardware import Coding, HardwareConfig
from spikesim.program import Gather, Instruction, Program, ProgramText, Section, View, is_matrix
from spikesim.program.trace import Place
from spikesim.run.session import run_chain
from spikesim.run.simulator import Simulator
from spikesim.run.tokens import InputRequest
from spikesim.spikes.digits import INT8_PLANES, digits
from spikesim.support.files import atomic_directory
from spikesim.verify.job import Job as ModelRun
from spikesim.verify.job import model_job

TINY = VECTORS / "tiny_dssa"
DOCUMENT = CHECKOUT / "docs" / "nir.md"
RUNNER = CHECKOUT / "tests" / "helpers" / "nir_runner.py"
TOOLS = Path(sys.prefix) / "nir"
TOKENS = 6
SEED = 7


# Programs to export


def matrix_program(matrices: Mapping[str, NDArray[np.int8]]) -> Program:
    """A program of matrix gathers alone."""

    def whole(name: str, length: int) -> View:
        return View(name=name, length=length, stride=length)

    vectors, gathers = {}, []
    for name, matrix in matrices.items():
        outputs, channels = matrix.shape
        vectors |= {f"{name}.counts": channels, f"{name}.sums": outputs}
        counts, sums = whole(f"{name}.counts", channels), whole(f"{name}.sums", outputs)
        gathers.append(Gather(dst=sums, counts=counts, operand="matrix", name=name))
    text = ProgramText(
        name="random",
        inputs=(port(gathers[0].counts.name, vectors[gathers[0].counts.name]),),
        outputs=(port(gathers[-1].dst.name, vectors[gathers[-1].dst.name]),),
        vectors=vectors,
        sections=(Section(kind="parallel", instructions=tuple(gathers)),),
    )
    return Program(text=text, constants={}, matrices=matrices)


def random_matrices() -> dict[str, NDArray[np.int8]]:
    """Random ones of several shapes, and the extremes; `wide` needs 64-bit floats."""
    generator = np.random.default_rng(SEED)
    shapes = {"square": (33, 33), "tall": (70, 9), "flat": (5, 300), "single": (1, 1), "row": (1, 64)}
    found = {name: generator.integers(-128, 128, shape).astype(np.int8) for name, shape in shapes.items()} | {
        "extremes": generator.choice([-128, -127, 127], (24, 65)).astype(np.int8),
        "least": np.full((3, 130), -128, np.int8),
        "zero": np.zeros((4, 4), np.int8),
        "wide": np.full((3, 1101), 127, np.int8),
    }
    found["wide"][1] *= -1
    found["wide"][2] = generator.integers(-128, 128, 1101)
    return found


def trying_counts(channels: int) -> NDArray[np.int32]:
    """int32[tokens, channels]: random counts, all at either end, and each end at random."""
    generator = np.random.default_rng(SEED + channels)
    full = np.full((1, channels), 127)
    ends = generator.choice([-127, 127], (2, channels))
    return np.concatenate([generator.integers(-127, 128, (TOKENS, channels)), full, -full, ends]).astype(
        np.int32
    )


class GatherRecorder:
    """Keeps counts and sums of every matrix gather, over all tokens, by program and matrix."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], tuple[NDArray[np.int32], NDArray[np.int32]]] = {}

    def executed(self, place: Place, instruction: Instruction, frame: Frame) -> None:
        if is_matrix(instruction):
            words = (frame.view(view)[:, 0].copy() for view in (instruction.counts, instruction.dst))
            counts, sums = words
            self.seen[place.program, instruction.name] = counts, sums


def golden_gathers(
    job: ModelRun,
) -> dict[tuple[str, str], tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Counts and sums of every matrix gather of a model, over all its tokens, by program and matrix."""
    recorder = GatherRecorder()
    simulators = [Simulator(program, job.hardware, observers=[recorder]) for program in job.programs]
    run_chain(job.chain, simulators, job.words[:, None])
    return recorder.seen


# Running them in the tools


@dataclass(frozen=True, kw_only=True)
class Job:
    """A graph to run: its path, its entry of export.json, the counts it gets and the sums of the golden model."""

    name: tuple[str, ...]
    tool: str
    path: Path
    entry: dict[str, Any]
    counts: NDArray[np.int32]
    expected: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Sums that were compared, and how many of them differ."""

    compared: int
    different: int


def run_jobs(jobs: list[Job], folder: Path) -> dict[tuple[str, ...], Outcome]:
    """Run all jobs, those of a tool in one process, and compare."""
    if not all((TOOLS / tool / "__init__.py").is_file() for tool in TARGETS):
        pytest.fail(f"{' and '.join(TARGETS)} must be installed in {TOOLS} to run these tests: make install")
    asked: dict[str, list[dict[str, Any]]] = {tool: [] for tool in TARGETS}
    for number, job in enumerate(jobs):
        np.save(folder / f"{number}.counts.npy", job.counts)
        arrays = {kind: str(folder / f"{number}.{kind}.npy") for kind in ("counts", "sums")}
        asked[job.tool].append({"file": str(job.path), "entry": job.entry, **arrays})
    running = []
    for tool, list_of_jobs in asked.items():
        path = folder / f"{tool}.json"
        path.write_text(json.dumps(list_of_jobs))
        command = [sys.executable, str(RUNNER), tool, str(DOCUMENT), str(path)]
        environment = {**os.environ, "PYTHONPATH": str(TOOLS), "OMP_NUM_THREADS": "1"}
        with (folder / f"{tool}.txt").open("w") as log:
            place = folder / tool  # where the example of the documentation finds the folder it names
            place.mkdir()
            (place / "exported").symlink_to(folder / f"model_{tool}")
            running.append(subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log))
    for tool, process in zip(asked, running, strict=True):
        assert process.wait(timeout=120) == 0, (folder / f"{tool}.txt").read_text()
    outcomes = {}
    for number, job in enumerate(jobs):
        got = np.load(folder / f"{number}.sums.npy")
        assert got.shape == job.expected.shape
        outcomes[job.name] = Outcome(compared=got.size, different=int((got != job.expected).sum()))
    assert len(outcomes) == len(jobs)
    return outcomes


def written(programs: list[Program], folder: Path, tool: str, coding: str) -> Manifest:
    """Export into a folder, and read the manifest back."""
    folder.mkdir()
    manifest = export_programs(programs, folder, target=TARGETS[tool], coding=coding, model="test")
    assert Manifest.model_validate_json((folder / "export.json").read_text()) == manifest
    return manifest


def random_jobs(folder: Path) -> list[Job]:
    """Random and extreme matrices in every coding, for both tools."""
    program, jobs = matrix_program(random_matrices()), []
    for tool in TARGETS:
        for coding in PLANE_CODINGS:
            place = folder / f"random_{tool}_{coding}"
            for file in written([program], place, tool, coding).files:
                counts = trying_counts(file.channels)
                job = Job(
                    name=("random", tool, coding, file.matrix),
                    tool=tool,
                    path=place / file.file,
                    entry=file.model_dump(mode="json"),
                    counts=counts,
                    expected=product(counts, program.matrices[file.matrix]),
                )
                jobs.append(job)
    return jobs


def model_jobs(chain: ModelRun, folder: Path) -> list[Job]:
    """All matrices of the golden-vector model, with the counts of its tokens and with trying ones, for both tools."""
    golden, jobs = golden_gathers(chain), []
    matrices = {program.text.name: program.matrices for program in chain.programs}
    for tool in TARGETS:
        place = folder / f"model_{tool}"
        for file in written(chain.programs, place, tool, chain.hardware.numerics.coding).files:
            counts, sums = golden[file.program, file.matrix]
            more = trying_counts(file.channels)
            expected = product(more, matrices[file.program][file.matrix])
            job = Job(
                name=("model", tool, file.program, file.matrix),
                tool=tool,
                path=place / file.file,
                entry=file.model_dump(mode="json"),
                counts=np.concatenate([counts, more]),
                expected=np.concatenate([sums, expected]),
            )
            jobs.append(job)
    return jobs


def mutated(job: Job, what: str, folder: Path) -> Job:
    """The job with one thing wrong."""
    tool, entry, graph = job.tool, dict(job.entry), nir.read(job.path)
    path = folder / f"{job.tool}_{what}.nir"
    match what:
        case "tool":
            tool = next(other for other in TARGETS if other != job.tool)
        case "tau":
            graph.nodes["sums"].tau = graph.nodes["sums"].tau * np.float32(1.01)
        case "scale":
            graph.nodes["weights"].weight = graph.nodes["weights"].weight / 2
        case "weight":
            graph.nodes["weights"].weight[0, 0] += entry["weight_scale"]
        case "threshold":
            graph.nodes["sums"].v_threshold[:] = 1
        case "plane":
            entry["planes"] -= 1
        case "coding":
            entry["coding"] = "ternary"
        case "float":
            entry["float_bits"] = 32
    nir.write(path, graph)
    return replace(job, name=("mutant", job.tool, what), tool=tool, path=path, entry=entry)


MUTANTS = {"square": ("tool", "tau", "scale", "weight", "threshold", "plane", "coding"), "wide": ("float",)}


@pytest.fixture(scope="module")
def chain() -> ModelRun:
    """The golden-vector model."""
    return model_job(TINY, HardwareConfig(), tokens=TOKENS)


@pytest.fixture(scope="module")
def outcomes(chain: ModelRun, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Outcome]:
    """Everything that is run, at once: starting a tool takes seconds."""
    folder = tmp_path_factory.mktemp("nir")
    jobs = random_jobs(folder) + model_jobs(chain, folder)
    healthy = {job.name: job for job in jobs}
    for tool in TARGETS:
        for matrix, kinds in MUTANTS.items():
            job = healthy["random", tool, "signed_digit", matrix]
            jobs += [mutated(job, kind, folder) for kind in kinds]
    return run_jobs(jobs, folder)


def of_kind(outcomes: dict[tuple[str, ...], Outcome], *start: str) -> dict[tuple[str, ...], Outcome]:
    return {name: found for name, found in outcomes.items() if name[: len(start)] == start}


@pytest.mark.parametrize("coding", PLANE_CODINGS)
@pytest.mark.parametrize("tool", TARGETS)
def test_random_matrices_are_exact(outcomes: dict[tuple[str, ...], Outcome], tool: str, coding: str) -> None:
    """Extreme weights and counts included, in every coding."""
    found = of_kind(outcomes, "random", tool, coding)
    assert {name[-1] for name in found} == set(random_matrices())
    assert [name for name, outcome in found.items() if outcome.different] == []


@pytest.mark.parametrize("tool", TARGETS)
def test_the_model_is_exact(outcomes: dict[tuple[str, ...], Outcome], chain: ModelRun, tool: str) -> None:
    """Every matrix that any layer gathers, with what its tokens send and with trying counts."""
    found = of_kind(outcomes, "model", tool)
    gathered = {(p.text.name, i.name) for p in chain.programs for i in p.instructions() if is_matrix(i)}
    assert {name[2:] for name in found} == gathered
    assert [name for name, outcome in found.items() if outcome.different] == []
    assert sum(outcome.compared for outcome in found.values()) > 20_000


@pytest.mark.parametrize("mutant", [kind for kinds in MUTANTS.values() for kind in kinds])
@pytest.mark.parametrize("tool", TARGETS)
def test_what_is_wrong_is_noticed(outcomes: dict[tuple[str, ...], Outcome], tool: str, mutant: str) -> None:
    """Another tool, parameter, order of digits or float does not give the sums."""
    assert outcomes["mutant", tool, mutant].different > 0


# What is in a file


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_leak_is_one_half(target: NIRTarget) -> None:
    """In the arithmetic of each tool: single for norse, whose parameters are, double for snntorch's decay."""
    single = np.float32
    norse = single(target.dt_s) * (single(1) / single(target.tau_s))
    snntorch = 1 - target.dt_s / single(target.tau_s)
    assert {"norse": norse, "snntorch": single(snntorch)}[target.name] == 0.5
    if target.name == "snntorch":
        assert np.isclose(target.r * target.dt_s / target.tau_s, 1)


@pytest.mark.parametrize("coding", PLANE_CODINGS)
@pytest.mark.parametrize("tool", TARGETS)
def test_the_file(tool: str, coding: str, tmp_path: Path) -> None:
    """Four nodes in a row, weights scaled exactly, and metadata that says how to run it."""
    matrix = random_matrices()["extremes"]
    (file,) = written([matrix_program({"extremes": matrix})], tmp_path / "out", tool, coding).files
    graph = nir.read(tmp_path / "out" / file.file)
    assert graph.edges == [("input", "weights"), ("weights", "sums"), ("sums", "output")]
    assert file.weight_scale == 2 ** (INT8_PLANES[coding] - (tool == "snntorch"))
    assert np.array_equal(graph.nodes["weights"].weight, matrix.astype(np.int64) * file.weight_scale)
    assert float(graph.nodes["sums"].v_threshold.min()) == 2.0**62
    said = {
        key: value.decode() if isinstance(value, bytes) else value for key, value in graph.metadata.items()
    }
    assert said["target"] == tool
    assert (said["coding"], int(said["planes"])) == (coding, file.planes)
    assert said["order"] == "least significant first"


@pytest.mark.parametrize("coding", PLANE_CODINGS)
@pytest.mark.parametrize("tool", TARGETS)
def test_the_bound_is_reached_and_kept(tool: str, coding: str) -> None:
    """What a step forms in one row of ±127, for every count: at most the bound, and once the bound itself."""
    target, planes = TARGETS[tool], INT8_PLANES[coding]
    largest, potential = 0, np.zeros(255)
    for p, plane in enumerate(digits(np.arange(-127, 128), coding)):
        entering = 127.0 * target.weight_scale(planes) * plane
        formed = [entering, entering - potential] if tool == "norse" else [entering]
        potential = potential + 0.5 * formed[-1] if tool == "norse" else 0.5 * potential + entering
        unit = 2.0 ** (planes - p) if tool == "norse" else 2.0 ** (planes - 1 - p)
        integers = np.concatenate([np.abs(words) / unit for words in formed])
        integers = np.append(integers, np.abs(potential).max() / 2.0 ** (planes - 1 - p))
        assert (integers == np.rint(integers)).all()
        largest = max(largest, int(integers.max()))
    assert np.array_equal(potential, 127.0 * np.arange(-127, 128))
    bound = exactness(np.full((1, 1), 127, np.int8), target, coding, planes)
    assert bound.largest == 127 * growth(target, coding, planes) == largest


def test_floats_are_as_wide_as_it_takes() -> None:
    """The last matrix that is exact in 32 bits, the first that is not, and one that nothing holds."""
    target = TARGETS["norse"]
    bits = [
        exactness(np.full((1, channels), -127, np.int8), target, "signed_digit", 8).float_bits
        for channels in (777, 778)
    ]
    assert bits == [32, 64]
    endless = np.broadcast_to(np.int8(-128), (1, 2**20))
    assert exactness(endless, target, "signed_digit", 8).float_bits == 64


def test_sums_that_no_float_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the matrix; no real matrix is that wide."""
    monkeypatch.setattr("spikesim.backends.nir.exactness.FLOATS", {32: 2**10, 64: 2**12})
    with pytest.raises(CapacityError, match=r"sums of mlp\.in in layer_00 must be at most 2\^53"):
        exactness(np.full((1, 9), 127, np.int8), TARGETS["norse"], "bitwise", 7, "mlp.in in layer_00")


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    """Byte for byte."""
    program = matrix_program({"tall": random_matrices()["tall"]})
    for name in ("once", "again"):
        written([program], tmp_path / name, "norse", "bitwise")
    for file in ("random/tall.nir", "export.json"):
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_a_matrix_gathered_twice_is_one_file(tmp_path: Path) -> None:
    """Both places are named."""
    program = matrix_program({"tall": random_matrices()["tall"]})
    (gather,) = program.instructions()
    twice = program.text.model_copy(
        update={"sections": (Section(kind="parallel", instructions=(gather, gather)),)}
    )
    manifest = written([replace(program, text=twice)], tmp_path / "out", "norse", "bitwise")
    (file,) = manifest.files
    assert [use.instruction for use in file.gathers] == [0, 1]
    assert manifest.programs[0].exported == 2


def test_a_missing_matrix(tmp_path: Path) -> None:
    """A program whose numbers do not fit its text."""
    program = replace(matrix_program({"tall": random_matrices()["tall"]}), matrices={})
    with pytest.raises(CheckpointError, match="must hold matrix tall"):
        export_programs([program], tmp_path, target=TARGETS["norse"], coding="bitwise", model="test")


def test_missing_tools_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these tests, with the command that installs them; nothing is skipped."""
    monkeypatch.setitem(globals(), "TOOLS", tmp_path)
    with pytest.raises(pytest.fail.Exception, match=r"must be installed in .*: make install"):
        run_jobs([], tmp_path)


# What is left out


def test_every_instruction_is_exported_or_left_out(chain: ModelRun, tmp_path: Path) -> None:
    """Counted by kind, per program and in all."""
    manifest = written(chain.programs, tmp_path / "out", "norse", "signed_digit")
    everything: Counter[str] = Counter()
    for program, exported in zip(chain.programs, manifest.programs, strict=True):
        kinds = Counter(
            f"gather.{i.operand}" if isinstance(i, Gather) else i.op for i in program.instructions()
        )
        everything += kinds
        assert exported.exported == kinds.pop("gather.matrix", 0)
        assert {entry.op: entry.count for entry in exported.left_out} == kinds
        assert exported.instructions == exported.exported + kinds.total()
        assert set(exported.caches) == set(program.text.caches)
        assert set(exported.states) == set(program.text.states)
    del everything["gather.matrix"]
    assert {entry.op: entry.count for entry in manifest.left_out} == everything
    assert all(entry.reason for entry in manifest.left_out)


def test_a_reason_for_every_instruction() -> None:
    """And none for one that there is not."""
    ops = {get_args(member.model_fields["op"].annotation)[0] for member in get_args(get_args(Instruction)[0])}
    operands = set(get_args(Gather.model_fields["operand"].annotation)) - {"matrix"}
    assert set(REASONS) == ops - {"gather"} | {f"gather.{operand}" for operand in operands}


def test_an_instruction_without_a_reason(chain: ModelRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a fault of ours, not left out in silence."""
    monkeypatch.setattr(
        "spikesim.backends.nir.left_out.REASONS", {key: "" for key in REASONS if key != "rotate"}
    )
    with pytest.raises(TypeError, match="rotate"):
        left_out(chain.programs)


# The command


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in ("export", *words)], env={"COLUMNS": "160"})


def sentence(result: Result, code: int = 1) -> str:
    """The line on the standard error that says what is wrong; nothing on the standard output, no traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert not result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("spikesim: ")]
    return line


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `spikesim map` leaves it, without the report."""
    folder = tmp_path_factory.mktemp("map") / "tiny"
    hardware = HardwareConfig().replace(**{"numerics.coding": "ternary"})
    with atomic_directory(folder) as workspace:
        map_model(TINY, output=workspace, hardware=hardware, request=InputRequest(max_tokens=2))
    return folder


@pytest.mark.parametrize("tool", list(Tool))
def test_what_the_command_writes_and_says(tool: Tool, tmp_path: Path) -> None:
    """A file per matrix, a table, what is left out and what to know."""
    result = run(TINY, "--format", "nir", "--target", tool.value, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    manifest = Manifest.model_validate_json((tmp_path / "out" / "export.json").read_text())
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/*/*.nir")) == sorted(
        file.file for file in manifest.files
    )
    assert (manifest.model, manifest.target.name, manifest.not_chosen) == ("tiny_dssa", tool.value, ())
    said = " ".join(result.stdout.split())
    for entry in manifest.left_out:
        assert f"{entry.count} {entry.op}" in said
    for words in ("layer_00", "23 of 420 instructions", "8 planes of signed_digit", str(tmp_path / "out")):
        assert words in said


def test_a_mapped_folder_and_some_programs(mapped: Path, tmp_path: Path) -> None:
    """The same files as from the checkpoint; the rest is named."""
    chosen = ("--programs", "layer_02, layer_00", "--coding", "bitwise", "--target", "norse")
    for model, name in ((mapped, "mapped"), (TINY, "checkpoint")):
        result = run(model, *chosen, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    manifest = Manifest.model_validate_json((tmp_path / "mapped" / "export.json").read_text())
    assert [program.name for program in manifest.programs] == ["layer_00", "layer_02"]
    assert manifest.not_chosen == ("position", "layer_01", "layer_03", "head")
    for file in manifest.files:
        assert (tmp_path / "mapped" / file.file).read_bytes() == (
            tmp_path / "checkpoint" / file.file
        ).read_bytes()


def test_an_earlier_result_stays(tmp_path: Path) -> None:
    """Without --force; with it, it is replaced whole."""
    first = (TINY, "--target", "norse", "--programs", "layer_00,head", "-o", tmp_path / "out")
    assert run(*first).exit_code == 0
    assert "--force" in sentence(run(*first))
    again = run(TINY, "--target", "snntorch", "--programs", "head", "-o", tmp_path / "out", "--force")
    assert again.exit_code == 0, again.output
    assert [path.name for path in tmp_path.glob("out/*/*.nir")] == ["head.nir"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--target", "norse", "--programs", "layer_09"],
            2,
            "must be of layer_00, layer_01, layer_02, layer_03, head",
        ),
        (["--target", "norse", "--programs", "layer_00,"], 2, "not nothing"),
        (["--target", "norse", "--programs", "position"], 2, "layer_03, head, not position"),
        (["--target", "sinabs"], 2, "'norse', 'snntorch'"),
        (["--target", "norse", "--format", "onnx"], 2, "'onnx'"),
        ([], 2, "--target"),
        (
            ["--target", "norse", "--coding", "ternary"],
            1,
            "must be one of signed_digit, bitwise, twos_complement",
        ),
        (["--target", "norse", "--coding", "morse"], 1, "numerics.coding must be one of"),
    ],
)
def test_wrong_usage(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    """One sentence, and nothing is written."""
    assert message in sentence(run(TINY, *words, "-o", tmp_path / "out"), code)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_mapped_as_ternary(mapped: Path, tmp_path: Path) -> None:
    """Has to be told another coding, and takes no other option."""
    wanted = ("--target", "norse", "-o", tmp_path / "out")
    assert "not ternary" in sentence(run(mapped, *wanted))
    assert "--window has no effect" in sentence(run(mapped, *wanted, "--window", "3"), 2)
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_not_overwritten(mapped: Path, tmp_path: Path) -> None:
    """Not even with --force, nor a folder that somebody else filled."""
    before = sorted(mapped.rglob("*"))
    said = sentence(run(mapped, "--target", "norse", "--coding", "bitwise", "--force", "-o", mapped))
    assert "must be another folder" in said
    assert sorted(mapped.rglob("*")) == before
    (tmp_path / "mine.txt").write_text("mine")
    assert "mine.txt" in sentence(run(TINY, "--target", "norse", "--force", "-o", tmp_path))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One sentence with the command, before the model is mapped."""
    monkeypatch.setitem(sys.modules, "nir", None)
    said = sentence(run(tmp_path / "no-model.pt", "--target", "norse", "-o", tmp_path / "out"))
    assert "pip install 'nir" in said


def test_targets_and_choices_are_the_same() -> None:
    """What the command offers is what there is."""
    assert [tool.value for tool in Tool] == list(TARGETS)
    with pytest.raises(ToolError, match="norse, snntorch, not lava"):
        checked_target("lava")


def test_codings_that_cannot_be_added_up_by_halving(tmp_path: Path) -> None:
    """Are refused by name, whoever asks."""
    program = matrix_program({"tall": random_matrices()["tall"]})
    for coding in set(get_args(Coding)) - set(PLANE_CODINGS):
        with pytest.raises(CodingError, match=f"not {coding}"):
            export_programs([program], tmp_path, target=TARGETS["norse"], coding=coding, model="test")
