"""The residual stream's binary point: set by the embedding where the stream begins, and by its growth from there on.

A layer is compiled as soon as it has run in float, so that its largest calibrated sums are known and no later layer's.
A stream that outgrows its binary point is shifted right before the sum that needs the room; the embedding and the norms
before that sum keep their precision.
"""

from __future__ import annotations

import math

import torch

from spikesim.errors import NumericError
from spikesim.mapping.builder import Value
from spikesim.mapping.dssa.lowering import Lowering
from spikesim.mapping.ranges import fraction_for
from spikesim.program import WORD_LIMIT
from spikesim.program.ports import FRACTION_LIMIT

STREAM_BITS = 11
"""The embedding's root mean square has this many fractional bits where the stream begins."""

EMBEDDING_HEADROOM = 2.0
"""The largest entry of the embedding, of whatever token, times this fits."""

STREAM_HEADROOM = 2.0**8
"""The largest calibrated value times this fits. It keeps 23 bits, as many as float32 has, and a text may go beyond the
calibration by 256 times."""


def stream_fraction(embedding: torch.Tensor) -> int:
    """Binary point of the residual stream where it begins, from the embedding: float[vocab, hidden].

    Raises NumericError for an embedding that is not finite or too large for any binary point.
    """
    # Block by block: a large vocabulary's embedding need not exist a second time.
    blocks = torch.split(embedding, 8192)
    mean_square = sum(float(rows.double().square().sum()) for rows in blocks) / embedding.numel()
    if not math.isfinite(mean_square):
        raise NumericError("model.embeddings.weight must be finite")
    if mean_square == 0:
        return STREAM_BITS
    peak = max(float(rows.abs().max()) for rows in blocks)
    typical = STREAM_BITS - round(math.log2(math.sqrt(mean_square)))
    return within_format(
        min(typical, fraction_for(peak, WORD_LIMIT, EMBEDDING_HEADROOM)), "model.embeddings.weight", peak
    )


def with_room(low: Lowering, h: Value, *sums: str) -> Value:
    """The stream `h` at a binary point at which the calibrated values named `sums` fit: `h` itself wherever they do."""
    peak = low.ranges.peak(*sums)
    if peak == 0:
        return h
    fraction = within_format(
        fraction_for(peak, WORD_LIMIT, STREAM_HEADROOM), f"the residual stream of {low.builder.name}", peak
    )
    if fraction >= h.fraction:
        return h
    return low.builder.multiply(f"{h.view.name}.rescaled", h, fraction=fraction, limit=WORD_LIMIT)


def within_format(fraction: int, what: str, peak: float) -> int:
    """A binary point that a port may have: very small numbers lose bits to it, too large ones raise NumericError."""
    if fraction < -FRACTION_LIMIT:
        raise NumericError(
            f"{what} must be small enough for a binary point of −{FRACTION_LIMIT} or more, not reach {peak:.3g}"
        )
    return min(fraction, FRACTION_LIMIT)
