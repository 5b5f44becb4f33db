"""`HostPort`: the core's AXI4-Lite registers, driven on a simulation of its gates, in all streams at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NumericError
from spikesim.power_models.gates.simulator import GateSimulator
from spikesim.power_models.gates.words import ALL_STREAMS, unpack
from spikesim.rtl.host.registers import OFFSETS

_PATIENCE = 1000
_ANSWERS = ("s_axil_awready", "s_axil_wready", "s_axil_bvalid", "s_axil_bresp")
_DATA = ("s_axil_arready", "s_axil_rvalid", "s_axil_rresp", "s_axil_rdata")


class HostPort:
    """Register accesses, cycle by cycle. All streams see the same handshakes: the host does not depend on data.

    Raises NumericError if the core does not answer, refuses, or streams differ: the netlist then is not the design.
    """

    def __init__(self, simulator: GateSimulator) -> None:
        self.simulator = simulator

    def reset(self) -> None:
        """All inputs to 0 and a few cycles of reset."""
        inputs = dict.fromkeys(
            (name for name in self.simulator.netlist.inputs if name not in ("clk", "rst")), 0
        )
        self.simulator.run(4, inputs | {"rst": 1})
        self.simulator.run(1, {"rst": 0})

    def write(self, register: str, value: int) -> None:
        """Writes a register."""
        drive = {
            "s_axil_awaddr": OFFSETS[register],
            "s_axil_awvalid": 1,
            "s_axil_wdata": value,
            "s_axil_wstrb": 15,
            "s_axil_wvalid": 1,
            "s_axil_bready": 1,
        }
        for _ in range(_PATIENCE):
            seen = self._cycle(drive, _ANSWERS)
            drive = {}
            if seen["s_axil_awready"]:
                drive["s_axil_awvalid"] = 0
            if seen["s_axil_wready"]:
                drive["s_axil_wvalid"] = 0
            if seen["s_axil_bvalid"]:
                if seen["s_axil_bresp"]:
                    raise NumericError(f"the netlist must accept a write of {register}, but refuses it")
                self._cycle({"s_axil_awvalid": 0, "s_axil_wvalid": 0}, ())
                self._cycle({"s_axil_bready": 0}, ())
                return
        raise NumericError(f"the netlist must answer a write of {register}, but does not")

    def read(self, register: str) -> NDArray[np.uint64]:
        """uint64[streams]: what a register holds."""
        drive = {"s_axil_araddr": OFFSETS[register], "s_axil_arvalid": 1, "s_axil_rready": 1}
        for _ in range(_PATIENCE):
            run = self.simulator.run(1, drive, record=_DATA)
            drive = {"s_axil_arvalid": 0} if self._same(run.outputs["s_axil_arready"]) else {}
            if self._same(run.outputs["s_axil_rvalid"]):
                self.simulator.run(1, {"s_axil_arvalid": 0})
                self.simulator.run(1, {"s_axil_rready": 0})
                data: NDArray[np.uint64] = unpack(run.outputs["s_axil_rdata"])[0]
                return data
        raise NumericError(f"the netlist must answer a read of {register}, but does not")

    def wait(self, most: int, block: int) -> int:
        """Lets the core run until it rests in all streams; -> cycles, a multiple of `block` and what polling takes."""
        for cycles in range(block, most + block, block):
            self.simulator.run(block)
            if not np.any(self.read("STATUS") & np.uint64(1)):
                return cycles
        raise NumericError(f"the netlist must be done within {most} cycles, but is not")

    def _cycle(self, drive: dict[str, int], record: tuple[str, ...]) -> dict[str, bool]:
        run = self.simulator.run(1, drive, record=record)
        return {port: self._same(words) for port, words in run.outputs.items()}

    def _same(self, words: NDArray[np.uint64]) -> bool:
        """Whether any bit is 1, which all streams must agree on."""
        if not np.all((words == 0) | (words == ALL_STREAMS)):
            raise NumericError(
                "the netlist's host interface must behave the same in all streams, but does not"
            )
        return bool(words.any())
