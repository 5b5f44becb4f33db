"""What a network's spikes do, layer by layer, in the terms that papers on spiking networks use."""

from __future__ import annotations

from pydantic import Field

from spikesim.results.base import Result

MAC_PJ, AC_PJ = 4.6, 0.9
CONVENTION = (
    "0.9 pJ a synaptic operation, 4.6 pJ a multiplication with its addition: 32-bit floating point in 45 nm, "
    "M. Horowitz, “Computing's energy problem”, ISSCC 2014; memory is left out"
)


class LayerActivity(Result):
    """One layer. Figures per item are means over all items; an item is a frame or a step of a sample."""

    layer: int = Field(ge=0, description="layer index, from 0")
    kind: str = Field(description="kind of the layer")
    name: str = Field(description="its program")
    values: int = Field(ge=0, description="values that its matrices read at every item, each counted once")
    spikes: float = Field(ge=0, description="events of the coding that these values are, per item")
    by_step: tuple[float, ...] = Field(
        default=(), description="the same at each step of a sample, mean over samples; empty without state"
    )
    windows: int = Field(
        ge=0,
        description="windows per item: counts that a matrix reads at one position, of a convolution by rows of it",
    )
    silent_windows: float = Field(
        ge=0, le=1, description="share of windows without a spike, which an event-driven core skips (0 … 1)"
    )
    synaptic_operations: float = Field(
        ge=0, description="events times the outputs that each acts on, per item"
    )
    macs: int = Field(
        ge=0,
        description="multiplications of the same matrices in a dense network, per item; those of depthwise "
        "convolutions are not in them",
    )


class Membrane(Result):
    """What words of a persistent vector, such as membranes, reached."""

    layer: int = Field(ge=0, description="layer index, from 0")
    program: str = Field(description="its program")
    name: str = Field(description="the vector")
    minimum: int = Field(description="smallest word at the end of a step")
    maximum: int = Field(description="largest word at the end of a step")
    limit: int | None = Field(default=None, description="largest magnitude of a word there")
    saturated: int = Field(default=0, ge=0, description="words that were cut to it")


class LayerRaster(Result):
    """Counts that a layer reads: a few steps of the first sample, or a few frames."""

    layer: int = Field(ge=0, description="layer index, from 0")
    kind: str = Field(description="kind of the layer")
    name: str = Field(description="the vector of counts")
    counts: tuple[tuple[int, ...], ...] = Field(description="signed counts [steps or frames][values]")
    values: int = Field(ge=1, description="values that there are; those shown are spread over them evenly")


class Picture(Result):
    """One of the first samples, with the scores that it got."""

    pixels: tuple[tuple[float, ...], ...] = Field(
        default=(), description="mean over channels and steps, 0 … 1; empty if the input is no image"
    )
    label: int | None = Field(default=None, description="its class, if known")
    integer: tuple[float, ...] = Field(description="scores of the integer model, all steps together")
    reference: tuple[float, ...] | None = Field(
        default=None, description="scores of the float model; None if it did not run"
    )


class Activity(Result):
    """Spikes, windows, synaptic operations and membranes of a network."""

    by_layer: tuple[LayerActivity, ...] = Field(description="per layer")
    spikes: float = Field(ge=0, description="per item, all layers")
    windows: int = Field(ge=0, description="per item, all layers")
    silent_windows: float = Field(ge=0, le=1, description="share of all windows (0 … 1)")
    synaptic_operations: float = Field(ge=0, description="per item, all layers")
    macs: int = Field(ge=0, description="per item, all layers")
    items_per_sample: int = Field(ge=1, description="steps of a sample; 1 without state")
    convention: str = Field(default=CONVENTION, description="of the two energies below, and of nothing else")
    spiking_uj: float = Field(ge=0, description="0.9 pJ × synaptic operations of a sample, µJ")
    dense_uj: float = Field(
        ge=0,
        description="4.6 pJ × multiplications of one dense pass, as a network without steps would take, µJ",
    )
    membranes: tuple[Membrane, ...] = Field(default=(), description="persistent vectors")
    rasters: tuple[LayerRaster, ...] = Field(default=(), description="per layer with spikes, the first few")
    pictures: tuple[Picture, ...] = Field(default=(), description="the first samples")
