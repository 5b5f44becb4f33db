"""`VectorMemory`: words of 32 bits in interleaved banks, so that a run of them is read or written in a cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.config import CoreConfig
from spikesim.rtl.interface import RunReadSignature, RunWriteSignature
from spikesim.rtl.memory import Ram
from spikesim.support.arithmetic import ceil_div


def image_of(bank: int) -> str:
    """The name of a bank's initial image in simulation."""
    return f"vector_{bank:02}"


class VectorMemory(wiring.Component):
    """Word i lies in bank i mod banks, at i // banks. Two read ports and a write port, each of a run of words.

    A run is of the words `address`, `address` + 1, … for the bits of `enable`; it may begin at any word. Data follow
    the address by one cycle and hold while nothing of a port is enabled; reading a word that is being written returns
    the old one. Only the banks that have an enabled word are accessed.

    `fault`, a cycle late: a run reached beyond the last row of words, where a write does nothing and a read gives
    anything.

    `words`: of the runs read, per port; `halves`: of the runs read at port 0 of whose words only the lower halves
    are wanted (`low`); `written`: of the runs written.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        self.banks = config.vector_banks
        self.depth = ceil_div(config.vector_depth, self.banks)
        read = [
            RunReadSignature(config.read_words, halves=config.loaded),
            RunReadSignature(config.read_words, halves=1),
        ]
        super().__init__(
            {
                "a": In(read[0]),
                "b": In(read[1]),
                "write": In(RunWriteSignature(config.written_words)),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """The banks; per port the places of a run's words in them, and its words in order."""
        m = Module()
        self._beyond: list[Value] = []
        banks = [
            Ram(width=32, depth=self.depth, reads=2, image=image_of(number), kind="vector")
            for number in range(self.banks)
        ]
        for number, bank in enumerate(banks):
            m.submodules[f"bank_{number}"] = bank
        for number, port in enumerate((self.a, self.b)):
            self._read(m, number, port, [bank.read[number] for bank in banks])
        self._write(m, [bank.write for bank in banks])
        m.d.sync += self.fault.eq(Cat(self._beyond).any())
        return m

    def _read(self, m: Module, number: int, port: Any, banks: list[Any]) -> None:
        offset = self._places(m, port, banks)
        latest = Signal.like(offset, name=f"offset_{number}")
        with m.If(port.enable.any()):
            m.d.sync += latest.eq(offset)
        for i in range(max(len(port.data), len(port.low))):
            word = rotated([bank.data for bank in banks], latest, i)
            if i < len(port.data):
                m.d.comb += port.data[i].eq(word)
            if i < len(port.low):
                m.d.comb += port.low[i].eq(word[:16])

    def _write(self, m: Module, banks: list[Any]) -> None:
        port = self.write
        offset = self._places(m, port, banks)
        for number, bank in enumerate(banks):
            words = [port.data[i] if i < len(port.data) else port.data[0] for i in range(self.banks)]
            m.d.comb += bank.data.eq(rotated(words, -offset, number))

    def _places(self, m: Module, port: Any, banks: list[Any]) -> Value:
        """Sets every bank's address and enable; -> the bank of the run's first word."""
        bits = (self.banks - 1).bit_length()
        offset, row = port.address[:bits], port.address[bits:]
        following = row + 1
        # A bank decodes the lower bits alone: beyond its depth a row would be another's.
        beyond, last = row >= self.depth, row >= self.depth - 1
        for number, bank in enumerate(banks):
            # Of a run that began in a later bank, this bank has the word behind the last bank's.
            behind = offset > number if number < self.banks - 1 else Const(0)
            wanted = rotated(
                [port.enable[i] if i < len(port.enable) else 0 for i in range(self.banks)], -offset, number
            )
            outside = beyond | (behind & last)
            m.d.comb += [
                bank.address.eq(Mux(behind, following, row)),
                bank.enable.eq(wanted & ~outside if port is self.write else wanted),
            ]
            self._beyond.append(wanted & outside)
        return offset


def rotated(items: list[Any], by: Value, place: int) -> Value:
    """items[(place + by) mod their number], a power of two, which `by` counts modulo, too."""
    bits = (len(items) - 1).bit_length()
    if not bits:
        return items[0]
    chosen = [items[(place + i) % len(items)] for i in range(len(items))]
    for bit in range(bits):
        chosen = [Mux(by[bit], odd, even) for even, odd in zip(chosen[::2], chosen[1::2], strict=True)]
    return chosen[0]


def interleaved(words: Any, banks: int) -> list[Any]:
    """words[n] -> per bank its words in order, as `VectorMemory` holds them."""
    return [words[bank::banks] for bank in range(banks)]
