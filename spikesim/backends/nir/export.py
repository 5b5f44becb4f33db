"""Programs to a folder: a NIR file for every matrix that is gathered, and `export.json`.

One matrix is one file, since neither tool runs a graph of several inputs: norse 1.1.0 takes the first input and leaves
the others out, snntorch 1.0.0 does not come back from loading it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikesim.backends.nir.exactness import FLOATS, PlaneCoding, checked_plane_coding, exactness
from spikesim.backends.nir.graph import matrix_graph, write_graph
from spikesim.backends.nir.left_out import left_out
from spikesim.backends.nir.manifest import (
    MANIFEST_FILE,
    ExportedProgram,
    GatherUse,
    GraphFile,
    InputCoding,
    Manifest,
    TargetTool,
)
from spikesim.backends.nir.package import nir_package
from spikesim.backends.nir.targets import NIRTarget
from spikesim.errors import CheckpointError
from spikesim.program import COUNT_LIMIT, Program, is_matrix
from spikesim.spikes.digits import INT8_PLANES
from spikesim.support.progress import SILENT, Progress


def export_programs(
    programs: Sequence[Program],
    folder: Path,
    *,
    target: NIRTarget,
    coding: str,
    model: str,
    not_chosen: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Manifest:
    """Write the graphs of `programs` and the manifest, which is returned too, into `folder`, which exists.

    Files are `<program>/<matrix>.nir`. Raises CodingError for a coding that cannot be added up by halving,
    CapacityError for a matrix whose sums no float holds, and CheckpointError for one that is missing.
    """
    digits = checked_plane_coding(coding)
    exported = []
    with progress.stage("export", len(programs)) as advance:
        for program in programs:
            exported.append(_export(program, folder, target, digits))
            advance()
    manifest = Manifest(
        nir_version=nir_package().__version__,
        model=model,
        target=TargetTool(**{name: getattr(target, name) for name in TargetTool.model_fields}),
        input=InputCoding(
            coding=digits,
            planes=INT8_PLANES[digits],
            counts=(-COUNT_LIMIT, COUNT_LIMIT),
            encoder=f'spikesim.spikes.digits.digits(counts, "{digits}", {INT8_PLANES[digits]})',
        ),
        programs=tuple(exported),
        not_chosen=tuple(not_chosen),
        left_out=left_out(programs),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def gathers_of(program: Program) -> dict[str, tuple[GatherUse, ...]]:
    """Where a program gathers which matrix, by the matrix's name, in the order of the first use."""
    found: dict[str, tuple[GatherUse, ...]] = {}
    for number, instruction in enumerate(program.instructions()):
        if is_matrix(instruction):
            gather = GatherUse(
                instruction=number,
                counts=instruction.counts.name,
                counts_offset=instruction.counts.offset,
                sums=instruction.dst.name,
                sums_offset=instruction.dst.offset,
            )
            found[instruction.name] = (*found.get(instruction.name, ()), gather)
    return found


def _export(program: Program, folder: Path, target: NIRTarget, coding: PlaneCoding) -> ExportedProgram:
    gathers = gathers_of(program)
    files = [_write(program, name, uses, folder, target, coding) for name, uses in gathers.items()]
    return ExportedProgram(
        name=program.text.name,
        instructions=sum(1 for _ in program.instructions()),
        exported=sum(len(uses) for uses in gathers.values()),
        files=tuple(files),
        left_out=left_out([program]),
        caches=tuple(program.text.caches),
        states=tuple(program.text.states),
    )


def _write(
    program: Program,
    name: str,
    uses: tuple[GatherUse, ...],
    folder: Path,
    target: NIRTarget,
    coding: PlaneCoding,
) -> GraphFile:
    """Write the graph of one matrix. Raises CheckpointError if the program does not hold it."""
    if name not in program.matrices:
        raise CheckpointError(
            f"program {program.text.name} must hold matrix {name}, which it gathers; map again"
        )
    matrix, planes = program.matrices[name], INT8_PLANES[coding]
    bound = exactness(matrix, target, coding, planes, f"{name} in {program.text.name}")
    limit = FLOATS[bound.float_bits]
    file = GraphFile(
        file=f"{program.text.name}/{name}.nir",
        program=program.text.name,
        matrix=name,
        target=target.name,
        dt_s=target.dt_s,
        channels=matrix.shape[1],
        outputs=matrix.shape[0],
        coding=coding,
        planes=planes,
        weight_scale=target.weight_scale(planes),
        row_sum=bound.row_sum,
        growth=bound.growth,
        largest=bound.largest,
        float_bits=bound.float_bits,
        exact_up_to=limit,
        proof=(
            f"every step forms integers times powers of two, of magnitude at most {bound.row_sum} × {bound.growth}"
            f" = {bound.largest} ≤ {limit}, which {bound.float_bits}-bit floats hold"
        ),
        gathers=uses,
    )
    # A file that has lost its folder can still be run: what NIR has no field for travels as metadata.
    kept = (
        "program",
        "matrix",
        "target",
        "dt_s",
        "coding",
        "planes",
        "weight_scale",
        "sum_scale",
        "float_bits",
    )
    metadata = {key: getattr(file, key) for key in kept} | {"order": "least significant first"}
    path = folder / file.file
    path.parent.mkdir(exist_ok=True)
    write_graph(path, matrix_graph(matrix, target, planes, metadata))
    return file
