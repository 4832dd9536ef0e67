"""A causal Zipformer in plain numpy, all frames of an utterance at once, in float64.

Written from the published formulae, not from the graph maker: attention masks in place of cached
keys and values, zeros to the left in place of cached frames, distances of pairs of frames in place
of shifted rows. Only the names of the weights are the graph's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from azsim.zoo.zipformer import EncoderSizes, Stack

Array = np.ndarray
Weights = Mapping[str, Array]


def swoosh_l(x: Array) -> Array:
    return np.logaddexp(0.0, x - 4.0) - 0.08 * x - 0.035


def swoosh_r(x: Array) -> Array:
    return np.logaddexp(0.0, x - 1.0) - 0.08 * x - 0.313261687


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def encoded_distance(distance: Array, width: int) -> Array:
    """Cosines and sines of an angle within -pi..pi that grows like the logarithm of a distance."""
    length = np.sqrt(width)
    logs = np.sign(distance) * length * (np.log(np.abs(distance) + length) - np.log(length))
    angle = np.arctan(logs / (width / (2 * np.pi)))
    found = np.empty((*np.shape(distance), width))
    for k in range(width // 2):
        found[..., 2 * k] = np.cos((k + 1) * angle)
        found[..., 2 * k + 1] = np.sin((k + 1) * angle)
    found[..., width - 1] = 1.0
    return found


@dataclass(frozen=True)
class Reference:
    """A net of `sizes` with the weights of a graph by name."""

    sizes: EncoderSizes
    weights: Weights

    def w(self, name: str) -> Array:
        return np.asarray(self.weights[name], dtype=np.float64)

    def dense(self, name: str, x: Array) -> Array:
        return x @ self.w(f"{name}.W").T + self.w(f"{name}.b")

    def bias_norm(self, name: str, x: Array) -> Array:
        apart = x - self.w(f"{name}.bias")
        power = (apart**2).mean(axis=-1, keepdims=True)
        return x * np.exp(self.w(f"{name}.log_scale")) / np.sqrt(power)

    def bypass(self, name: str, old: Array, new: Array) -> Array:
        scale = self.w(f"{name}.scale")
        return (1 - scale) * old + scale * new

    def image(self, name: str, x: Array, strides: tuple[int, int], pad: int) -> Array:
        """Convolution of (channels, time, bins), `pad` zeros on either side of the bins."""
        kernel, bias = self.w(f"{name}.W"), self.w(f"{name}.b")
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
        outputs, per_group, high, wide = kernel.shape
        time = (x.shape[1] - high) // strides[0] + 1
        bins = (x.shape[2] - wide) // strides[1] + 1
        y = np.zeros((outputs, time, bins))
        for i in range(high):
            for j in range(wide):
                part = x[:, i : i + time * strides[0] : strides[0]]
                part = part[:, :time, j : j + bins * strides[1] : strides[1]][:, :, :bins]
                if per_group == 1 and len(x) == outputs:
                    y += kernel[:, 0, i, j][:, None, None] * part
                else:
                    y += np.tensordot(kernel[:, :, i, j], part, 1)
        return y + bias[:, None, None]

    def embed(self, features: Array) -> Array:
        """Features (10 ms frames, bins) to (frames, channels)."""
        x = swoosh_r(self.image("embed.0", features[None], (1, 1), 1))
        x = swoosh_r(self.image("embed.1", x, (2, 2), 0))
        x = swoosh_r(self.image("embed.2", x, (1, 2), 0))
        frames = x.shape[1] - 3
        y = self.image("embed.depthwise", np.pad(x, ((0, 0), (3, 0), (0, 0))), (1, 1), 3)
        y = swoosh_l(self.image("embed.up", y, (1, 1), 0))
        x = x[:, :frames] + self.image("embed.down", y, (1, 1), 0)
        x = x.transpose(1, 0, 2).reshape(frames, -1)
        return self.bias_norm("embed.norm", self.dense("embed.out", x))

    def shares(self, name: str, x: Array, stack: Stack) -> Array:
        """Attention shares (heads, frames, frames)."""
        frames, heads = len(x), stack.heads
        q, k, p = (self.dense(f"{name}.{n}", x).reshape(frames, heads, -1) for n in "qkp")
        time = np.arange(frames)
        distance = time[None, :] - time[:, None]  # of key j from frame i
        table = self.w(f"{name}.linear_pos.W")
        every = encoded_distance(np.arange(1 - frames, frames), len(table)) @ table
        near = every[distance + frames - 1].reshape(frames, frames, heads, -1)
        scores = np.einsum("ihd,jhd->hij", q, k) + np.einsum("ihd,ijhd->hij", p, near)
        chunk = time // (self.sizes.chunk // stack.factor)
        back = chunk[:, None] - chunk[None, :]
        allowed = (back >= 0) & (back <= self.sizes.left // self.sizes.chunk)
        return softmax(np.where(allowed, scores, -np.inf))

    def attention(self, name: str, x: Array, shares: Array) -> Array:
        values = self.dense(f"{name}.values", x).reshape(len(x), len(shares), -1)
        mixed = np.einsum("hij,jhd->ihd", shares, values)
        return self.dense(f"{name}.out", mixed.reshape(len(x), -1))

    def gated(self, name: str, x: Array, shares: Array) -> Array:
        s, v, y = (self.dense(f"{name}.{n}", x) for n in "sxy")
        return self.dense(f"{name}.out", shares[0] @ (v * np.tanh(s)) * y)

    def convolution(self, name: str, x: Array, stack: Stack) -> Array:
        x = self.dense(f"{name}.value", x) * sigmoid(self.dense(f"{name}.gate", x))
        chunk, taps = self.sizes.chunk // stack.factor, stack.taps
        half = taps // 2
        causal, inside = self.w(f"{name}.causal.W")[:, 0], self.w(f"{name}.chunk.W")[:, 0]
        edges = self.w(f"{name}.edges")
        before = np.pad(x, ((half, 0), (0, 0)))
        y = sum(causal[:, k] * before[k : k + len(x)] for k in range(half + 1))
        alone = np.pad(x.reshape(-1, chunk, x.shape[1]), ((0, 0), (half, half), (0, 0)))
        here = sum(inside[:, k] * alone[:, k : k + chunk] for k in range(taps))
        scale = 1 + edges[0][:, :chunk] + edges[1][:, taps - chunk :]
        here = (here + self.w(f"{name}.chunk.b")) * scale.T
        y = y + self.w(f"{name}.causal.b") + here.reshape(x.shape)
        return self.dense(f"{name}.out", swoosh_r(y))

    def feed_forward(self, name: str, x: Array) -> Array:
        return self.dense(f"{name}.down", swoosh_l(self.dense(f"{name}.up", x)))

    def layer(self, name: str, x: Array, stack: Stack) -> Array:
        shares, y = self.shares(f"{name}.attend", x, stack), x
        y = y + self.feed_forward(f"{name}.ff1", y)
        y = y + self.gated(f"{name}.gated", y, shares)
        y = y + self.attention(f"{name}.att1", y, shares)
        y = y + self.convolution(f"{name}.conv1", y, stack)
        y = y + self.feed_forward(f"{name}.ff2", y)
        y = self.bypass(f"{name}.bypass_mid", x, y)
        y = y + self.attention(f"{name}.att2", y, shares)
        y = y + self.convolution(f"{name}.conv2", y, stack)
        y = y + self.feed_forward(f"{name}.ff3", y)
        return self.bypass(f"{name}.bypass", x, self.bias_norm(f"{name}.norm", y))

    def fewer(self, name: str, x: Array, factor: int) -> Array:
        weights = np.exp(self.w(f"{name}.bias").reshape(-1))
        groups = x.reshape(len(x) // factor, factor, -1)
        return np.einsum("k,tkc->tc", weights / weights.sum(), groups)

    def encoder(self, features: Array) -> Array:
        """Features (10 ms frames, bins) of whole chunks and 13 frames more to (frames / 2,
        channels)."""
        x = self.embed(features.astype(np.float64))
        for number, stack in enumerate(self.sizes.stacks):
            name = f"stack{number}"
            x = np.pad(x, ((0, 0), (0, stack.width - x.shape[1])))
            y = x if stack.factor == 1 else self.fewer(f"{name}.down", x, stack.factor)
            for k in range(self.sizes.layers):
                y = self.layer(f"{name}.{k}", y, stack)
            if stack.factor > 1:
                y = self.bypass(f"{name}.combined", x, np.repeat(y, stack.factor, axis=0))
            x = y
        return self.fewer("output.down", x, 2)
