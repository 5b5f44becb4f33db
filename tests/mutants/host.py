"""Plausible bugs of the host interface; the bench of each must fail with it."""

from __future__ import annotations

_BENCH = "tests/rtl/test_host.py"

MUTANTS = [
    {
        "file": "rtl/host/bus.py",
        "old": "address_held & data_held & ~self.s_axil_bvalid",
        "new": "address_held & data_held",
        "why": "a second write overtakes the response of the first",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/bus.py",
        "old": "m.If(self.s_axil_rready):",
        "new": "m.If(self.s_axil_rready | self.s_axil_arvalid):",
        "why": "a read response is dropped when the next address comes",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/bus.py",
        "old": "Cat(bit.replicate(8) for bit in strobe)",
        "new": "Cat((strobe != 0).replicate(8) for bit in strobe)",
        "why": "byte strobes are ignored",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/unit.py",
        "old": "with m.If(chosen & is_counter & ~is_high):",
        "new": "with m.If(is_counter):",
        "why": "the high word is of another moment than the low word",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/unit.py",
        "old": "core.eq(running | self.core_busy),",
        "new": "core.eq(self.core_busy),",
        "why": "a second start slips in before the core says it is busy",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/unit.py",
        "old": "            with m.If(~hold):\n                m.d.sync += self.position",
        "new": "            with m.If(1):\n                m.d.sync += self.position",
        "why": "hold does not keep the position",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/unit.py",
        "old": '| (written["POSITION"] & core)',
        "new": "",
        "why": "the position changes under a running token",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "ends.eq(last | self.s_axis_tlast),",
        "new": "ends.eq(last),",
        "why": "TLAST does not end a transfer",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "active.eq(self.length != 0),\n                self.short.eq(0),",
        "new": "active.eq(1),\n                self.short.eq(0),",
        "why": "a transfer of no words takes one",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "with m.If(to_rows & (bank != self.config.ways - 1)):",
        "new": "with m.If(to_rows & (bank != self.config.ways)):",
        "why": "rows go to a bank that is not there",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "                index.eq(self._unit_words(rows, row_words)),\n                bank.eq(0),",
        "new": "                bank.eq(0),",
        "why": "an incomplete row shifts the next transfer",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "_PLACES = 4",
        "new": "_PLACES = 3",
        "why": "a ready sink waits every fourth cycle",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "ask.eq(active & queue.credit)",
        "new": "ask.eq(active)",
        "why": "words are lost when the sink stops",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "self.busy.eq(active | ~queue.idle)",
        "new": "self.busy.eq(active)",
        "why": "a transfer counts as finished while words still wait for the sink",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/stream.py",
        "old": "self.vector_read.enable.eq(reading)",
        "new": "self.vector_read.enable.eq(reading | ~active)",
        "why": "vector memory is read whenever the host is idle",
        "bench": _BENCH,
    },
    {
        "file": "rtl/host/unit.py",
        "old": "done.eq(self.core_done)  # one that comes now is not lost",
        "new": "done.eq(0)",
        "why": "a token that ends in the cycle in which the one before is acknowledged is lost",
        "bench": _BENCH,
    },
]
