"""Netlists of gates made by hand or at random, in the form that Yosys writes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from spikesim.power_models.liberty.library import Library
from spikesim.power_models.liberty.read import read_liberty
from spikesim.power_models.netlist.netlist import Netlist, read_netlist
from spikesim.power_models.synthesis.synthesis import default_liberty


@cache
def nangate() -> Library:
    return read_liberty(default_liberty())


class Wires:
    """Collects cells; nets are known by names, buses by lists of names."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.module: dict[str, Any] = {"ports": {}, "cells": {}, "netnames": {}}

    def net(self, name: str) -> int | str:
        if name in ("0", "1"):
            return name
        if name not in self.numbers:
            self.numbers[name] = len(self.numbers) + 2
            self.module["netnames"][name] = {"bits": [self.numbers[name]], "hide_name": 0}
        return self.numbers[name]

    def port(self, name: str, direction: str, nets: list[str]) -> None:
        self.module["ports"][name] = {"direction": direction, "bits": [self.net(n) for n in nets]}

    def cell(self, name: str, kind: str, **pins: str) -> None:
        connections = {pin: [self.net(net)] for pin, net in pins.items()}
        self.module["cells"][name] = {"type": kind, "connections": connections}

    def memory(self, name: str, ports: Mapping[str, list[str]], **parameters: int) -> None:
        self.module["cells"][name] = {
            "type": "spikesim_ram",
            "parameters": {key: f"{value:032b}" for key, value in parameters.items()} | {"IMAGE": "none"},
            "port_directions": {p: "output" if p == "read_data" else "input" for p in ports},
            "connections": {p: [self.net(n) for n in nets] for p, nets in ports.items()},
        }

    def netlist(self, library: Library | None = None) -> Netlist:
        return read_netlist(self.module, library or nangate())


def bus(name: str, width: int) -> list[str]:
    return [f"{name}{i}" for i in range(width)]


COMBINATIONAL = (
    *("INV_X1", "BUF_X1", "NAND2_X1", "NOR2_X1", "AND3_X1", "XOR2_X1", "XNOR2_X1", "MUX2_X1", "AOI21_X1"),
    *("OAI22_X1", "AOI222_X1", "FA_X1", "HA_X1"),
)


def random_netlist(rng: np.random.Generator, *, inputs: int, registers: int, cells: int) -> Netlist:
    """Combinational cells between inputs and registers, without loops; every second register has QN as well."""
    wires = Wires()
    wires.port("clk", "input", ["clk"])
    wires.port("a", "input", bus("a", inputs))
    nets = bus("a", inputs)
    for r in range(registers):
        nets.append(f"q{r}")
        if r % 2:
            nets.append(f"qn{r}")
    for c in range(cells):
        cell = nangate().cells[COMBINATIONAL[rng.integers(len(COMBINATIONAL))]]
        recent = nets[-12:] if rng.random() < 0.7 else nets
        pins = {pin: recent[rng.integers(len(recent))] for pin in cell.inputs}
        outputs = {pin: f"n{c}_{pin}" for pin in cell.outputs}
        wires.cell(f"c{c}", cell.name, **pins, **outputs)
        nets += outputs.values()
    for r in range(registers):
        pins = {"D": nets[-1 - r], "CK": "clk", "Q": f"q{r}"} | ({"QN": f"qn{r}"} if r % 2 else {})
        wires.cell(f"r{r}", "DFF_X1", **pins)
    wires.port("z", "output", nets[-4:])
    return wires.netlist()


def random_words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 1 << 64, shape, dtype=np.uint64)
