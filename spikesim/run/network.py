"""A network that takes samples, mapped and simulated: the chain of a language model, with samples for tokens."""

from __future__ import annotations

from pathlib import Path

import torch

from spikesim.golden.frame import Words
from spikesim.hardware import HardwareConfig
from spikesim.mapping.frontend import OpenedNetwork, Reference
from spikesim.program import Port, result_of
from spikesim.program.compiled import PROGRAM_FOLDER, Block, Compiled, Samples, TextRule, write_table
from spikesim.program.verifier import verify_for
from spikesim.results.report import LayerCosine, Report
from spikesim.run.activity import ActivityTally, pictures
from spikesim.run.fidelity import FIRST_SAMPLES, ClassScore, Cosines
from spikesim.run.runner import Runner, Stopwatch
from spikesim.run.sample_files import SampleArrays
from spikesim.run.samples import Taken, read_samples, samples_to_run
from spikesim.run.saved_tokens import mapped_tokens, save_tokens, words_of
from spikesim.run.session import Session
from spikesim.run.summary import summarise_run
from spikesim.run.tokens import Calibration, InputRequest, Tokens, for_samples
from spikesim.run.written import finish_mapping, stream_fraction
from spikesim.support.progress import Progress


def map_network(
    opened: OpenedNetwork,
    *,
    output: Path,
    hardware: HardwareConfig,
    request: InputRequest,
    calibration: Path | SampleArrays | None,
    stopwatch: Stopwatch,
    command: str,
    progress: Progress,
) -> Report:
    """Maps an opened network onto the hardware and simulates it; writes the mapping into `output`, a free folder."""
    for_samples(request)
    folder = output / PROGRAM_FOLDER
    with stopwatch.stage("load"), torch.no_grad():
        taken = Taken(shape=opened.shape, keeps_state=opened.keeps_state, classes=opened.summary.classes)
        samples = samples_to_run(request, taken)
        ranges = samples if calibration is None else read_samples(calibration, taken)
    with stopwatch.stage("calibrate"), torch.no_grad():
        opened.calibrate(ranges.numbers, hardware)
        opened.check()
    with stopwatch.stage("load"):
        host = opened.host(samples.items, samples.numbers.shape[1])
        run, table = samples.tokens(host, opened.entry, keeps_state=taken.keeps_state)
        folder.mkdir()
        write_table(folder, table)
        session = Session(opened.links, table[run.ids.T])
    runner = Runner(
        hardware,
        session,
        run.ids.size,
        stopwatch,
        folder,
        item=opened.summary.item,
        activity=_activity(run, hardware, taken.keeps_state),
    )
    score = _score(run, taken.keeps_state)
    blocks: list[Block] = []
    cosines: list[LayerCosine] = []
    with torch.no_grad(), progress.stage("layers", len(opened.summary.layer_kinds) + 1) as advance:
        for lowered in opened.lower(samples.numbers, stopwatch.stage):
            program, block, reference = lowered.program, lowered.block, lowered.reference
            found = Cosines()
            is_result = opened.output == result_of(program.text)
            take = _Taken(
                port=program.text.outputs[0],
                reference=reference,
                score=score if is_result else None,
                cosines=None if reference is None else found,
            )
            runner.run(program, block, take)
            if block.layer is not None and reference is not None:
                cosines.append(found.layer(block.layer, block.kind))
            blocks.append(block)
            advance()
    note = _calibration_note(calibration, ranges.name, len(ranges.numbers))
    save_tokens(run, Calibration(None, ranges.name if calibration is not None else "", note), folder)
    reading = TextRule(
        reads="nothing",
        sequence_length=run.ids.shape[1],
        text=run.origin.name,
        calibration=ranges.name if calibration is not None else "",
    )
    compiled = finish_mapping(output, opened, runner, blocks, host=host, reading=reading, command=command)
    fidelity = score.fidelity().model_copy(update={"layer_cosine": tuple(cosines)})
    _show_first(runner, score, compiled, run)
    settings = {"calibration": note, "stream_fraction": stream_fraction(compiled)}
    return summarise_run(opened.summary, run, fidelity, runner, settings, command)


def simulate_network(
    compiled: Compiled,
    *,
    hardware: HardwareConfig,
    request: InputRequest,
    command: str,
    progress: Progress,
) -> Report:
    """Runs a mapped network again, on the same samples or others."""
    text, summary = compiled.text, compiled.text.model
    verify_for(compiled.texts, hardware)
    run = mapped_tokens(compiled, request)
    stopwatch = Stopwatch()
    session = Session(text.links, words_of(compiled, run, run.ids.T))
    runner = Runner(
        hardware,
        session,
        run.ids.size,
        stopwatch,
        None,
        item=summary.item,
        activity=_activity(run, hardware, summary.item == "step"),
    )
    score = _score(run, summary.item == "step")
    with progress.stage("layers", len(text.programs)) as advance:
        for name in text.programs:
            with stopwatch.stage("load"):
                program = compiled.program(name)
            take = _Taken(port=compiled.result, score=score) if name == text.output.program else None
            runner.run(program, compiled.block(name), take)
            advance()
    runner.finished()
    _show_first(runner, score, compiled, run)
    settings = {"mapped in": str(compiled.folder)}
    return summarise_run(summary, run, score.fidelity(), runner, settings, command)


class _Taken:
    """Takes a program's first output, some steps at a time, for the score or the cosines of its layer."""

    def __init__(
        self,
        *,
        port: Port,
        reference: Reference | None = None,
        score: ClassScore | None = None,
        cosines: Cosines | None = None,
    ) -> None:
        self.port, self.reference, self.score, self.cosines = port, reference, score, cosines

    def __call__(self, steps: slice, words: Words) -> None:
        """words: int32[steps, sequences, words]."""
        known = None if self.reference is None else self.reference(steps)
        if self.score is not None:
            self.score.add(steps, known, words)
        if self.cosines is not None and known is not None:
            self.cosines.add(known, torch.from_numpy(words).float().mul_(2.0**-self.port.format.fraction))


def _score(run: Tokens, adds_steps: bool) -> ClassScore:
    sequences, steps = run.ids.shape
    return ClassScore(steps, sequences, adds_steps=adds_steps, labels=run.labels)


def _activity(run: Tokens, hardware: HardwareConfig, keeps_state: bool) -> ActivityTally:
    return ActivityTally(
        coding=hardware.numerics.coding,
        items=run.ids.size,
        steps=run.ids.shape[1] if keeps_state else 1,
        keeps_state=keeps_state,
    )


def _show_first(runner: Runner, score: ClassScore, compiled: Compiled, run: Tokens) -> None:
    """Keeps pictures of the first samples, for the report."""
    host = compiled.text.host
    if runner.activity is not None and isinstance(host, Samples):
        ids = run.ids if runner.activity.keeps_state else run.ids.reshape(-1, 1)
        words = words_of(compiled, run, ids[:FIRST_SAMPLES])
        runner.activity.pictures = pictures(score, words, host, compiled.result)


def _calibration_note(given: Path | SampleArrays | None, name: str, samples: int) -> str:
    if given is None:
        return "ranges from the evaluated samples themselves"
    return f"ranges from {name or 'arrays'}, {samples:,} samples"
