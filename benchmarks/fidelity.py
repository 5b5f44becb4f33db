"""What each kind of activation costs the shipped model on its whole held-out text; not a benchmark of speed.

Prints one row per setting: bits per byte of the float and the integer model, their difference, top-1
agreement, events per value in the bitwise and the signed-digit coding, silent and clipped counts, and cycles per
token of the spiking core and its dense twin.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from spikesim.flow import map_model
from spikesim.hardware import HardwareConfig

MODEL = Path(__file__).parents[1] / "examples" / "tiny_dssa"

SETTINGS: dict[str, dict[str, object]] = {
    "threshold k = 3": {},
    "INT8 absmax": {"numerics.activation": "int8"},
    "threshold k = 2": {"numerics.threshold_k": 2.0},
    "threshold k = 1": {"numerics.threshold_k": 1.0},
    "threshold k = 3, window 4": {"numerics.window": 4},
    "threshold k = 3, bitwise": {"numerics.coding": "bitwise"},
    "INT8 absmax, bitwise": {"numerics.activation": "int8", "numerics.coding": "bitwise"},
}


def main() -> None:
    """Runs all settings and prints the table."""
    print("| setting | bits/byte float | integer | rise | top-1 | bitwise | signed digit ", end="")
    print("| silent | clipped | cycles/token | dense |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for name, changes in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            report = map_model(MODEL, output=Path(folder), hardware=HardwareConfig().replace(**changes))
        bits = report.fidelity.bits_per_byte
        if bits is None or bits.float_model is None or bits.integer_model is None:
            raise SystemExit("the shipped model must come with its held-out text")
        spikes, cycles = report.spikes, report.cycles.per_token
        print(
            f"| {name} | {bits.float_model:.4f} | {bits.integer_model:.4f} "
            f"| {100 * (bits.integer_model / bits.float_model - 1):+.2f} % "
            f"| {100 * (report.fidelity.top1_agreement or 0):.2f} % "
            f"| {spikes.events_per_value['bitwise']:.3f} | {spikes.events_per_value['signed_digit']:.3f} "
            f"| {100 * spikes.silent:.1f} % | {spikes.clipped} "
            f"| {cycles.spiking:,.0f} | {cycles.dense:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
