"""The streaming Zipformer: of the published size; chunk by chunk what all frames at once give; bit
for bit on the chips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from zipformer_reference import Reference

from azsim.api import run
from azsim.frontend import read_onnx
from azsim.sweep.materials import random_inputs
from azsim.zoo import build_zoo, find_entry, save_onnx, zoo_table
from azsim.zoo.model import NetMaker
from azsim.zoo.zipformer import SMALL, EncoderSizes, Stack, encoder

NAME = "zipformer_s_stream"
TINY = EncoderSizes(
    chunk=8,
    left=16,
    features=20,
    channels=(4, 8, 12, 24),
    stacks=(Stack(1, 16, 32, 2, 9), Stack(2, 24, 32, 2, 7), Stack(4, 24, 32, 4, 5)),
    layers=1,
)


def dense(rows: int, columns: int) -> int:
    return (rows + 1) * columns


def published(sizes: EncoderSizes, layers: Sequence[int], causal: bool, training: bool) -> int:
    """Parameters of a whole transducer as its public code makes them, module by module."""
    first, last = sizes.stacks[0].width, max(stack.width for stack in sizes.stacks)
    count = 80 + (8 * 9 + 1) * 32 + (32 * 9 + 1) * 128 + 50 * 128
    count += dense(128, 384) + dense(384, 128) + dense(19 * 128, first) + first + 1
    for stack, number in zip(sizes.stacks, layers, strict=True):
        width, inner, heads, taps = stack.width, stack.inner, stack.heads, stack.taps
        layer = dense(width, heads * (32 + 32 + 4)) + 48 * heads * 4
        layer += 2 * (dense(width, heads * 12) + dense(heads * 12, width))
        for share in (3, 4, 5):
            layer += dense(width, inner * share // 4) + dense(inner * share // 4, width)
        layer += dense(width, 3 * (3 * width // 4)) + dense(3 * width // 4, width)
        inside = width * (taps + 1)
        if causal:
            inside += width * ((taps + 1) // 2 + 1) + 2 * width * taps
        layer += 2 * (dense(width, 2 * width) + inside + dense(width, width))
        layer += width + 1 + 2 * width + (width if training else 0)  # a scale that nothing reads
        count += number * layer + (stack.factor + width if stack.factor > 1 else 0)
    count += 2 + 500 * 512 + 512 * 8
    count += dense(last, 512) + dense(512, 512) + dense(512, 500)
    return count + (dense(last, 500) + dense(512, 500) if training else 0)


MIDDLE = EncoderSizes(
    chunk=16,
    left=128,
    features=80,
    channels=SMALL.channels,
    stacks=(
        Stack(1, 192, 512, 4, 31),
        Stack(2, 256, 768, 4, 31),
        Stack(4, 384, 1024, 4, 15),
        Stack(8, 512, 1536, 8, 15),
        Stack(4, 384, 1024, 4, 15),
        Stack(2, 256, 768, 4, 31),
    ),
    layers=2,
)


@pytest.mark.small
def test_the_count_is_the_published_one() -> None:
    """icefall's RESULTS.md: the small net, and the middle one without and with causal
    convolutions. What is shipped is the small one in the causal form, without what only training
    uses."""
    twos, middle = (2,) * 6, (2, 2, 3, 4, 3, 2)
    assert published(SMALL, twos, causal=False, training=True) == 23_285_615
    assert published(MIDDLE, middle, causal=False, training=True) == 65_549_011
    assert published(MIDDLE, middle, causal=True, training=True) == 66_110_931
    total = sum(entry.parameters for entry in zoo_table() if entry.name == NAME)
    assert total == published(SMALL, twos, causal=True, training=False) == 23_239_943
    assert total == pytest.approx(23.3e6, rel=0.05)


@pytest.mark.small
def test_multiplications_are_those_of_the_source() -> None:
    """8.3 M per 20 ms are the layers alone; the convolutions in front are not in that figure."""
    entry = find_entry(NAME, "encoder")
    inside = sum(layer.macs for layer in entry.layers if layer.name.startswith("stack"))
    assert inside / SMALL.chunk == pytest.approx(8.3e6, rel=0.10)
    rows = 19 * 19
    front = 43 * 80 * 8 * 9 + 21 * 39 * 32 * 72 + rows * 128 * 288
    front += 16 * 19 * (128 * 49 + 2 * 128 * 384) + 16 * 19 * 128 * 192
    assert entry.macs - inside == front + 16 * 256
    assert entry.frame_ms == 320


# -- chunk by chunk, and at once -------------------------------------------------------------------


def model_of(sizes: EncoderSizes) -> onnx.ModelProto:
    maker = NetMaker("net", 8, 0.0, 5, 0)
    partial(encoder, sizes=sizes)(maker)
    model = maker.build("", {})
    onnx.checker.check_model(model, full_check=True)
    return model


def streamed(model: onnx.ModelProto, sizes: EncoderSizes, features: np.ndarray) -> np.ndarray:
    """ONNX Runtime's results of all chunks, each with the states of the one before."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    states = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()[1:]}
    step, rows = 2 * sizes.chunk, []
    for begin in range(0, len(features) - sizes.window + step, step):
        part = features[begin : begin + sizes.window][None, None]
        results = dict(zip(names, session.run(names, {"features": part, **states}), strict=True))
        rows.append(np.asarray(results["encoded"])[:, 0])
        states = {name: results[f"{name}_next"] for name in states}
    return np.concatenate(rows)


@pytest.mark.parametrize(("sizes", "chunks"), [(TINY, 5), (SMALL, 10)], ids=["tiny", "small"])
def test_chunks_give_what_all_frames_at_once_give(sizes: EncoderSizes, chunks: int) -> None:
    """More chunks than the left context holds, so that old frames leave it."""
    assert chunks > sizes.left // sizes.chunk + 1
    model = model_of(sizes)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    frames = sizes.window + 2 * sizes.chunk * (chunks - 1)
    features = np.random.default_rng(3).normal(size=(frames, sizes.features)).astype(np.float32)
    wanted = Reference(sizes, weights).encoder(features)
    got = streamed(model, sizes, features)
    assert got.shape == wanted.shape == (chunks * sizes.chunk // 2, sizes.width)
    assert got == pytest.approx(wanted, abs=2e-4)
    assert 0.3 < float(wanted.std()) < 3.0


# -- on the chips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["az1", "az2", "tiny"])
def test_a_tiny_one_runs_bit_for_bit(tmp_path: Path, chip: str) -> None:
    save_onnx(model_of(TINY), tmp_path / "net.onnx")
    graph = read_onnx(tmp_path / "net.onnx")
    overrides = ["sequencer.semaphores=32"] if chip == "tiny" else []
    record = run(
        graph,
        input=random_inputs(graph, 5, 1),
        chip=chip,
        overrides=overrides,
        verify=True,
        cache=False,
    )
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (5, "")
    assert record.sqnr_db["encoded"] is not None
    assert record.sqnr_db["encoded"] > 15


def test_states_of_the_whole_net_lie_in_dram_and_steps_are_exact(tmp_path: Path) -> None:
    entry = find_entry(NAME, "encoder")
    save_onnx(build_zoo(NAME, "encoder", entry.bits, entry.sparsity, 1), tmp_path / "net.onnx")
    graph = read_onnx(tmp_path / "net.onnx")
    assert len(graph.states) == 6 * 12 + 2
    record = run(graph, input=random_inputs(graph, 2, 1), chip="az1", verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (2, "")
    assert any(state.memory == "dram" for state in record.program.states)
    assert record.sqnr_db["encoded"] is not None
    assert record.sqnr_db["encoded"] > 15
