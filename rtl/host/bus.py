"""`RegisterBus`: AXI4-Lite to single register accesses."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

OKAY, SLVERR, DECERR = 0b00, 0b10, 0b11
"""Response codes: done; refused; there is no such register."""

AXI_LITE = {
    "s_axil_awaddr": In(16),
    "s_axil_awprot": In(3),
    "s_axil_awvalid": In(1),
    "s_axil_awready": Out(1),
    "s_axil_wdata": In(32),
    "s_axil_wstrb": In(4),
    "s_axil_wvalid": In(1),
    "s_axil_wready": Out(1),
    "s_axil_bresp": Out(2),
    "s_axil_bvalid": Out(1),
    "s_axil_bready": In(1),
    "s_axil_araddr": In(16),
    "s_axil_arprot": In(3),
    "s_axil_arvalid": In(1),
    "s_axil_arready": Out(1),
    "s_axil_rdata": Out(32),
    "s_axil_rresp": Out(2),
    "s_axil_rvalid": Out(1),
    "s_axil_rready": In(1),
}
"""Members of a component that is an AXI4-Lite slave; protection is ignored."""


class RegisterBus(wiring.Component):
    """One write and one read at a time, independent of each other; every access gets its response.

    * write: `write_enable` for one cycle with word address, data and the byte strobes spread to bits in `write_mask`;
      `write_response` is taken in that cycle.
    * read: `read_enable` for one cycle; `read_address` holds, `read_data` and `read_response` are taken two cycles
      later.

    All outputs come from registers, or from a register and one gate: no ready depends on a valid.
    """

    def __init__(self) -> None:
        super().__init__(
            AXI_LITE
            | {
                "write_enable": Out(1),
                "write_address": Out(14),
                "write_data": Out(32),
                "write_mask": Out(32),
                "write_response": In(2),
                "read_enable": Out(1),
                "read_address": Out(14),
                "read_data": In(32),
                "read_response": In(2),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A holding register per channel."""
        m = Module()
        self._writes(m)
        self._reads(m)
        return m

    def _writes(self, m: Module) -> None:
        """Address and data arrive in either order; both held and no response pending: the write happens."""
        address_held = Signal()
        data_held = Signal()
        strobe = Signal(4)
        m.d.comb += [
            self.s_axil_awready.eq(~address_held),
            self.s_axil_wready.eq(~data_held),
            self.write_enable.eq(address_held & data_held & ~self.s_axil_bvalid),
            self.write_mask.eq(Cat(bit.replicate(8) for bit in strobe)),
        ]
        with m.If(self.s_axil_awvalid & self.s_axil_awready):
            m.d.sync += [address_held.eq(1), self.write_address.eq(self.s_axil_awaddr[2:])]
        with m.If(self.s_axil_wvalid & self.s_axil_wready):
            m.d.sync += [data_held.eq(1), self.write_data.eq(self.s_axil_wdata), strobe.eq(self.s_axil_wstrb)]
        with m.If(self.s_axil_bvalid & self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.write_enable):
            m.d.sync += [
                address_held.eq(0),
                data_held.eq(0),
                self.s_axil_bvalid.eq(1),
                self.s_axil_bresp.eq(self.write_response),
            ]

    def _reads(self, m: Module) -> None:
        """Accept, two cycles for the choice among the registers, respond."""
        with m.FSM():
            with m.State("ACCEPT"):
                m.d.comb += self.s_axil_arready.eq(1)
                m.d.sync += self.read_address.eq(self.s_axil_araddr[2:])
                with m.If(self.s_axil_arvalid):
                    m.d.sync += self.read_enable.eq(1)
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.d.sync += self.read_enable.eq(0)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.sync += [
                    self.s_axil_rdata.eq(self.read_data),
                    self.s_axil_rresp.eq(self.read_response),
                    self.s_axil_rvalid.eq(1),
                ]
                m.next = "RESPOND"
            with m.State("RESPOND"), m.If(self.s_axil_rready):
                m.d.sync += self.s_axil_rvalid.eq(0)
                m.next = "ACCEPT"
