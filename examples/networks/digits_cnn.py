"""Train digits_cnn: convolutions with batch norm, a residual block, max pooling, global average pooling.

python examples/networks/digits_cnn.py
"""

from __future__ import annotations

from example_training import train_digits
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 16


class Residual(nn.Module):
    """Two convolutions, and what came in added to what they make."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Unchanged shape."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + x)


class Network(nn.Module):
    """[1, 1, 8, 8] -> [1, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS)
        self.pool = nn.MaxPool2d(2)
        self.block = Residual(CHANNELS)
        self.last = nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1, bias=False)
        self.last_norm = nn.BatchNorm2d(2 * CHANNELS)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2 * CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        x = self.pool(functional.relu(self.stem_norm(self.stem(x))))
        x = functional.relu(self.last_norm(self.last(self.block(x))))
        return self.head(self.mean(x).flatten(1))


if __name__ == "__main__":
    train_digits("digits_cnn", Network, lambda model: model.stem, epochs=40, encoded=True)
