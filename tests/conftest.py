"""Settings that hold for every test, and which files `make quick` leaves out."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn without a screen

# No deadline: the first call of a compiled function takes seconds. Under CI the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

SLOW = {
    "test_benchmarks",
    "test_cli_compare",
    "test_compare",
    "test_fp8_sum",
    "test_gate_simulator",
    "test_gate_waveforms",
    "test_kernel_cache",
    "test_lava_run",
    "test_lockstep",
    "test_memories",
    "test_mutations",
    "test_nir",
    "test_packaging",
    "test_power",
    "test_rtl_array",
    "test_rtl_command",
    "test_rtl_core",
    "test_rtl_host",
    "test_rtl_pointwise",
    "test_rtl_select",
    "test_shipped_model",
    "test_sizes",
    "test_static_timing",
    "test_synthesis",
    "test_verilator",
    "test_verilog",
}
"""Files that compile with Verilator, synthesise, run other tools or take long: minutes, not seconds as the rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of those files as slow."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
