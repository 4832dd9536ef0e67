"""The net: the zoo's `tiny_rnnt` in torch, with its weights as they will be stored."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tiny_rnnt.grammar import BLANK, SYMBOLS
from tiny_rnnt.settings import DENSES, EMBEDDED, EMBEDDING, LSTMS, STACK

# log-mel features deviate by about this; inside, the net takes them at deviation 1
FEATURE_SCALE = 4.0
DROPOUT = 0.1
MOST_SYMBOLS_PER_FRAME = 3  # of greedy decoding

Change = Callable[[str, Tensor], Tensor]
"""What is done to a weight before it is used: (name, weight) -> weight."""


def unchanged(name: str, weight: Tensor) -> Tensor:
    """The weight itself."""
    return weight


def spread_weights(rows: int, columns: int) -> Tensor:
    """Return weights that keep the size of what they multiply: from smaller ones, torch's own for
    an LSTM, three layers learn several times more slowly."""
    return torch.randn(rows, columns) * columns**-0.5


class TinyRnnt(nn.Module):
    """Weights by the names of the zoo's model: NAME.W, NAME.R, NAME.b, gates in torch's order
    (i, f, g, o); `change` stands between them and every product."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterDict()
        self.change: Change = unchanged
        for name, (inputs, cells) in LSTMS.items():
            self._add(f"{name}.W", spread_weights(4 * cells, inputs))
            turns = [nn.init.orthogonal_(torch.empty(cells, cells)) for _ in range(4)]
            self._add(f"{name}.R", torch.cat(turns))
            bias = torch.zeros(4 * cells)
            bias[cells : 2 * cells] = 1.0  # of the forget gate
            self._add(f"{name}.b", bias)
        for name, (inputs, outputs) in DENSES.items():
            self._add(f"{name}.W", spread_weights(outputs, inputs))
            self._add(f"{name}.b", torch.zeros(outputs))
        self._add(EMBEDDING, torch.randn(SYMBOLS, EMBEDDED))

    def _add(self, name: str, data: Tensor) -> None:
        self.weights[name.replace(".", "/")] = nn.Parameter(data)

    def weight(self, name: str) -> Tensor:
        """Return a weight as it is used. Names of a ParameterDict must not hold dots."""
        return self.change(name, self.weights[name.replace(".", "/")])

    def named_weights(self) -> dict[str, Tensor]:
        """Return all weights by name, unchanged."""
        return {name.replace("/", "."): weight for name, weight in self.weights.items()}

    def _lstm(
        self, name: str, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        _, cells = LSTMS[name]
        if state is None:
            zeros = x.new_zeros(1, len(x), cells)
            state = (zeros, zeros)
        bias = self.weight(f"{name}.b")
        weights = [self.weight(f"{name}.W"), self.weight(f"{name}.R"), bias, torch.zeros_like(bias)]
        y, h, c = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, True)
        return y, (h, c)

    def _dense(self, name: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight(f"{name}.W"), self.weight(f"{name}.b"))

    def _dropped(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, DROPOUT, self.training)

    def encode(self, features: Tensor) -> Tensor:
        """(B, T, 192), T even -> (B, T / 2, 256)."""
        x, _ = self._lstm("encoder.pre.0", features / FEATURE_SCALE)
        x = self._dropped(x).reshape(len(x), -1, STACK * x.shape[2])
        x, _ = self._lstm("encoder.post.0", x)
        x, _ = self._lstm("encoder.post.1", self._dropped(x))
        return x

    def predict(
        self, symbols: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, U) symbols said before -> (B, U, 128) and the state behind them."""
        x = nn.functional.embedding(symbols, self.weight(EMBEDDING))
        return self._lstm("prediction.0", self._dropped(x), state)

    def join(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """(..., 256) and (..., 128) -> logits (..., 129), shapes broadcast."""
        x = self._dense("joint.encoded", encoded) + self._dense("joint.predicted", predicted)
        return self._dense("joint.output", torch.tanh(x))

    def logits(self, encoded: Tensor, targets: Tensor) -> Tensor:
        """(B, T, 256), (B, U) -> (B, T, U + 1, 129)."""
        before = nn.functional.pad(targets, (1, 0), value=BLANK)
        predicted, _ = self.predict(before)
        predicted = self._dropped(predicted)
        return self.join(self._dropped(encoded)[:, :, None], predicted[:, None])

    def ctc_logs(self, encoded: Tensor) -> Tensor:
        """(B, T, 256) -> log probabilities (B, T, 129) of the head that only training uses."""
        return nn.functional.log_softmax(self._dense("ctc", encoded), dim=-1)

    @torch.no_grad()
    def greedy(self, features: Tensor, frames: Tensor) -> list[list[int]]:
        """Decode (B, T, 192); `frames` (B,) are the encoder's outputs that count."""
        encoded = self.encode(features)
        said: list[list[int]] = [[] for _ in encoded]
        start = torch.full((len(encoded), 1), BLANK)
        predicted, state = self.predict(start)
        for t in range(encoded.shape[1]):
            for _ in range(MOST_SYMBOLS_PER_FRAME):
                best = self.join(encoded[:, t], predicted[:, 0]).argmax(dim=-1)
                speaks = (best != BLANK) & (t < frames)
                if not bool(speaks.any()):
                    break
                for row in speaks.nonzero()[:, 0].tolist():
                    said[row].append(int(best[row]))
                after, next_state = self.predict(best[:, None], state)
                predicted = torch.where(speaks[:, None, None], after, predicted)
                state = tuple(
                    torch.where(speaks[None, :, None], new, old)
                    for new, old in zip(next_state, state, strict=True)
                )
        return said
