"""Settings that hold for every test, and which files `make quick` leaves out."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from spikesim.tools import verilator

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn without a screen

# No deadline: the first call of a compiled function takes seconds. Under CI the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# A bench here runs for seconds and compiles for a minute: the other way round than what a user builds.
verilator.OPTIMISATION = ("OPT_FAST=-O0", "OPT_GLOBAL=-O1")

SLOW = (
    "verify/test_lockstep",
    "compare/test_compare",
    "rtl/test_array",
    "rtl/test_system",
    "cli/test_rtl",
    "cli/test_names",
    "verify/test_sequences",
    "verify/test_networks",
    "program/errors/test_mutations",
    "cli/test_fuzz",
    "program/test_sizes",
    "power_models/test_gate_simulator",
    "backends/lava/test_run",
    "backends/test_executions",
    "backends/test_nir",
    "project/test_benchmarks",
    "cli/test_compare",
    "cli/test_full_disk",
    "cli/test_kills",
    "cli/test_environment",
    "cli/test_networks",
    "power_models/test_gate_waveforms",
    "power_models/test_liberty_text",
    "power_models/test_liberty_usable",
    "power_models/test_power",
    "power_models/test_static_timing",
    "power_models/test_synthesis",
    "project/test_packaging",
    "project/test_robustness",
    "rtl/test_block_memory",
    "rtl/test_core",
    "rtl/test_four_state",
    "rtl/test_fp8_sum",
    "rtl/test_host",
    "rtl/test_memories",
    "rtl/test_pointwise",
    "rtl/test_registers",
    "rtl/test_select",
    "rtl/test_vector",
    "rtl/test_verilog",
    "mapping/graph/test_archive",
    "mapping/graph/test_torch_export",
    "run/test_frontend",
    "run/test_shipped_model",
    "support/test_kernel_cache",
    "tools/test_verilator",
    "tools/test_yosys",
)
"""Files that compile with Verilator, synthesise, run other tools or take long: minutes, not seconds as the rest.

They run first, in this order, those that take longest at the head, so that no processor waits for another at the end.
"""

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of those files as slow, and put them first."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(TESTS).with_suffix("").as_posix()
        return SLOW.index(name) if name in SLOW else len(SLOW)

    for item in items:
        if place(item) < len(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=place)
