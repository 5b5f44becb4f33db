"""The verifier: whatever golden model, cycle model, RTL and Lava assume of a program, checked before one runs.

The kernels that execute a program check no bounds. A program that `verify_program` accepts cannot make them leave their
arrays, nor run with numbers that a file left out; `docs/program.md` lists the rules. Nothing here imports a model, so
that whoever reads a program can check it.
"""

from spikesim.verifier.chain import verify_chain, verify_joints
from spikesim.verifier.findings import Finding
from spikesim.verifier.inputs import verify_inputs, verify_stream
from spikesim.verifier.program import findings_of, verify_program

__all__ = [
    "Finding",
    "findings_of",
    "verify_chain",
    "verify_inputs",
    "verify_joints",
    "verify_program",
    "verify_stream",
]
