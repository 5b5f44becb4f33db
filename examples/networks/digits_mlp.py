"""Train digits_mlp: a perceptron with two hidden layers on 8 x 8 digits.

python examples/networks/digits_mlp.py
"""

from __future__ import annotations

from example_training import train_digits
from torch import nn


def network() -> nn.Sequential:
    """[1, 64] -> [1, 10]."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


if __name__ == "__main__":
    train_digits("digits_mlp", network, lambda model: model[0], epochs=100, flat=True, encoded=True)
