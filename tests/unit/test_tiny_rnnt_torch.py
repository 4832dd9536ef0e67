"""The training's torch half: loss, net, fake quantization. Needs the extra `train`."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from azsim.zoo.trained import TrainedWeights, read_weights

torch = pytest.importorskip("torch")

from tiny_rnnt.compression import Compression, kept  # noqa: E402
from tiny_rnnt.export import write_weights  # noqa: E402
from tiny_rnnt.finetune import RAMP, zeros_at  # noqa: E402
from tiny_rnnt.loss import rnnt_loss  # noqa: E402
from tiny_rnnt.net import TinyRnnt  # noqa: E402
from tiny_rnnt.recognize import float_parts, read_parts, steps_of  # noqa: E402
from tiny_rnnt.settings import FLOAT, SETTINGS, Setting  # noqa: E402

torch.set_num_threads(1)  # small products: threads on a busy machine wait for each other


def every_path(logs: np.ndarray, symbols: list[int]) -> float:
    """Return the log probability of `symbols`, adding up every way to interleave them with blanks.

    logs (T, U + 1, V). A path is the frames at which the symbols are said, in order.
    """
    frames, total = len(logs), -math.inf
    for places in itertools.combinations_with_replacement(range(frames), len(symbols)):
        path, said = 0.0, 0
        for t in range(frames):
            while said < len(symbols) and places[said] == t:
                path += logs[t, said, symbols[said]]
                said += 1
            path += logs[t, said, 0]
        total = np.logaddexp(total, path)
    return float(total)


def test_the_loss_adds_up_every_path_also_of_padded_utterances() -> None:
    torch.manual_seed(3)
    sizes = [(4, 3), (1, 2), (3, 0), (2, 1)]
    logits = 3 * torch.randn(len(sizes), 4, 4, 5, dtype=torch.float64)
    targets = torch.randint(1, 5, (len(sizes), 3))
    frames, lengths = (torch.tensor(column) for column in zip(*sizes, strict=True))
    losses = rnnt_loss(logits, targets, frames, lengths)
    logs = torch.log_softmax(logits, dim=-1).numpy()
    for row, (t, u) in enumerate(sizes):
        wanted = -every_path(logs[row, :t, : u + 1], targets[row, :u].tolist())
        assert losses[row].item() == pytest.approx(wanted, rel=1e-12)


def test_the_gradient_is_that_of_the_loss_and_padding_has_none() -> None:
    torch.manual_seed(4)
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    targets, frames, lengths = torch.tensor([[1, 2], [3, 3]]), (3, 2), (2, 1)

    def loss(scores: torch.Tensor) -> torch.Tensor:
        return rnnt_loss(scores, targets, torch.tensor(frames), torch.tensor(lengths)).sum()

    assert torch.autograd.gradcheck(loss, logits)
    (gradient,) = torch.autograd.grad(loss(logits), logits)
    assert gradient[1, 2].abs().max() == 0
    assert gradient[1, :, 2].abs().max() == 0
    assert gradient[1, 1, 1].abs().max() > 0


@pytest.mark.parametrize("setting", [FLOAT, *SETTINGS], ids=lambda setting: setting.name)
def test_azsim_computes_with_the_written_weights_what_torch_does(
    tmp_path: Path, setting: Setting
) -> None:
    """Features to logits over three parts, order of gates, scales, masks and all."""
    torch.manual_seed(5)
    net = TinyRnnt().eval()
    compression = Compression(setting)
    compression.prune(net, setting.sparsity)
    net.change = compression
    write_weights(tmp_path / "net.npz", net, compression)
    written = TrainedWeights(read_weights(tmp_path / "net.npz"), False, "")
    graphs = read_parts(written, setting.bits or 8, setting.sparsity)
    parts = float_parts(graphs)
    features = (4 * np.random.default_rng(1).normal(size=(60, 64))).astype(np.float32)
    with torch.no_grad():
        encoded = net.encode(torch.from_numpy(features.reshape(1, 20, 192)))[0].numpy()
        predicted = net.predict(torch.tensor([[0, 7, 128]]))[0][0].numpy()
        logits = net.join(torch.from_numpy(encoded[-1]), torch.from_numpy(predicted[-1])).numpy()
    for part in parts.values():
        part.reset()
    theirs = [parts["encoder"].step({"features": step})["encoded"] for step in steps_of(features)]
    tokens = [np.full((1, 1), token, np.int64) for token in (0, 7, 128)]
    said = [parts["prediction"].step({"token": token})["predicted"] for token in tokens]
    joined = parts["joint"].step({"encoded": theirs[-1], "predicted": said[-1]})["logits"]
    assert np.ravel(theirs) == pytest.approx(np.ravel(encoded), abs=2e-5)
    assert np.ravel(said) == pytest.approx(np.ravel(predicted), abs=2e-5)
    assert np.ravel(joined) == pytest.approx(logits, abs=1e-4)


def test_compressed_weights_are_on_their_grid_and_gradients_pass() -> None:
    torch.manual_seed(6)
    weight = torch.randn(8, 50, requires_grad=True)
    compression = Compression(Setting("w4_s50", 4, 0.5))
    compression.masks["encoder.pre.0.W"] = kept(weight, 0.5)
    used = compression("encoder.pre.0.W", weight)
    assert (used == 0).sum() >= 200
    scale = used.abs().amax(dim=1, keepdim=True) / 7
    assert torch.allclose(used / scale, torch.round(used / scale), atol=1e-5)
    used.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, compression.masks["encoder.pre.0.W"])
    small = compression.masks["encoder.pre.0.W"] == 0
    assert weight.detach().abs()[small].max() < weight.detach().abs()[~small].min()


def test_zeros_grow_to_their_share_and_stay() -> None:
    shares = [zeros_at(progress, 0.75) for progress in (0.0, 0.25, RAMP, 1.0)]
    assert shares == [0.0, pytest.approx(0.75 * (1 - 0.5**3)), 0.75, 0.75]
