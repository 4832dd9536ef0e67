"""Trains the net in floats: python -m tiny_rnnt.train --data DATA --out MODEL.pt.

A checkpoint is written after each epoch; the same call goes on from there.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from tiny_rnnt.batches import Batch, alignment, make_batch, mask, shuffled
from tiny_rnnt.data_files import Utterances, read_utterances
from tiny_rnnt.errors import word_error_rate
from tiny_rnnt.loss import rnnt_loss
from tiny_rnnt.net import TinyRnnt

BATCH = 16
CTC_SHARE = 0.3
ALIGNED_EPOCHS = 1  # at the beginning: the encoder alone, on roughly aligned words
STEPS_OF_WARMING_UP = 200
LARGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class Schedule:
    """Epochs, steps of each, and the learning rate: up from 0, then down a cosine to a 50th."""

    epochs: int
    steps: int
    rate: float
    warming_up: int = STEPS_OF_WARMING_UP

    def rate_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ... of all epochs together."""
        done = step / (self.epochs * self.steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self.rate * min(1.0, (step + 1) / self.warming_up) * max(cosine, 0.02)


def batch_loss(net: TinyRnnt, batch: Batch, ctc_share: float) -> Tensor:
    """Return the mean loss per utterance: RNN-T, and a share of CTC on the encoder."""
    encoded = net.encode(batch.features)
    logits = net.logits(encoded, batch.targets)
    loss = rnnt_loss(logits, batch.targets, batch.frames, batch.lengths).mean()
    if ctc_share:
        logs = net.ctc_logs(encoded).transpose(0, 1)
        ctc = functional.ctc_loss(
            logs, batch.targets, batch.frames, batch.lengths, reduction="none", zero_infinity=True
        )
        loss = loss + ctc_share * ctc.mean()
    return loss


def aligned_loss(net: TinyRnnt, batch: Batch) -> Tensor:
    """Return the mean loss per output of naming the word that is being said, by `alignment`.

    Without it the net first learns which words follow each other, and does not listen for long.
    """
    logs = net.ctc_logs(net.encode(batch.features))
    return functional.nll_loss(logs.flatten(0, 1), alignment(batch).flatten(), ignore_index=-1)


def run_epoch(
    net: TinyRnnt,
    optimizer: torch.optim.Optimizer,
    data: Utterances,
    schedule: Schedule,
    epoch: int,
    seed: int,
) -> float:
    """Train one epoch; return the mean loss. Batches and masks depend on seed and epoch only."""
    rng = np.random.default_rng([seed, epoch])
    torch.manual_seed(1000 * seed + epoch)
    net.train()
    total = 0.0
    batches = shuffled(data, BATCH, rng)
    bar = tqdm(batches, desc=f"epoch {epoch + 1}/{schedule.epochs}", mininterval=2)
    for number, chosen in enumerate(bar):
        batch = make_batch(data, chosen)
        if epoch >= ALIGNED_EPOCHS:
            mask(rng, batch)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(epoch * schedule.steps + number)
        optimizer.zero_grad(set_to_none=True)
        aligned = epoch < ALIGNED_EPOCHS
        loss = aligned_loss(net, batch) if aligned else batch_loss(net, batch, CTC_SHARE)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        total += float(loss.detach())
        bar.set_postfix(loss=f"{total / (number + 1):.3f}")
    return total / len(batches)


def decode(net: TinyRnnt, data: Utterances) -> list[list[int]]:
    """Decode all utterances greedily with torch floats."""
    net.eval()
    said: list[list[int]] = []
    for first in range(0, len(data), 50):
        batch = make_batch(data, np.arange(first, min(first + 50, len(data))))
        said += net.greedy(batch.features, batch.frames)
    return said


def save(path: Path, **content: Any) -> None:
    """Write a checkpoint whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.rename(path)


def main() -> None:
    """Train, or go on with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="checkpoint to write, to go on from"
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    wishes = parser.parse_args()
    torch.set_num_threads(wishes.threads)
    torch.manual_seed(wishes.seed)
    net = TinyRnnt()
    optimizer = torch.optim.Adam(net.parameters(), lr=wishes.rate)
    data, dev = (read_utterances(wishes.data / f"{name}.npz") for name in ("train", "dev"))
    schedule = Schedule(wishes.epochs, -(-len(data) // BATCH), wishes.rate)
    first = 0
    if wishes.out.exists():
        kept = torch.load(wishes.out, weights_only=True)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["epoch"] + 1
    for epoch in range(first, wishes.epochs):
        begin = time.perf_counter()
        loss = run_epoch(net, optimizer, data, schedule, epoch, wishes.seed)
        rate = word_error_rate(decode(net, dev), dev.symbols)
        save(wishes.out, net=net.state_dict(), optimizer=optimizer.state_dict(), epoch=epoch)
        seconds = time.perf_counter() - begin
        print(
            f"epoch {epoch + 1}: loss {loss:.3f}, dev WER {rate:.1%}, {seconds:.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
