"""Train digits_attention: a block of spike-driven attention, as in Spike-Driven Transformer V3, with a block of MLP.

python examples/networks/digits_attention.py

Queries, keys and values are integer spikes (D = 4); Q (K^T V) takes no softmax ("Scaling Spike-driven Transformer with
Efficient Spike Firing Approximation Training", Yao et al., 2025). Two convolutions make 16 tokens of the image.
"""

from __future__ import annotations

from example_training import LEVELS, IntegerLIF, train_digits
from torch import Tensor, nn

SIZE = 32
HEADS = 4
TOKENS = 16


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """A matrix for every token, batch norm."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs))


class Attention(nn.Module):
    """Q (K^T V) of integer spikes, by heads."""

    def __init__(self) -> None:
        super().__init__()
        self.spikes = IntegerLIF()
        self.query, self.key, self.value = (
            nn.Sequential(projection(SIZE, SIZE), IntegerLIF()) for _ in range(3)
        )
        self.attended = IntegerLIF()
        self.out = projection(SIZE, SIZE)
        self.scale = LEVELS / TOKENS

    def forward(self, x: Tensor) -> Tensor:
        """[1, SIZE, TOKENS], unchanged shape."""
        spikes = self.spikes(x)
        query, key, value = (
            part(spikes).unflatten(1, (HEADS, SIZE // HEADS)).transpose(-1, -2)
            for part in (self.query, self.key, self.value)
        )
        y = query @ (key.transpose(-1, -2) @ value) * self.scale
        return self.out(self.attended(y.transpose(-1, -2).flatten(1, 2)))


class Network(nn.Module):
    """[1, 1, 8, 8] -> [1, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, SIZE // 2, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(SIZE // 2)
        self.patches = nn.Sequential(
            IntegerLIF(),
            nn.Conv2d(SIZE // 2, SIZE, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(SIZE),
        )
        self.position = nn.Sequential(
            IntegerLIF(), nn.Conv2d(SIZE, SIZE, 3, padding=1, groups=SIZE, bias=False), nn.BatchNorm2d(SIZE)
        )
        self.attention = Attention()
        self.mlp = nn.Sequential(
            IntegerLIF(), projection(SIZE, 2 * SIZE), IntegerLIF(), projection(2 * SIZE, SIZE)
        )
        self.last = IntegerLIF()
        self.head = nn.Linear(SIZE, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        x = self.patches(self.stem_norm(self.stem(x)))
        x = (x + self.position(x)).flatten(2)
        x = x + self.attention(x)
        x = x + self.mlp(x)
        return self.head(self.last(x).transpose(1, 2)).mean(1)


if __name__ == "__main__":
    train_digits("digits_attention", Network, lambda model: model.stem, epochs=40, on_grid=True)
