"""Trains on with compressed weights: python -m tiny_rnnt.finetune --data DATA --model MODEL.pt
--out FOLDER [SETTING...].

Each setting starts from the float model and writes FOLDER/SETTING.npz for `azsim`; the float
model itself is written as float.npz. What is there already is left out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tiny_rnnt.batches import make_batch, mask, shuffled
from tiny_rnnt.compression import Compression
from tiny_rnnt.data_files import Utterances, read_utterances
from tiny_rnnt.errors import word_error_rate
from tiny_rnnt.export import write_weights
from tiny_rnnt.net import TinyRnnt
from tiny_rnnt.settings import FLOAT, SETTINGS, Setting
from tiny_rnnt.train import BATCH, LARGEST_GRADIENT, Schedule, batch_loss, decode

RAMP = 0.5  # of the steps, in which zeros grow to their share as 1 - (1 - t)^3
STEPS_BETWEEN_CHOICES = 25


def zeros_at(progress: float, share: float) -> float:
    """Return the share of zeros after `progress` of all steps."""
    left = max(0.0, 1 - progress / RAMP)
    return float(share * (1 - left**3))


def finetune(
    net: TinyRnnt, setting: Setting, data: Utterances, rate: float, seed: int
) -> Compression:
    """Train on under `setting`; return it with the zeros it chose."""
    steps = setting.steps
    compression = Compression(setting)
    net.change = compression
    net.train()
    rng = np.random.default_rng([seed, *setting.name.encode()])
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = Schedule(1, steps, rate, warming_up=50)
    batches: list[np.ndarray] = []
    bar = tqdm(range(steps), desc=setting.name, mininterval=2)
    total = 0.0
    for step in bar:
        batches = batches or shuffled(data, BATCH, rng)
        batch = make_batch(data, batches.pop())
        mask(rng, batch)
        if step % STEPS_BETWEEN_CHOICES == 0 and step <= RAMP * steps + STEPS_BETWEEN_CHOICES:
            compression.prune(net, zeros_at(step / steps, setting.sparsity))
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss = batch_loss(net, batch, ctc_share=0.0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        total += float(loss.detach())
        bar.set_postfix(loss=f"{total / (step + 1):.3f}")
    return compression


def main() -> None:
    """Write the float model and each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=", ".join(names))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    wishes = parser.parse_args()
    torch.set_num_threads(wishes.threads)
    wishes.out.mkdir(parents=True, exist_ok=True)
    data, dev = (read_utterances(wishes.data / f"{name}.npz") for name in ("train", "dev"))
    chosen = [s for s in SETTINGS if not wishes.settings or s.name in wishes.settings]
    for setting in (FLOAT, *chosen):
        path = wishes.out / f"{setting.name}.npz"
        if path.exists():
            continue
        net = TinyRnnt()
        net.load_state_dict(torch.load(wishes.model, weights_only=True)["net"])
        compression = Compression(setting)
        if setting is not FLOAT:
            compression = finetune(net, setting, data, wishes.rate, wishes.seed)
        error = word_error_rate(decode(net, dev), dev.symbols)
        print(f"{setting.name}: dev WER {error:.2%} with floats between the layers", flush=True)
        write_weights(path, net, compression)


if __name__ == "__main__":
    main()
