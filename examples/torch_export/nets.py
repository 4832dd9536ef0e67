"""Three small PyTorch nets as they are written for streaming speech and for a camera.

Each takes one step's input and its state, and returns the step's result and the next state. The
weights are random (PyTorch's initial ones from a fixed seed): results mean nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES, SCORES = 40, 24


class LstmEncoder(nn.Module):
    """Two LSTM layers of 48, layer norm, dense, log-probabilities; one frame per step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 48, num_layers=2, batch_first=True)
        self.norm = nn.LayerNorm(48)
        self.dense = nn.Linear(48, SCORES)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (1, 1, 40), h and c (2, 1, 48) -> scores (1, 1, 24), next h and c."""
        y, (h, c) = self.lstm(x, (h, c))
        return functional.log_softmax(self.dense(self.norm(y)), dim=-1), h, c


class FeedForward(nn.Sequential):
    """Norm, dense, swish, dense: half of it is added."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )


class CachedAttention(nn.Module):
    """Attention of the chunk's frames to `context` frames before the chunk and to the chunk up to
    each frame itself, with a learned bias per head and distance."""

    def __init__(self, width: int, heads: int, frames: int, context: int) -> None:
        super().__init__()
        self.heads, self.context = heads, context
        self.norm = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.by_distance = nn.Parameter(0.5 * torch.randn(heads, context + frames))
        distance = context + torch.arange(frames)[:, None] - torch.arange(context + frames)[None, :]
        self.register_buffer("distance", distance.clamp(min=0))
        self.register_buffer("later", distance < 0)

    def split(self, x: Tensor) -> Tensor:
        """(1, frames, width) -> (1, heads, frames, width / heads)."""
        return x.reshape(1, x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (1, frames, width); keys and values (1, context, width) of the frames before."""
        normed = self.norm(x)
        keys = torch.cat([keys, self.key(normed)], dim=1)
        values = torch.cat([values, self.value(normed)], dim=1)
        bias = self.by_distance[:, self.distance].masked_fill(self.later, float("-inf"))
        query, key, value = (self.split(t) for t in (self.query(normed), keys, values))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return mixed, keys[:, -self.context :], values[:, -self.context :]


class CausalConvolution(nn.Module):
    """Norm, 1x1, gate (GLU), depthwise over this and earlier frames, batch norm, swish, 1x1."""

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, 2 * width, 1)
        self.depthwise = nn.Conv1d(width, width, taps, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        """x (1, frames, width); left (1, width, taps - 1): what the depthwise saw last."""
        y = functional.glu(self.wide(self.norm(x).transpose(1, 2)), dim=1)
        seen = torch.cat([left, y], dim=2)
        y = functional.silu(self.batch_norm(self.depthwise(seen)))
        return self.out(y).transpose(1, 2), seen[:, :, -left.shape[2] :]


class ConformerBlock(nn.Module):
    """A streaming Conformer block of width 40: four frames per step, eight frames of context."""

    WIDTH, HEADS, FRAMES, CONTEXT, TAPS = 40, 4, 4, 8, 7

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = FeedForward(self.WIDTH), FeedForward(self.WIDTH)
        self.attention = CachedAttention(self.WIDTH, self.HEADS, self.FRAMES, self.CONTEXT)
        self.convolution = CausalConvolution(self.WIDTH, self.TAPS)
        self.norm = nn.LayerNorm(self.WIDTH)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x (1, 4, 40), keys and values (1, 8, 40), left (1, 40, 6) -> y and the next states."""
        x = x + 0.5 * self.first(x)
        mixed, keys, values = self.attention(x, keys, values)
        x = x + mixed
        mixed, left = self.convolution(x, left)
        x = x + mixed
        return self.norm(x + 0.5 * self.second(x)), keys, values, left


class InvertedResidual(nn.Module):
    """1x1 up, depthwise 3x3, squeeze and excitation (if `gated`), 1x1 down, shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, gated: bool) -> None:
        super().__init__()
        wide = 3 * inputs
        act: type[nn.Module] = nn.Hardswish if gated else nn.ReLU6
        self.up = nn.Sequential(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), act())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            act(),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(wide, wide // 4, 1),
            nn.ReLU(),
            nn.Conv2d(wide // 4, wide, 1),
            nn.Hardsigmoid(),
        )
        self.gated, self.is_same = gated, stride == 1 and inputs == outputs
        self.down = nn.Sequential(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x (1, inputs, rows, columns)."""
        y = self.depthwise(self.up(x))
        if self.gated:
            y = y * self.gate(y)
        y = self.down(y)
        return x + y if self.is_same else y


class MobileNet(nn.Module):
    """A MobileNet of 48 x 48 pixels: ReLU6 at first, HardSwish and gates later, global mean."""

    # inputs, outputs, stride, gated
    BLOCKS = ((8, 8, 1, False), (8, 16, 2, False), (16, 16, 1, True), (16, 24, 2, True))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.blocks = nn.Sequential(*(InvertedResidual(*block) for block in self.BLOCKS))
        self.head = nn.Sequential(nn.Conv2d(24, 64, 1), nn.Hardswish())
        self.dense = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """x (1, 3, 48, 48) -> scores (1, 10)."""
        y = self.head(self.blocks(self.stem(x)))
        return self.dense(y.mean(dim=(2, 3)))
