"""An evaluation of quantised networks that shares nothing with lowering or golden model: plain numpy, node by node.

Numbers are integers in their logical order, one sample at a time. What a node's output stands for (binary point, limit,
unit) is part of the quantised network and taken from it; the arithmetic is that of `docs/numerics.md`, written anew.
"""

from __future__ import annotations

from math import prod

import numpy as np

from spikesim.mapping.graph import nodes
from spikesim.mapping.graph.frontend import OpenedGraph
from spikesim.mapping.quantize import mantissas
from spikesim.program.tables import RECIPROCAL

WORD = 2**31 - 1
ACTIVATION = 2**15 - 1


def shifted(value: np.ndarray, places: int) -> np.ndarray:
    """value / 2^places, halves to even."""
    exact = np.asarray(value, object)
    if places <= 0:
        return exact * 2**-places
    unit = 2**places
    floor = exact // unit
    rest = exact - floor * unit
    up = (rest * 2 > unit) | ((rest * 2 == unit) & (floor % 2 == 1))
    return floor + np.where(up, 1, 0)


def clipped(value: np.ndarray, limit: int) -> np.ndarray:
    return np.clip(np.asarray(value, object), -limit, limit)


def packed(value: int, exponent: int = 0) -> tuple[int, int]:
    """(mantissa, exponent), the mantissa in 2^15 … 2^16 − 1."""
    if value == 0:
        return 0, 0
    places = int(value).bit_length() - 16
    mantissa = int(shifted(np.array(value, object), places))
    if mantissa == 2**16:
        mantissa, places = 2**15, places + 1
    return mantissa, exponent + places


def reciprocal(constant: float, scalar: tuple[int, int]) -> tuple[int, int]:
    """constant / scalar, by the table of reciprocals."""
    mantissa, exponent = scalar
    if mantissa == 0:
        return 0, 0
    fraction, power = np.frexp(constant)
    top = round(float(fraction) * 2**16)
    power = int(power) - 16
    if top == 2**16:
        top, power = 2**15, power + 1
    place, low = divmod(mantissa - 2**15, 64)
    value = int(RECIPROCAL[place])
    if low:
        step = (int(RECIPROCAL[place + 1]) - value) * low
        value += int(shifted(np.array(step, object), 6))
    return packed(top * value, power - 31 - exponent)


