"""Plausible bugs of the Lava backend: in microcode, plan, spikes, neurons and the network. Each must be found."""

from __future__ import annotations

_LAVA = "spikesim/backends/lava/"
_LOOPBACK = "tests/backends/lava/test_microcode.py -k random_programs"
_NETWORK = "tests/backends/lava/test_run.py -k graded_spikes"
_SERIAL = "tests/backends/lava/test_run.py -k bit_serially"

MUTANTS = [
    {
        "file": _LAVA + "network.py",
        "old": "weights=2 * weights,\n                weight_exp=-1,",
        "new": "weights=weights,\n                weight_exp=0,",
        "why": "Dense drops bit 0 of weights that are not doubled",
        "bench": _NETWORK,
    },
    {
        "file": _LAVA + "network.py",
        "old": "                sign_mode=SignMode.MIXED,\n",
        "new": "",
        "why": "a matrix of one sign with a weight of -128 is clipped",
        "bench": "tests/backends/lava/test_run.py -k matrices_of_one_sign",
    },
    {
        "file": _LAVA + "network.py",
        "old": "MESSAGE_BITS = 8",
        "new": "MESSAGE_BITS = 0",
        "why": "a spike of -1 counts as +1, a graded one as 1",
        "bench": _NETWORK,
    },
    {
        "file": _LAVA + "integers.py",
        "old": "(rest == half) & (quotient & 1 == 1)",
        "new": "(rest == half)",
        "why": "halves are rounded up",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "integers.py",
        "old": "carry = m == 1 << 16",
        "new": "carry = m > 1 << 16",
        "why": "a mantissa that rounds up to 2^16 runs into the exponent",
        "bench": "tests/backends/lava/test_microcode.py -k pack_is_golden",
    },
    {
        "file": _LAVA + "processes/horner.py",
        "old": "self.base[0] * self.u",
        "new": "self.u",
        "why": "no doubling between planes",
        "bench": _SERIAL,
    },
    {
        "file": _LAVA + "processes/horner.py",
        "old": "sign = self.sign[0] if self.seen[0] == 0 else 1",
        "new": "sign = 1",
        "why": "the first plane of two's complement adds instead of subtracting",
        "bench": _SERIAL,
    },
    {
        "file": _LAVA + "processes/horner.py",
        "old": "self.u = np.zeros_like(self.u)\n            self.seen",
        "new": "self.seen",
        "why": "the sum of the last token stays in the neuron",
        "bench": _SERIAL,
    },
    {
        "file": _LAVA + "processes/horner.py",
        "old": "LAG = 1",
        "new": "LAG = 0",
        "why": "a plane is taken for the one before it",
        "bench": _SERIAL,
    },
    {
        "file": _LAVA + "spikes.py",
        "old": "else planes[::-1]",
        "new": "else np.concatenate([planes[:0:-1], 0 * planes[:1]])",
        "why": "the least significant plane is dropped",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "spikes.py",
        "old": "        planes = np.abs(planes)\n",
        "new": "        planes = planes * 1\n",
        "why": "the first plane of two's complement is sent with its sign, which the neuron gives it too",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "spikes.py",
        "old": "return max(1, steps_for(largest, coding))",
        "new": "return max(1, steps_for(largest, coding) - 1)",
        "why": "a plane too few for the largest counts",
        "bench": "tests/backends/lava/test_microcode.py -k steps_are_as_few",
    },
    {
        "file": _LAVA + "timetable.py",
        "old": "token = slot - self.depth",
        "new": "token = slot - self.depth + (self.depth > 2)",
        "why": "a stage works on the next token's words",
        "bench": "tests/backends/lava/test_microcode.py -k layers_of_every_kind",
    },
    {
        "file": _LAVA + "plan.py",
        "old": "self.landed.get(n, 0)",
        "new": "self.written.get(n, 0)",
        "why": "sums are read in the stage that sent the counts",
        "bench": "tests/backends/lava/test_microcode.py -k layers_of_every_kind",
    },
    {
        "file": _LAVA + "plan.py",
        "old": "self.taken.get(name, -1) + 1)",
        "new": "self.taken.get(name, -1))",
        "why": "counts are overwritten before they are sent",
        "bench": "tests/backends/lava/test_microcode.py -k overwritten",
    },
    {
        "file": _LAVA + "plan.py",
        "old": "found.append(uses.instruction(inputs, outputs, floor))",
        "new": "found.append(uses.instruction(inputs, outputs, 0))",
        "why": "users of a cache lie in different stages",
        "bench": "tests/backends/lava/test_microcode.py",
    },
    {
        "file": _LAVA + "microcode.py",
        "old": "state.factors[copy] = (-16 * 65536",
        "new": "state.factors[0] = (-16 * 65536",
        "why": "the decay of a partition goes to another",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "microcode.py",
        "old": "np.argsort(-a[:, :candidates]",
        "new": "np.argsort(-a[:, :candidates][:, ::-1]",
        "why": "of equal words the higher index wins",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "microcode.py",
        "old": "max(0, self.position - keys.span + 1)",
        "new": "max(0, self.position - keys.span)",
        "why": "the window has a key too many",
        "bench": _LOOPBACK,
    },
    {
        "file": _LAVA + "stage_run.py",
        "old": "        self.held = np.concatenate(parts) if parts else self.held\n",
        "new": "        self.held = np.concatenate(parts[::-1]) if parts else self.held\n",
        "why": "live words arrive in another order than they were sent in",
        "bench": "tests/backends/lava/test_microcode.py -k layers_of_every_kind",
    },
    {
        "file": _LAVA + "compare.py",
        "old": "wrong = np.flatnonzero(want != got)",
        "new": "wrong = np.flatnonzero(want != want)",
        "why": "nothing is compared",
        "bench": "tests/backends/lava/test_run.py -k wrong_word",
    },
]
