"""A neuron that adds up the planes of a bit-serial matrix product: u ← base · u + a, most significant plane first."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikesim.backends.lava.messages import fail

LAG = 1
"""Time steps until the first plane arrives: Dense holds what it sends for one."""


class Horner(AbstractProcess):
    """s_out = Σ over the planes of a slot, sent with the last of them; 0 in between.

    `planes`: time steps of a slot. `base`: weight of a plane against the next. `sign`: of the first plane, −1 in
    two's complement.
    """

    def __init__(self, *, size: int, planes: int, base: int, sign: int, name: str) -> None:
        super().__init__(name=name)
        self.a_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))
        self.u = Var(shape=(size,), init=0)
        self.seen = Var(shape=(1,), init=-LAG)
        self.planes = Var(shape=(1,), init=planes)
        self.base = Var(shape=(1,), init=base)
        self.sign = Var(shape=(1,), init=sign)


@implements(proc=Horner, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyHornerModel(PyLoihiProcessModel):
    """The fixed-point model of `Horner`."""

    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    u: Any = LavaPyType(np.ndarray, np.int32, precision=24)
    seen: Any = LavaPyType(np.ndarray, np.int32)
    planes: Any = LavaPyType(np.ndarray, np.int32)
    base: Any = LavaPyType(np.ndarray, np.int32)
    sign: Any = LavaPyType(np.ndarray, np.int32)

    def run_spk(self) -> None:
        """One time step."""
        try:
            self._step()
        except Exception as error:  # noqa: BLE001 - Lava would hang
            fail("a Horner neuron", error)

    def _step(self) -> None:
        plane = self.a_in.recv()
        done = False
        if self.seen[0] >= 0:
            sign = self.sign[0] if self.seen[0] == 0 else 1
            self.u = (self.base[0] * self.u + sign * plane).astype(np.int32)
            done = self.seen[0] == self.planes[0] - 1
        self.s_out.send(self.u if done else np.zeros_like(self.u))
        if done:
            self.u = np.zeros_like(self.u)
            self.seen[0] = 0
        else:
            self.seen[0] += 1
