"""Train the small nets whose weights benchmarks/compression.py compresses; plain numpy, seeded.

    python benchmarks/trained/train_nets.py [--hidden N] [--steps N] [--out FOLDER]

A character-level LSTM learns to predict the text of `pydoc_data.topics` (the help texts of Python,
part of every Python). After training at full size it is pruned by magnitude to 50, 75 and 90 %
zeros, one after the other, and trained on with the zeros fixed. Kept are the weights of the input
(4H x E), of the recurrence (4H x H) and of the output (V x H), as integers of 12 bits per matrix:
fine enough that rounding them again to 8 bits and less is as good as rounding the floats.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Weights = dict[str, Floats]

ALPHABET = 64
EMBEDDING = 32
BATCH = 32
SPAN = 32
RATE = 2e-3
CLIP = 1.0
SPARSITIES = (0, 50, 75, 90)
PRUNED = ("input", "recurrent", "output")
MASTER_LEVELS = 2**11 - 1


def text_codes() -> NDArray[np.int64]:
    """Return the text as codes 0..63: its 63 most frequent characters, 63 for all others."""
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    text = np.frombuffer("\n".join(topics[k] for k in sorted(topics)).encode(), np.uint8)
    counts = np.bincount(text, minlength=256)
    codes = np.full(256, ALPHABET - 1)
    codes[np.argsort(-counts, kind="stable")[: ALPHABET - 1]] = np.arange(ALPHABET - 1)
    return codes[text]


def start_weights(hidden: int, rng: np.random.Generator) -> Weights:
    """Return weights before training, uniform in +- 1 / sqrt(columns)."""
    shapes = {
        "embedding": (ALPHABET, EMBEDDING),
        "input": (4 * hidden, EMBEDDING),
        "recurrent": (4 * hidden, hidden),
        "bias": (4 * hidden, 1),
        "output": (ALPHABET, hidden),
        "output_bias": (ALPHABET, 1),
    }
    return {
        name: (rng.uniform(-1, 1, shape) / np.sqrt(shape[1])).astype(np.float32)
        for name, shape in shapes.items()
    }


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1))


@dataclass
class Trace:
    """What the way back needs of one step; all (features, batch)."""

    x: Floats
    h_before: Floats
    c_before: Floats
    gates: Floats  # i, f, o after the sigmoid, candidate after tanh
    c: Floats
    h: Floats
    surprise: Floats  # probabilities less the truth


def forward(
    w: Weights, codes: NDArray[np.int64], state: tuple[Floats, Floats]
) -> tuple[float, list[Trace], tuple[Floats, Floats]]:
    """Run `codes` (SPAN + 1, batch); return (nats per character, traces, state)."""
    hidden = w["recurrent"].shape[1]
    h, c = state
    traces = []
    loss = 0.0
    for now, after in pairwise(codes):
        x = w["embedding"][now].T
        sums = w["input"] @ x + w["recurrent"] @ h + w["bias"]
        gates = np.concatenate([sigmoid(sums[: 3 * hidden]), np.tanh(sums[3 * hidden :])])
        i, f, o, g = np.split(gates, 4)
        new_c = f * c + i * g
        new_h = o * np.tanh(new_c)
        scores = w["output"] @ new_h + w["output_bias"]
        powers = np.exp(scores - scores.max(axis=0))
        surprise = powers / powers.sum(axis=0)
        right = (after, np.arange(after.size))
        loss -= float(np.log(surprise[right]).mean())
        surprise[right] -= 1
        traces.append(Trace(x, h, c, gates, new_c, new_h, surprise))
        h, c = new_h, new_c
    return loss / len(traces), traces, (h, c)


def backward(w: Weights, codes: NDArray[np.int64], traces: list[Trace]) -> Weights:
    """Return the gradient of the loss of `forward`."""
    hidden = w["recurrent"].shape[1]
    gradient = {name: np.zeros_like(part) for name, part in w.items()}
    dh_next = np.zeros_like(traces[0].h)
    dc_next = np.zeros_like(traces[0].h)
    share = np.float32(1 / (len(traces) * codes.shape[1]))
    for step in reversed(range(len(traces))):
        t = traces[step]
        dy = t.surprise * share
        gradient["output"] += dy @ t.h.T
        gradient["output_bias"] += dy.sum(axis=1, keepdims=True)
        dh = w["output"].T @ dy + dh_next
        i, f, o, g = np.split(t.gates, 4)
        bent = np.tanh(t.c)
        dc = dh * o * (1 - bent * bent) + dc_next
        before = np.concatenate([dc * g, dc * t.c_before, dh * bent, dc * i])
        slope = t.gates * (1 - t.gates)
        slope[3 * hidden :] = 1 - g * g
        sums = before * slope
        gradient["input"] += sums @ t.x.T
        gradient["recurrent"] += sums @ t.h_before.T
        gradient["bias"] += sums.sum(axis=1, keepdims=True)
        np.add.at(gradient["embedding"], codes[step], (w["input"].T @ sums).T)
        dh_next = w["recurrent"].T @ sums
        dc_next = dc * f
    return gradient


class Adam:
    """Adam with a clipped gradient; weights under a zero of `masks` stay zero."""

    def __init__(self, w: Weights) -> None:
        self.mean = {name: np.zeros_like(part) for name, part in w.items()}
        self.square = {name: np.zeros_like(part) for name, part in w.items()}
        self.masks: dict[str, NDArray[np.bool_]] = {}
        self.steps = 0

    def step(self, w: Weights, gradient: Weights, rate: float) -> None:
        """Change `w` by one step against `gradient`."""
        self.steps += 1
        norm = np.sqrt(sum(float((part * part).sum()) for part in gradient.values()))
        factor = np.float32(min(1.0, CLIP / (norm + 1e-9)))
        for name, part in gradient.items():
            self.mean[name] += np.float32(0.1) * (factor * part - self.mean[name])
            self.square[name] += np.float32(0.001) * ((factor * part) ** 2 - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.steps)
            square = self.square[name] / (1 - 0.999**self.steps)
            w[name] -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
            if name in self.masks:
                w[name] *= self.masks[name]


def train(
    w: Weights, codes: NDArray[np.int64], adam: Adam, steps: int, rng: np.random.Generator
) -> float:
    """Train for `steps` on spans of the text, rate falling to a tenth; return bits per character
    of the last tenth."""
    hidden = w["recurrent"].shape[1]
    lanes = np.resize(codes, (BATCH, codes.size // BATCH)).T
    losses = []
    state = (np.zeros((hidden, BATCH), np.float32),) * 2
    at = int(rng.integers(len(lanes) - SPAN - 1))
    for step in range(steps):
        if at + SPAN + 1 > len(lanes):
            at = 0
        span = lanes[at : at + SPAN + 1]
        loss, traces, state = forward(w, span, state)
        adam.step(w, backward(w, span, traces), RATE * 0.1 ** (step / steps))
        losses.append(loss)
        at += SPAN
    return float(np.mean(losses[-max(1, steps // 10) :])) / np.log(2)


def prune(w: Weights, adam: Adam, percent: int) -> None:
    """Set the smallest `percent` % of each matrix to zero for good."""
    for name in PRUNED:
        size = np.abs(w[name])
        adam.masks[name] = size > np.quantile(size, percent / 100)
        w[name] *= adam.masks[name]


def masters(w: Weights) -> dict[str, NDArray[np.int16]]:
    """Return the kept matrices as integers of 12 bits, one scale each; no zero is new but the
    rounded."""
    kept = {}
    for name in PRUNED:
        scale = MASTER_LEVELS / float(np.abs(w[name]).max())
        kept[name] = np.rint(w[name] * scale).astype(np.int16)
    return kept


def main() -> None:
    """Train, prune, write a file per sparsity."""
    parser = argparse.ArgumentParser(description="Train nets for benchmarks/compression.py.")
    parser.add_argument("--hidden", type=int, default=112)
    parser.add_argument("--steps", type=int, default=2500, help="before pruning; then half of it")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    codes = text_codes()
    w = start_weights(options.hidden, rng)
    adam = Adam(w)
    print(f"{codes.size} characters")
    for percent in SPARSITIES:
        if percent:
            prune(w, adam, percent)
        steps = options.steps if percent == 0 else options.steps // 2
        bits = train(w, codes, adam, steps, rng)
        path = options.out / f"char_lstm_{percent}.npz"
        np.savez_compressed(path, **masters(w))
        print(f"{path}: {percent} % pruned, {bits:.3f} bits per character", flush=True)


if __name__ == "__main__":
    main()
