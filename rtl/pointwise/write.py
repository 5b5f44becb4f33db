"""The write side of the pointwise unit: where a slot's result goes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikesim.rtl.isa import ADDRESS, POINTWISE, PointwiseOperation, Statistic
from spikesim.rtl.pointwise.delay import TAG


class WriteSide(wiring.Component):
    """`enable` and `address` of the slot `tag` with its `words`, in the same cycle; the pointers move on at its end.

    `fields`: of the tag's instruction; `result`: where its statistics begin, or the second words of its inputs. The
    words of a group go to `dst`, second and third words of an input to `result` and `scalar`; a header writes the
    statistic of the group before it to `result`.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "fields": In(POINTWISE),
                "result": In(ADDRESS),
                "tag": In(TAG),
                "words": In(lanes),
                "enable": Out(lanes),
                "address": Out(ADDRESS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """A base that moves by group and a pointer that moves by word, for each of three destinations."""
        m = Module()
        fields = self.fields
        rotate, silent, counted = Signal(), Signal(), Signal()
        m.d.sync += [
            rotate.eq(fields.operation == PointwiseOperation.ROTATE),
            silent.eq(fields.operation == PointwiseOperation.REDUCE),
            counted.eq(fields.statistic != Statistic.NONE),
        ]
        starts = [fields.dst, self.result, fields.scalar]
        strides = [fields.dst_stride, fields.result_stride, fields.scalar_stride]
        # The last slot of a rotated word writes it, that of any other place writes to the place's own destination.
        places = [Mux(rotate, self.tag.place == 1, self.tag.place == 0), ~rotate & (self.tag.place == 1)]
        places.append(self.tag.place == 2)
        word = self.tag.valid & ~self.tag.header
        header = self.tag.valid & self.tag.header

        pointers = []
        for i, (start, stride, here) in enumerate(zip(starts, strides, places, strict=True)):
            base = Signal(ADDRESS, name=f"base{i}", reset_less=True)
            pointer = Signal(ADDRESS, name=f"pointer{i}", reset_less=True)
            with m.If(header):
                here_now = Mux(self.tag.place[0], start, base)
                m.d.sync += [pointer.eq(here_now), base.eq(here_now + stride)]
            with m.Elif(word & here):
                m.d.sync += pointer.eq(pointer + sum(self.words))
            pointers.append(pointer)

        with m.If(header):
            m.d.comb += [self.enable.eq(counted & ~self.tag.place[0]), self.address.eq(pointers[1])]
        with m.Elif(word):
            m.d.comb += self.enable.eq(Mux(~silent & (~rotate | self.tag.place[0]), self.words, 0))
            with m.If(places[1]):
                m.d.comb += self.address.eq(pointers[1])
            with m.Elif(places[2]):
                m.d.comb += self.address.eq(pointers[2])
            with m.Else():
                m.d.comb += self.address.eq(pointers[0])
        return m
