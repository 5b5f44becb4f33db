"""`export.json`: what lies beside the graphs, so that each can be run exactly and what is missing is known."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikesim.backends.nir.exactness import FloatBits, PlaneCoding
from spikesim.results.base import Result

MANIFEST_FILE = "export.json"

NOT_IN_NIR = (
    "a time step: NIR is in continuous time, the tool chooses",
    "an encoder into bit planes: whoever runs a graph sends the planes",
    "a reset by subtraction: the neurons here never fire, so that none is needed",
    "a read-out of the potential: the output node carries spikes, which stay zero",
)
"""What no node of NIR says and whoever runs a graph must know."""


class TargetTool(Result):
    """The tool that the graphs are written for. In another tool they are not exact."""

    name: str = Field(description="tool")
    version: str = Field(description="version in which graphs were measured to be exact")
    dt_s: float = Field(gt=0, description="time step of the tool, s; the tool's default, not in the file")
    tau_s: float = Field(gt=0, description="time constant of every neuron, s")
    r: float = Field(gt=0, description="resistance of every neuron")
    update: str = Field(description="what the tool makes of potential v and input in a step")
    load: str = Field(description="call that loads a graph")
    potential: str = Field(description="where the potentials are after the last step")


class InputCoding(Result):
    """How counts enter a graph, one plane per time step, potentials at zero before the first."""

    coding: PlaneCoding = Field(description="digits of a count")
    planes: int = Field(ge=1, description="planes, one time step each")
    order: Literal["least significant first"] = Field(
        default="least significant first", description="plane p is sent in step p"
    )
    digits: tuple[int, ...] = Field(default=(-1, 0, 1), description="values of an input in a step")
    counts: tuple[int, int] = Field(description="least and largest count that may enter")
    encoder: str = Field(description="call that gives the planes: int8[planes, tokens, channels]")


class GatherUse(Result):
    """A place where a program uses the matrix."""

    instruction: int = Field(ge=0, description="number of the instruction in its program, from 0")
    counts: str = Field(description="vector that holds the counts")
    counts_offset: int = Field(ge=0, description="first word of the counts in it")
    sums: str = Field(description="vector that takes the sums")
    sums_offset: int = Field(ge=0, description="first word of the sums in it")


class GraphFile(Result):
    """One matrix of one program as a NIR file, and what it takes to run it exactly."""

    file: str = Field(description="path below the folder of this document")
    program: str = Field(description="program, such as layer_00")
    matrix: str = Field(description="matrix of that program")
    target: str = Field(description="tool that the graph is written for")
    dt_s: float = Field(gt=0, description="time step of that tool, s")
    channels: int = Field(ge=1, description="inputs")
    outputs: int = Field(ge=1, description="neurons, one per sum")
    coding: str = Field(description="digits of a count")
    planes: int = Field(ge=1, description="time steps: planes of a count, least significant first")
    weight_scale: int = Field(ge=1, description="INT8 weights are stored times this")
    sum_scale: int = Field(default=1, description="sums = potentials after the last step, times this")
    row_sum: int = Field(ge=0, description="largest sum of a row's weight magnitudes")
    growth: int = Field(ge=1, description="largest factor that a count puts before a weight in any step")
    largest: int = Field(ge=0, description="row_sum × growth: no integer in a step is larger")
    float_bits: FloatBits = Field(description="floats the tool must run with to be exact")
    exact_up_to: int = Field(ge=1, description="magnitude up to which such a float holds every integer")
    proof: str = Field(description="why it is exact, one sentence")
    gathers: tuple[GatherUse, ...] = Field(description="where the program uses it")


class LeftOut(Result):
    """Instructions of one kind that are in no graph."""

    op: str = Field(description="instruction; gathers with what they read, such as gather.keys")
    count: int = Field(ge=1, description="how many")
    reason: str = Field(description="why NIR cannot express it")


class ExportedProgram(Result):
    """One program: its graphs and what is missing between them."""

    name: str = Field(description="program, such as layer_00")
    instructions: int = Field(ge=0, description="instructions in all")
    exported: int = Field(ge=0, description="instructions that a graph expresses")
    files: tuple[GraphFile, ...] = Field(
        description="graphs, in the order in which the program first uses them"
    )
    left_out: tuple[LeftOut, ...] = Field(description="instructions in no graph")
    caches: tuple[str, ...] = Field(description="caches, in no graph")
    states: tuple[str, ...] = Field(description="states, in no graph")


class Manifest(Result):
    """Everything about an export that the graphs cannot say."""

    schema_version: Literal[1] = Field(default=1, description="version of this document's form")
    format: Literal["nir"] = Field(default="nir", description="format of the graphs")
    nir_version: str = Field(description="version of the package that wrote them")
    model: str = Field(description="name of the model")
    target: TargetTool = Field(description="tool that the graphs are written for")
    input: InputCoding = Field(description="how counts enter")
    not_in_nir: tuple[str, ...] = Field(default=NOT_IN_NIR, description="what no node of NIR says")
    programs: tuple[ExportedProgram, ...] = Field(description="chosen programs, in order")
    not_chosen: tuple[str, ...] = Field(description="programs of the model that were not chosen")
    left_out: tuple[LeftOut, ...] = Field(description="of all chosen programs together")

    @property
    def files(self) -> list[GraphFile]:
        """All graphs, in order."""
        return [file for program in self.programs for file in program.files]
