"""The Emformer transducer: sizes of its source, and the function that the paper's formulas give.

The reference here is plain numpy on a whole utterance: for each segment it looks up which tokens
may be attended (30 before the segment, the segment, one behind it), without any carried state. The
graph gets the same utterance segment by segment, with states, in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import erf, sqrt
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from azsim.api import run
from azsim.compiler import CompressionPlan, RangeRecorder, compress_weights
from azsim.frontend import Inputs, read_onnx
from azsim.graph import Graph
from azsim.graph.integer import IntegerTensor
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim.zoo import find_entry, save_onnx, zoo_table
from azsim.zoo.emformer import EmformerSizes, emformer_encoder, emformer_prediction
from azsim.zoo.model import NetMaker

Weights = dict[str, np.ndarray]
SMALL = EmformerSizes(heads=2, head_width=8, inner=40)
SEGMENTS = 10  # more than fill the left context: 30 tokens are 7 segments and a half
LEFT, SEGMENT = 30, 4


@pytest.mark.small
def test_sizes_are_those_of_the_public_code() -> None:
    """Counted by hand from the layer list. MACs: 321 M per segment."""
    width, inner = 512, 2048
    layer = 4 * (width + 1) * width + 2 * width * inner + width + inner + 3 * 2 * width
    encoder = 20 * layer + 80 * 128 + 1024 * (width + 1) + 2 * 1024
    lstm = 2 * 4 * width * width + 2 * 4 * width + 2 * width
    prediction = 4097 * width + 2 * width + 3 * lstm + 1024 * (width + 1) + 2 * 1024
    joint = 4097 * (1024 + 1)
    entries = {e.part: e for e in zoo_table() if e.name == "emformer_rnnt_base"}
    parts = ("encoder", "prediction", "joint")
    assert [entries[part].parameters for part in parts] == [encoder, prediction, joint]
    total = encoder + prediction + joint
    assert total == 76_738_049
    assert round(total / 1e6, 1) == 76.7  # as the source states
    products = 5 * (4 * width * width + 2 * width * inner) + 2 * 5 * 35 * width
    assert entries["encoder"].macs == 20 * products + 20 * 80 * 128 + 4 * width * 1024
    assert round(entries["encoder"].macs / 1e6, 0) == 320  # 320.5
    assert [entries[part].frame_ms for part in parts] == [160, 333, 40]
    assert find_entry("emformer_rnnt_base", "encoder").label == "public shapes"


# -- the function -------------------------------------------------------------------------------


def made(folder: Path, layers: int, prediction: bool = False) -> tuple[Path, Weights]:
    """A small net of the same form and its constants."""
    maker = NetMaker("small", 8, 0.0, seed=3, stream=0)
    if prediction:
        emformer_prediction(maker, layers, pieces=20, width=16, encoded=24)
    else:
        emformer_encoder(maker, layers, SMALL, encoded=24)
    model = maker.build("", {"azsim.frame_ms": "160"})
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, folder / "net.onnx")
    return folder / "net.onnx", {
        t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer
    }


def streamed(path: Path, frames: Mapping[str, np.ndarray], result: str) -> np.ndarray:
    """The result of each step in ONNX Runtime, states carried."""
    session = onnxruntime.InferenceSession(path)
    states = {p.source: p.result for p in read_onnx(path).states}
    shapes = {i.name: i.shape for i in session.get_inputs()}
    held = {name: np.zeros(shapes[name], np.float32) for name in states}
    names = [result, *states.values()]
    found = []
    for step in range(len(next(iter(frames.values())))):
        feeds = {name: array[step] for name, array in frames.items()}
        values = dict(zip(names, session.run(names, {**feeds, **held}), strict=True))
        held = {name: values[end] for name, end in states.items()}
        found.append(values[result])
    return np.array(found)


def normed(x: np.ndarray, weights: Weights, name: str, epsilon: float = 1e-5) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / spread * weights[f"{name}.gain"] + weights[f"{name}.bias"]


def affine(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    return x @ weights[f"{name}.W"].T + weights.get(f"{name}.b", np.float32(0))


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int) -> np.ndarray:
    """Each head on its own slice of the columns."""
    parts = []
    for columns in np.split(np.arange(q.shape[1]), heads):
        scores = q[:, columns] @ k[:, columns].T / np.sqrt(len(columns))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        parts.append(shares / shares.sum(axis=1, keepdims=True) @ v[:, columns])
    return np.concatenate(parts, axis=1)


def whole_utterance(features: np.ndarray, weights: Weights, layers: int) -> np.ndarray:
    """features (frames of all segments and 4 more, 80) -> (tokens, encoded).

    `main`: tokens of the utterance; `ahead[s]`: the token behind segment s as that segment sees it
    (its own copy in every layer, made from what segment s may attend).
    """
    tokens = affine(features, weights, "input").reshape(-1, 4 * 4)
    segments = len(tokens) // SEGMENT
    main, ahead = tokens[: segments * SEGMENT], tokens[SEGMENT::SEGMENT]
    for number in range(layers):
        name = f"layer.{number}"
        seen, beyond = (normed(x, weights, f"{name}.input_norm") for x in (main, ahead))
        new_main, new_ahead = np.empty_like(main), np.empty_like(ahead)
        for s in range(segments):
            begin, end = s * SEGMENT, (s + 1) * SEGMENT
            own = np.concatenate([seen[begin:end], beyond[s : s + 1]])
            known = np.concatenate([seen[max(0, begin - LEFT) : end], beyond[s : s + 1]])
            mixed = attended(
                affine(own, weights, f"{name}.query"),
                affine(known, weights, f"{name}.key"),
                affine(known, weights, f"{name}.value"),
                SMALL.heads,
            )
            x = np.concatenate([main[begin:end], ahead[s : s + 1]])
            x = x + affine(mixed, weights, f"{name}.mixed")
            y = affine(normed(x, weights, f"{name}.inner_norm"), weights, f"{name}.up")
            y = y * (1 + np.vectorize(erf)(y / sqrt(2))) / 2
            x = normed(x + affine(y, weights, f"{name}.down"), weights, f"{name}.output_norm")
            new_main[begin:end], new_ahead[s] = x[:SEGMENT], x[SEGMENT]
        main, ahead = new_main, new_ahead
    return normed(affine(main, weights, "output"), weights, "output.norm")


def overlapping(features: np.ndarray) -> np.ndarray:
    """Steps of 20 frames, the last 4 of which come again."""
    return np.stack([features[16 * s : 16 * s + 20][np.newaxis] for s in range(SEGMENTS)])


def utterance() -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.standard_normal((16 * SEGMENTS + 4, 80)).astype(np.float32)


@pytest.mark.parametrize("layers", [1, 3])
def test_streamed_segments_are_the_whole_utterance(tmp_path: Path, layers: int) -> None:
    path, weights = made(tmp_path, layers)
    features = utterance()
    got = streamed(path, {"features": overlapping(features)}, "encoded")
    want = whole_utterance(features.astype(np.float64), weights, layers)
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=2e-5)


def test_each_part_of_the_context_counts(tmp_path: Path) -> None:
    """The segment's result changes with the 30th token before it and with the one behind it, and
    not with the 31st before or the second behind."""
    path, _ = made(tmp_path, 1)
    features, segment = utterance(), SEGMENTS - 2
    first = streamed(path, {"features": overlapping(features)}, "encoded")[segment]
    for token, counts in ((-31, False), (-30, True), (SEGMENT, True), (SEGMENT + 1, False)):
        other = features.copy()
        begin = 4 * (segment * SEGMENT + token)
        other[begin : begin + 4] += 1
        changed = streamed(path, {"features": overlapping(other)}, "encoded")[segment]
        assert (np.abs(changed - first).max() > 1e-3) == counts, token


def test_prediction_net_is_the_normed_lstm(tmp_path: Path) -> None:
    path, weights = made(tmp_path, 2, prediction=True)
    tokens = np.random.default_rng(2).integers(0, 20, (12, 1, 1))
    got = streamed(path, {"token": tokens}, "predicted")
    hidden = 16
    h, c = np.zeros((2, hidden)), np.zeros((2, hidden))
    for step, token in enumerate(tokens.reshape(-1)):
        x = weights["prediction.embedding.table"][token].astype(np.float64)
        x = normed(x, weights, "prediction.input_norm")
        for number in range(2):
            name = f"prediction.{number}"
            sums = affine(x, weights, f"{name}.input") + affine(
                h[number], weights, f"{name}.recurrent"
            )
            sums = normed(sums, weights, f"{name}.gates", 1e-3)
            i, f, g, o = (sums[k * hidden : (k + 1) * hidden] for k in range(4))
            i, f, o = (1 / (1 + np.exp(-part)) for part in (i, f, o))
            c[number] = normed(f * c[number] + i * np.tanh(g), weights, f"{name}.c_norm", 1e-3)
            x = h[number] = o * np.tanh(c[number])
        want = normed(affine(x, weights, "prediction.output"), weights, "prediction.output_norm")
        np.testing.assert_allclose(got[step].reshape(-1), want, atol=2e-5)


def sqnr_db(graph: Graph, frames: Mapping[str, np.ndarray], output: str) -> float:
    """Of the integers against the floats."""
    recorder, wanted = RangeRecorder(graph), []
    for values in run_floats(graph, frames):
        recorder.add(values)
        wanted.append(values[output])
    integers = compress_weights(graph, recorder.ranges(), CompressionPlan())
    steps = [
        {name: quantized(integers.tensors[name], frames[name][step]) for name in graph.inputs}
        for step in range(len(wanted))
    ]
    got = np.array([values[output] for values in run_integers(integers, steps)], np.float64)
    signal = np.array(wanted, np.float64)
    noise = signal - got * integers.tensors[output].scale
    return float(10 * np.log10((signal**2).sum() / (noise**2).sum()))


def quantized(tensor: IntegerTensor, values: np.ndarray) -> np.ndarray:
    if tensor.element == "int32":
        return values.astype(np.int32)
    return np.clip(np.rint(values / tensor.scale), -128, 127).astype(np.int8)


def test_integers_follow_the_floats(tmp_path: Path) -> None:
    """Weights are on the grid, so that only 8-bit activations (cell states: 16) add noise."""
    path, _ = made(tmp_path, 3)
    frames = {"features": overlapping(utterance())}
    assert sqnr_db(read_onnx(path), frames, "encoded") > 20
    maker = NetMaker("small", 8, 0.0, seed=3, stream=0)
    emformer_prediction(maker, 3, pieces=50, width=96, encoded=128)
    save_onnx(maker.build("", {"azsim.frame_ms": "333"}), tmp_path / "prediction.onnx")
    tokens = {"token": np.random.default_rng(2).integers(0, 50, (30, 1, 1))}
    assert sqnr_db(read_onnx(tmp_path / "prediction.onnx"), tokens, "predicted") > 18


# -- the machine --------------------------------------------------------------------------------


@pytest.mark.parametrize(("chip", "kilobytes"), [("az1", 256), ("az2", 512), ("az1", 14)])
def test_small_encoder_runs_bit_for_bit(tmp_path: Path, chip: str, kilobytes: int) -> None:
    """Also with an ABUF that leaves the cached keys and values in DRAM."""
    path, _ = made(tmp_path, 3)
    graph = read_onnx(path)
    frames = Inputs({"features": overlapping(utterance())}, "an utterance")
    record = run(
        graph, input=frames, chip=chip, overrides=[f"abuf.capacity_kb={kilobytes}"], verify=True,
        cache=False,
    )  # fmt: skip
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (SEGMENTS, "")
