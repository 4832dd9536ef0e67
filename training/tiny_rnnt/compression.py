"""What the compression does to weights, for training with it: zeros and few bits, gradients passed
straight through. The rules are azsim's: magnitude per matrix, one scale per row."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tiny_rnnt.net import TinyRnnt
from tiny_rnnt.settings import EMBEDDING, MATRICES, Setting


def grid_integers(weight: Tensor, bits: int, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Return integers and scales (rows, 1) of the symmetric grid whose end is a row's largest
    magnitude (`whole`: the whole table's)."""
    top = 2 ** (bits - 1) - 1
    peak = weight.abs().amax() if whole else weight.abs().amax(dim=1, keepdim=True)
    scale = (peak / top).clamp_min(1e-12).expand(len(weight), 1)
    return torch.round(weight / scale), scale


def kept(weight: Tensor, share: float) -> Tensor:
    """Return 1 where a matrix keeps its weight, 0 for the `share` of smallest magnitudes."""
    zeros = round(share * weight.numel())
    mask = torch.ones(weight.numel())
    if zeros:
        mask[torch.topk(weight.detach().abs().reshape(-1), zeros, largest=False).indices] = 0
    return mask.reshape(weight.shape)


@dataclass
class Compression:
    """Stands between a net's weights and their use; `masks` of the matrices that have zeros."""

    setting: Setting
    masks: dict[str, Tensor] = field(default_factory=dict)

    def prune(self, net: TinyRnnt, share: float) -> None:
        """Choose the zeros anew."""
        if share:
            weights = net.named_weights()
            self.masks = {name: kept(weights[name], share) for name in MATRICES}

    def __call__(self, name: str, weight: Tensor) -> Tensor:
        if name in self.masks:
            weight = weight * self.masks[name]
        bits = self.setting.bits_of(name)
        if bits is None:
            return weight
        integers, scale = grid_integers(weight.detach(), bits, whole=name == EMBEDDING)
        return weight + (integers * scale - weight).detach()