class IntegerGraph:
    """The quantised network of an opened one: `run` gives the words of every node, of every step of a sample."""

    def __init__(self, opened: OpenedGraph, numerics) -> None:
        self.graph, self.tensors, self.numerics = opened.graph, opened.tensors, numerics
        assert opened.formats is not None
        self.formats = opened.formats
        self.kept: dict[str, np.ndarray] = {}

    def run(self, steps: np.ndarray) -> list[dict[str, np.ndarray]]:
        """steps: int[steps, *shape], the words that come in."""
        self.kept = {}
        return [self._step(step) for step in steps]

    def _step(self, words: np.ndarray) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        for node in self.graph.nodes:
            values[node.name] = (
                words.astype(object) if isinstance(node, nodes.Input) else self._value(node, values)
            )
        for node in self.graph.nodes:
            if isinstance(node, nodes.Delay):
                self.kept[node.name] = values[node.inputs[0]]
        return values

    def _value(self, node: nodes.Node, values: dict[str, np.ndarray]) -> np.ndarray:
        if isinstance(node, nodes.Delay):
            return self.kept.get(node.name, np.zeros(node.shape, object))
        given = [values[name] for name in node.inputs]
        x, tensor, out = given[0], self.tensors[node.inputs[0]], self.tensors[node.name]
        match node:
            case nodes.Linear():
                return self._linear(node, x)
            case nodes.Conv():
                return self._conv(node, x)
            case nodes.Pool():
                return self._pool(node, x)
            case nodes.Activation(kind="relu"):
                return np.where(x > 0, x, 0)
            case nodes.IntegerLIF():
                positive = np.where(x > 0, x, 0)
                if tensor.unit == 1.0:
                    return clipped(shifted(positive, tensor.fraction), node.levels)
                words, fraction = mantissas(np.array([tensor.unit]))
                return clipped(shifted(positive * int(words[0]), tensor.fraction + fraction), node.levels)
            case nodes.Sum():
                return self._sum(node, given)
            case nodes.Rearrange():
                return x.reshape(-1)[node.index]
            case nodes.Concat():
                assert all(
                    (self.tensors[name].fraction, self.tensors[name].unit) == (out.fraction, out.unit)
                    for name in node.inputs
                )
                return np.concatenate(given, node.axis)
            case nodes.Neuron():
                return self._neuron(node, x)
        raise NotImplementedError(node)

    def _plain(self, name: str, x: np.ndarray, fraction: int) -> np.ndarray:
        """Words at a binary point, without a unit."""
        tensor = self.tensors[name]
        if tensor.unit == 1.0:
            return clipped(shifted(x, tensor.fraction - fraction), WORD)
        words, unit = mantissas(np.array([tensor.unit]))
        return clipped(shifted(x * int(words[0]), tensor.fraction + unit - fraction), WORD)

    def _sum(self, node: nodes.Sum, given: list[np.ndarray]) -> np.ndarray:
        first, second = (self.tensors[name] for name in node.inputs)
        out = self.tensors[node.name]
        same = (first.unit, first.fraction) == (second.unit, second.fraction)
        if same and not node.subtract and first.limit + second.limit <= 127:
            return given[0] + given[1]
        a, b = (self._plain(name, x, out.fraction) for name, x in zip(node.inputs, given, strict=True))
        return clipped(a - b if node.subtract else a + b, out.limit)

    def _counts(self, name: str, x: np.ndarray) -> tuple[np.ndarray, float, int, tuple[int, int] | None]:
        """(counts, factor, fraction, scale) of a whole tensor."""
        tensor = self.tensors[name]
        if tensor.limit <= 127:
            return x, tensor.unit, tensor.fraction, None
        magnitudes = np.abs(x)
        if self.numerics.activation == "threshold":
            scale, steps = packed(int(magnitudes.sum())), self.numerics.threshold_k * x.size
            limit = 2**self.numerics.window - 1
        else:
            scale, steps, limit = packed(int(magnitudes.max())), 127.0, 127
        mantissa, exponent = reciprocal(steps, scale)
        counts = clipped(shifted(x * mantissa, -exponent), limit)
        return counts, tensor.unit / steps, tensor.fraction, scale

    def _requantised(self, node, sums, scales, factor, fraction, scale, bound):
        """Sums[…, outputs] to the format of a node."""
        out = self.tensors[node.name]
        words, places = mantissas(scales * factor)
        limit = WORD if node.bias is not None else out.limit
        product = sums * words.astype(object)
        shift = fraction + places - out.fraction
        if scale is None:
            value = clipped(shifted(product, shift), WORD)
        else:
            before = max(0, int(bound).bit_length() + 16 - 31)
            product = clipped(shifted(product, before), WORD)
            value = shifted(product * scale[0], shift - before - scale[1])
        value = clipped(value, limit)
        if node.bias is not None:
            bias = np.rint(np.ldexp(node.bias.astype(np.float64), out.fraction))
            value = clipped(value + np.clip(bias, -WORD, WORD).astype(np.int64).astype(object), out.limit)
        return value

    def _weights(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(integers, scales of 16 bits)."""
        flat = weight.reshape(weight.shape[0], -1).astype(np.float32)
        scale = np.abs(flat).max(1) / np.float32(127)
        safe = np.where(scale > 0, scale, 1).astype(np.float32)
        integers = np.rint(flat / safe[:, None]).astype(np.int64)
        words, places = mantissas(scale.astype(np.float64))
        return integers.reshape(weight.shape), words * 2.0**-places

    def _linear(self, node: nodes.Linear, x: np.ndarray) -> np.ndarray:
        integers, scales = self._weights(node.weight)
        rows = x.reshape(-1, x.shape[-1])
        done = []
        name, tensor = node.inputs[0], self.tensors[node.inputs[0]]
        begin = tensor.order.reshape(rows.shape).min(axis=1)
        by_row = len(begin) == 1 or (tensor.words == x.size and bool((np.diff(begin) > 0).all()))
        whole = self._counts(name, rows)
        for number, row in enumerate(rows):
            counts, factor, fraction, scale = (
                self._counts(name, row) if by_row else (whole[0][number], *whole[1:])
            )
            limit = tensor.limit if scale is None else self._limit
            bound = max(1, int(np.abs(integers).sum(1).max()) * limit)
            sums = counts @ integers.T.astype(object)
            done.append(self._requantised(node, sums, scales, factor, fraction, scale, bound))
        return np.array(done, object).reshape(*x.shape[:-1], -1)

    @property
    def _limit(self) -> int:
        return 2**self.numerics.window - 1 if self.numerics.activation == "threshold" else 127

    def _conv(self, node: nodes.Conv, x: np.ndarray) -> np.ndarray:
        integers, scales = self._weights(node.weight)
        counts, factor, fraction, scale = self._counts(node.inputs[0], x)
        axes, outputs = len(node.kernel), node.weight.shape[0]
        image = counts.reshape(counts.shape[-axes - 1 :])
        image = np.pad(image, [(0, 0), *node.padding])
        sizes = self.graph.shapes[node.name][-axes:]
        each = node.weight.shape[1]
        sums = np.zeros((outputs, *sizes), object)
        for place in np.ndindex(*sizes):
            begin = [p * s for p, s in zip(place, node.stride, strict=True)]
            for output in range(outputs):
                group = output * node.groups // outputs
                window = image[group * each : (group + 1) * each]
                for axis in range(axes):
                    at = begin[axis] + node.dilation[axis] * np.arange(node.kernel[axis])
                    window = np.take(window, at, axis + 1)
                sums[(output, *place)] = int((window * integers[output]).sum())
        limit = self.tensors[node.inputs[0]].limit if scale is None else self._limit
        depthwise = node.groups == image.shape[0] == outputs and node.groups > 1
        if depthwise:
            bound = limit * np.abs(integers).sum(tuple(range(1, integers.ndim))).max()
        elif node.dilation[-1] == 1 or node.kernel[-1] == 1:
            rows = integers if axes == 2 else integers[:, :, None]
            bound = sum(int(np.abs(rows[:, :, k]).sum((1, 2)).max()) * limit for k in range(rows.shape[2]))
        else:
            rows = integers if axes == 2 else integers[:, :, None]
            high, wide = rows.shape[2:]
            bound = sum(
                int(np.abs(rows[:, :, k, j]).sum(1).max()) * limit for k in range(high) for j in range(wide)
            )
        moved = np.moveaxis(sums, 0, -1)
        value = self._requantised(node, moved, scales, factor, fraction, scale, max(1, int(bound)))
        return np.moveaxis(value, -1, 0).reshape(self.graph.shapes[node.name])

    def _pool(self, node: nodes.Pool, x: np.ndarray) -> np.ndarray:
        out, tensor = self.tensors[node.name], self.tensors[node.inputs[0]]
        axes = len(node.kernel)
        image = x.reshape(x.shape[-axes - 1 :])
        fill = -tensor.limit if node.kind == "max" else 0
        image = np.pad(image, [(0, 0), *node.padding], constant_values=fill)
        shape = self.graph.shapes[node.name]
        found = np.zeros((image.shape[0], *shape[-axes:]), object)
        for place in np.ndindex(*shape[-axes:]):
            window = image
            for axis in range(axes):
                first = place[axis] * node.stride[axis]
                window = np.take(window, range(first, first + node.kernel[axis]), axis + 1)
            flat = window.reshape(image.shape[0], -1)
            found[(slice(None), *place)] = flat.max(1) if node.kind == "max" else flat.sum(1)
        found = found.reshape(shape)
        if node.kind == "max" or max(1, tensor.limit) * prod(node.kernel) <= ACTIVATION:
            return found
        factors = np.full(out.words, tensor.unit / (prod(node.kernel) if node.kind == "average" else 1))
        words, places = mantissas(factors)
        return clipped(shifted(found * int(words[0]), tensor.fraction + places - out.fraction), out.limit)

    def _neuron(self, node: nodes.Neuron, x: np.ndarray) -> np.ndarray:
        tensor = self.tensors[node.inputs[0]]
        fraction = self.formats.membrane(node)

        def real(array) -> np.ndarray:
            return np.broadcast_to(array, x.shape).astype(np.float64)

        def times(value: np.ndarray, factors: np.ndarray, places: int) -> np.ndarray:
            words, more = mantissas(factors.reshape(-1))
            return clipped(
                shifted(value * words.reshape(factors.shape).astype(object), places + more - fraction), WORD
            )

        def words(array) -> np.ndarray:
            return np.rint(np.ldexp(real(array), fraction)).astype(np.int64).astype(object)

        zero = np.zeros(x.shape, object)
        gain = real(node.gain) * tensor.unit
        current = (
            clipped(shifted(x, tensor.fraction - fraction), WORD)
            if (gain == 1).all()
            else times(x, gain, tensor.fraction)
        )
        if node.alpha is not None:
            rest = times(self.kept.get(f"{node.name}.i", zero), real(node.alpha), fraction)
            current = self.kept[f"{node.name}.i"] = clipped(rest + current, WORD)
        v = clipped(times(self.kept.get(f"{node.name}.v", zero), real(node.beta), fraction) + current, WORD)
        if np.any(node.leak):
            v = clipped(v + words(node.leak), WORD)
        threshold = words(node.threshold)

        def after(v: np.ndarray, spikes: np.ndarray) -> np.ndarray:
            if node.reset is None:
                return clipped(v - spikes * threshold, WORD)
            return np.where(spikes > 0, words(node.reset), v)

        if node.delayed:
            v = after(v, self.kept.get(f"{node.name}.s", zero))
        spikes = np.where((v >= threshold) if node.at_threshold else (v > threshold), 1, 0).astype(object)
        self.kept[f"{node.name}.s"] = spikes
        self.kept[f"{node.name}.v"] = v if node.delayed else after(v, spikes)
        return spikes
