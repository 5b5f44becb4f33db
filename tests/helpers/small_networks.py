"""Small modules of the kinds that people bring, each with the shape of one sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class ResNetBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return self.head(self.pool(functional.relu_(y)).flatten(1))


class MobileNetBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(4, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.Hardswish(inplace=True)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.gate = nn.Hardsigmoid()
        self.project = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.norm(self.depthwise(self.act(self.expand(x)))))
        gate = self.gate(self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(y, 1)))))
        return x + self.project(y * gate)


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 5, 16))
        self.layer = nn.TransformerEncoderLayer(
            16, 4, 32, activation="gelu", batch_first=True, norm_first=True
        )
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.rms = nn.RMSNorm(16, eps=1e-5)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], 1) + self.places
        x = self.layer(x)
        batch, tokens, size = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q @ k.transpose(-2, -1)) * 8**-0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, size))
        x = self.rms(x) + x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norm.weight
        return self.head(self.norm(x)[:, 0])


class OneDimensional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(2, 8, 5, stride=2, dilation=2),
            nn.BatchNorm1d(8),
            nn.SiLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 8, 3, padding=1, groups=2),
            nn.LeakyReLU(0.1),
            nn.AvgPool1d(3, 1, 1),
            nn.GELU(approximate="tanh"),
            nn.GroupNorm(2, 8),
            nn.Tanh(),
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(-1))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding="same")
        self.deep = nn.Conv2d(4, 8, 3, padding=1)
        self.pad = nn.ZeroPad2d((1, 0, 2, 1))
        self.up = nn.Conv2d(12, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = functional.relu(self.down(x))
        deep = functional.relu6(self.deep(functional.max_pool2d(skip, 2)))
        wide = functional.interpolate(deep, scale_factor=2, mode="nearest")
        return self.up(self.pad(torch.cat([wide, skip], 1)))


class IntegerNeuron(nn.Module):
    """SpikeYOLO's: integers in training, spikes of `levels` virtual steps on hardware."""

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(torch.clamp(x, min=0, max=self.levels)) / self.levels


class IntegerCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.lif = IntegerNeuron()
        self.conv2 = nn.Conv2d(6, 4, 3)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(self.lif(self.norm(self.conv1(4 * x)))) * 5
        y = torch.clamp(torch.round(x), min=0, max=8)
        x = x + (y - x).detach()  # gradients pass, as in training
        return self.head(x.flatten(1))


class SpikeDrivenAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.project = (nn.Linear(8, 8) for _ in range(4))
        self.lif = IntegerNeuron()

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], x.shape[1], 2, 4).permute(0, 2, 1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.lif(x)
        q, k, v = (self.heads(self.lif(3 * layer(spikes))) for layer in (self.q, self.k, self.v))
        y = (q @ (k.transpose(-2, -1) @ v)) * 0.25 + ((q @ k.transpose(-2, -1)) * 0.5) @ v
        return x + self.project(self.lif(y.transpose(1, 2).reshape(x.shape)))


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).float()


class UnrolledNeuron(nn.Module):
    """All steps of time in one call."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, spikes = torch.zeros_like(x[:, 0]), []
        for step in range(x.shape[1]):
            v = 0.5 * v + x[:, step]
            spikes.append(_Spike.apply(v - 1.0))
            v = v * (1 - spikes[-1])
        return torch.stack(spikes, 1)


class UnrolledNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 6)
        self.lif = UnrolledNeuron()
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lif(self.fc(x))).mean(1)


class Functions(nn.Module):
    """Operators that have no node of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 6)
        self.register_buffer("mix", torch.randn(3, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(x)
        y = torch.where(y > 0.2, y, -y * 0.5) + torch.abs(y) + torch.maximum(y, y.flip(-1)) - y.clamp(-1, 0.5)
        y = (
            y.clamp(-1, 1)
            + torch.heaviside(y, torch.zeros(1))
            + (y >= 0.1).float() * 2
            - (y < 0.3).float()
            + y.clamp(max=2)
        )
        mixed = self.mix @ y[:, :5]
        a, b = torch.roll(y, 1, -1).chunk(2, -1)
        most = torch.stack([a, b], 1).max(1)[0] + functional.pad(torch.minimum(a, b), (1, -1), value=0.5)
        return (
            torch.cat([mixed.sum(1), most.amax(1) * 2 - 1], -1) / 3 - 1 + (2 - a[:, 0].mean(-1, keepdim=True))
        )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4), nn.Sigmoid())


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(6, 8, 5),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (mlp, (6,)),
    "lenet": (lenet, (1, 16, 16)),
    "resnet": (ResNetBlock, (3, 8, 8)),
    "mobilenet": (MobileNetBlock, (4, 6, 6)),
    "vit": (ViT, (3, 8, 8)),
    "one_dimensional": (OneDimensional, (2, 40)),
    "unet": (UNet, (1, 8, 8)),
    "integer_cnn": (IntegerCNN, (2, 8, 8)),
    "spike_driven": (SpikeDrivenAttention, (7, 8)),
    "functions": (Functions, (5, 4)),
}


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A module in evaluation, with statistics as after training, and three samples."""
    make, shape = NETWORKS[name]
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval(), torch.randn(3, *shape)
