"""The end of a network: keeps the words of every token and writes them to a file in its own process.

Reading a Lava variable from outside costs microseconds a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikesim.backends.lava.messages import fail, tell
from spikesim.backends.lava.timetable import Timetable
from spikesim.support.array_files import write_npy


class Recorder(AbstractProcess):
    """Receives `size` words in every time step and keeps those of the steps at which a token leaves.

    `table`: when that is. `path`: where int32[tokens, size] goes.
    """

    def __init__(self, *, size: int, table: Timetable, path: Path) -> None:
        super().__init__(table=table, path=path, size=size, name="recorder")
        self.a_in = InPort(shape=(size,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyRecorderModel(PyLoihiProcessModel):
    """The model of `Recorder`."""

    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self.table: Timetable = proc_params["table"]
        self.path: Path = proc_params["path"]
        self.kept = np.zeros((self.table.tokens, proc_params["size"]), np.int32)

    def run_spk(self) -> None:
        """One time step."""
        try:
            words = self.a_in.recv()
            token = self.table.token_at(self.time_step)
            if token is None:
                return
            self.kept[token] = words
            tell("token")
            if token == self.table.tokens - 1:
                write_npy(self.path, self.kept)
        except Exception as error:  # noqa: BLE001 - Lava would hang
            fail("the recorder", error)
