"""The RNN-T loss (Graves, arXiv 1211.3711) in plain torch: a pass over time, all words at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rnnt_loss(
    logits: Tensor, targets: Tensor, frames: Tensor, lengths: Tensor, blank: int = 0
) -> Tensor:
    """Return the negative log probability of each utterance's symbols, shape (B,).

    logits (B, T, U + 1, V): scores after t frames and u symbols; targets (B, U) symbols, padded
    with any; frames (B,) and lengths (B,): how many of them count, both 1 or more for frames.

    alpha[t, u], the log probability to have seen t frames and said u symbols, follows from
    alpha[t - 1] + blank by saying symbols at frame t: alpha[t, u] = logaddexp(alpha[t - 1, u] +
    blank, alpha[t, u - 1] + symbol). Less the sum of the symbols' logs to its left, that is a
    running logsumexp along u.
    """
    logs = functional.log_softmax(logits, dim=-1).double()
    blanks = logs[..., blank]
    index = targets[:, None, :, None].expand(-1, logs.shape[1], -1, 1)
    said = logs[:, :, :-1].gather(3, index)[..., 0].cumsum(dim=2)
    said = functional.pad(said, (1, 0))  # (B, T, U + 1): logs of the first u symbols at frame t
    alpha = said[:, 0]
    rows = [alpha]
    for t in range(1, logs.shape[1]):
        alpha = said[:, t] + torch.logcumsumexp(alpha + blanks[:, t - 1] - said[:, t], dim=1)
        rows.append(alpha)
    row = torch.arange(len(frames)), frames - 1, lengths
    return -(torch.stack(rows, dim=1)[row] + blanks[row])
