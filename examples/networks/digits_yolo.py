"""Train digits_yolo: blocks of SpikeYOLO with integer LIF neurons (D = 4), and a head that scores classes.

python examples/networks/digits_yolo.py

The blocks are those of "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for
High-performance and Energy-efficient Object Detection" (Luo et al., ECCV 2024), small: neurons, then a convolution
with batch norm, and residuals between membranes. No box is regressed: the head says what the one digit is.
"""

from __future__ import annotations

from example_training import IntegerLIF, train_digits
from torch import Tensor, nn

CHANNELS = 16


def spiking_conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Integer spikes, a convolution of them, batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(IntegerLIF(), conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """A separable convolution (wider, depthwise, narrower), then a channel block of 3 x 3; a residual around each."""

    def __init__(self, channels: int, kernel: int = 3, wider: int = 2) -> None:
        super().__init__()
        wide = wider * channels
        self.widen = spiking_conv(channels, wide)
        self.depthwise = spiking_conv(wide, wide, kernel, groups=wide)
        self.narrow = spiking_conv(wide, channels)
        self.channel1 = spiking_conv(channels, wide, 3)
        self.channel2 = spiking_conv(wide, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Unchanged shape."""
        x = x + self.narrow(self.depthwise(self.widen(x)))
        return x + self.channel2(self.channel1(x))


class Network(nn.Module):
    """[1, 1, 8, 8] -> [1, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS)
        self.down = spiking_conv(CHANNELS, CHANNELS, 3, stride=2)
        self.block1 = Block(CHANNELS)
        self.block2 = Block(CHANNELS)
        self.head = spiking_conv(CHANNELS, 2 * CHANNELS)
        self.scores = nn.Sequential(IntegerLIF(), nn.Conv2d(2 * CHANNELS, 10, 1))
        self.mean = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        x = self.down(self.stem_norm(self.stem(x)))
        x = self.block2(self.block1(x))
        return self.mean(self.scores(self.head(x))).flatten(1)


if __name__ == "__main__":
    train_digits("digits_yolo", Network, lambda model: model.stem, epochs=40, on_grid=True)
