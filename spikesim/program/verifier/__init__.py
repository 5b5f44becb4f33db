"""The verifier: whatever golden model, cycle model, RTL and Lava assume of a program, checked before one runs.

The kernels that execute a program check no bounds. A program that `verify_program` accepts cannot make them leave their
arrays, nor run with numbers that a file left out; `docs/program.md` lists the rules. Nothing here imports a model, so
that whoever reads a program can check it.
"""

from spikesim.program.verifier.chain import verify_chain, verify_links
from spikesim.program.verifier.findings import Finding
from spikesim.program.verifier.inputs import verify_inputs, verify_stream
from spikesim.program.verifier.program import findings_of, verify_program
from spikesim.program.verifier.requirements import verify_for, verify_requirements

__all__ = [
    "Finding",
    "findings_of",
    "verify_chain",
    "verify_for",
    "verify_inputs",
    "verify_links",
    "verify_program",
    "verify_requirements",
    "verify_stream",
]
