"""The features files as padded batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tiny_rnnt.data_files import Utterances
from tiny_rnnt.grammar import WORDS

DELAY = 2  # outputs of 60 ms
LETTERS_PER_GAP = 2
FRAMES_PER_STEP = 6  # 3 frames side by side, and two such vectors per output of the encoder


@dataclass(frozen=True)
class Batch:
    """features (B, T, 192) with T even, targets (B, U); how many outputs and symbols count."""

    features: Tensor
    frames: Tensor
    targets: Tensor
    lengths: Tensor


def make_batch(utterances: Utterances, chosen: npt.NDArray[np.int64]) -> Batch:
    """Return the utterances `chosen`, padded with zeros."""
    features = [utterances.features[k] for k in chosen]
    symbols = [utterances.symbols[k] for k in chosen]
    frames = [len(one) // FRAMES_PER_STEP for one in features]
    padded = np.zeros((len(chosen), max(frames) * FRAMES_PER_STEP, 64), np.float32)
    targets = np.zeros((len(chosen), max(map(len, symbols))), np.int64)
    for row, (one, words) in enumerate(zip(features, symbols, strict=True)):
        whole = frames[row] * FRAMES_PER_STEP
        padded[row, :whole] = one[:whole]
        targets[row, : len(words)] = words
    stacked = padded.reshape(len(chosen), -1, 3 * 64)
    lengths = torch.tensor([len(words) for words in symbols])
    return Batch(
        torch.from_numpy(stacked), torch.tensor(frames), torch.from_numpy(targets), lengths
    )


def alignment(batch: Batch) -> Tensor:
    """Return (B, T / 2): the symbol that each output should name, 0 in pauses, -1 in the padding.

    Roughly: a word takes time by its letters, from the first loud frame to the last, and is named
    `DELAY` outputs later, when most of it has been heard.
    """
    loudness = batch.features.mean(dim=2).reshape(len(batch.frames), -1, 2).mean(dim=2)
    wanted = np.full(loudness.shape, -1, np.int64)
    for row, (frames, words) in enumerate(
        zip(batch.frames.tolist(), batch.lengths.tolist(), strict=True)
    ):
        symbols = batch.targets[row, :words].tolist()
        letters = [len(WORDS[symbol - 1]) + LETTERS_PER_GAP for symbol in symbols]
        loud = np.flatnonzero(loudness[row, :frames].numpy() > 0)
        first, last = int(loud[0]), int(loud[-1]) + 1
        ends = first + (last - first) * np.cumsum([0, *letters]) / sum(letters)
        wanted[row, :frames] = 0
        for symbol, begin, end in zip(symbols, ends, ends[1:], strict=False):
            wanted[row, round(begin) + DELAY : min(round(end) + DELAY, frames)] = symbol
    return torch.from_numpy(wanted)


def mask(rng: np.random.Generator, batch: Batch) -> None:
    """Set up to 2 bands and 2 spans of time of each utterance to 0, the mean (SpecAugment)."""
    view = batch.features.view(*batch.features.shape[:2], 3, 64)
    for row, frames in enumerate(batch.frames.tolist()):
        for _ in range(2):
            width, first = int(rng.integers(0, 9)), int(rng.integers(0, 56))
            view[row, :, :, first : first + width] = 0
            width, first = int(rng.integers(0, 4)), int(rng.integers(0, 2 * frames))
            view[row, first : first + width] = 0


def shuffled(
    utterances: Utterances, size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Return an epoch's batches: utterances of near lengths together, in random order."""
    lengths = np.array([len(one) for one in utterances.features])
    order = np.argsort(lengths + rng.normal(0, 15, len(lengths)))
    batches = [order[k : k + size] for k in range(0, len(order), size)]
    return [batches[k] for k in rng.permutation(len(batches))]
