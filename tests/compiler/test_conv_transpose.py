"""ConvTranspose as one Conv of all phases: agreement with ONNX Runtime, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker, run_onnxruntime
from qdq_models import Grid, QdqMaker, check_agreement, integers_of, run_qdq

from azsim.api import run
from azsim.frontend import Inputs, read_onnx
from azsim.reference.floats import evaluate_floats


@st.composite
def forms(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of one ConvTranspose that ONNX Runtime takes, too."""
    rank, group = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2]))
    sizes = lambda low, high: [draw(st.integers(low, high)) for _ in range(rank)]  # noqa: E731
    kernel, strides, dilations = sizes(1, 5), sizes(1, 4), sizes(1, 2)
    spatial, attributes = sizes(1, 5), {"strides": strides, "dilations": dilations, "group": group}
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if draw(st.booleans()):
        attributes["pads"] = [draw(st.integers(0, r - 1)) for r in (*reach, *reach)]
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in strides]
    else:
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    return {
        "x": (draw(st.integers(1, 2)), group * draw(st.integers(1, 3)), *spatial),
        "outputs": draw(st.integers(1, 3)),
        "kernel": kernel,
        "reach": reach,
        "attributes": attributes,
        "bias": draw(st.booleans()),
    }


def results(form: dict[str, Any]) -> list[int]:
    """Sizes of the output."""
    attributes, more = form["attributes"], form["attributes"].get("output_padding")
    rank, pads = len(form["kernel"]), form["attributes"].get("pads")
    found = []
    for axis, (size, reach) in enumerate(zip(form["x"][2:], form["reach"], strict=True)):
        stride = attributes["strides"][axis]
        if attributes.get("auto_pad", "").startswith("SAME"):
            found.append(size * stride)
            continue
        full = (size - 1) * stride + reach + (more[axis] if more else 0)
        found.append(full - (pads[axis] + pads[axis + rank] if pads else 0))
    return found


def is_common(form: dict[str, Any]) -> bool:
    """ONNX and ONNX Runtime differ where SAME asks for more than the kernel reaches, and an output
    must have an entry."""
    strides = form["attributes"]["strides"]
    same = form["attributes"].get("auto_pad", "").startswith("SAME")
    reaches = all(r >= s for r, s in zip(form["reach"], strides, strict=True))
    return min(results(form)) >= 1 and (reaches or not same)


def scattered(x: np.ndarray, w: np.ndarray, form: dict[str, Any]) -> np.ndarray:
    """The operator as ONNX says it: every entry adds its share of the kernel; all of float64."""
    group, kernel = form["attributes"]["group"], form["kernel"]
    strides, dilations = form["attributes"]["strides"], form["attributes"]["dilations"]
    channels, outputs = x.shape[1] // group, w.shape[1]
    rank, spatial = len(kernel), x.shape[2:]
    full = [(n - 1) * s + r for n, s, r in zip(spatial, strides, form["reach"], strict=True)]
    more = form["attributes"].get("output_padding", [0] * rank)
    y = np.zeros((x.shape[0], group * outputs, *(f + m for f, m in zip(full, more, strict=True))))
    for g in range(group):
        inner = slice(g * channels, (g + 1) * channels)
        for tap in np.ndindex(*kernel):
            share = np.einsum("nc...,cm->nm...", x[:, inner], w[(inner, slice(None), *tap)])
            at = tuple(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, dilations, spatial, strides, strict=True)
            )
            y[(slice(None), slice(g * outputs, (g + 1) * outputs), *at)] += share
    pads = form["attributes"].get("pads", [0] * 2 * rank)
    kept = tuple(
        slice(front, size - behind)
        for front, behind, size in zip(pads[:rank], pads[rank:], y.shape[2:], strict=True)
    )
    return y[(slice(None), slice(None), *kept)]


@settings(max_examples=60, deadline=None)
@given(form=forms().filter(is_common), seed=st.integers(0, 2**32 - 1))
def test_floats_equal_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory, form: dict[str, Any], seed: int
) -> None:
    rng, group = np.random.default_rng(seed), form["attributes"]["group"]
    maker = ModelMaker()
    names = [
        maker.input("x", form["x"]),
        maker.tensor("w", rng.normal(size=(form["x"][1], form["outputs"], *form["kernel"]))),
    ]
    if form["bias"]:
        names.append(maker.tensor("b", rng.normal(size=group * form["outputs"])))
    maker.node("ConvTranspose", names, ["y"], name="n", **form["attributes"])
    maker.output("y", (form["x"][0], group * form["outputs"], *results(form)))
    path = maker.save(tmp_path_factory.mktemp("f"))
    feeds = {"x": rng.normal(size=form["x"]).astype(np.float32)}
    values, _ = evaluate_floats(read_onnx(path), feeds, {})
    wanted = run_onnxruntime(path, feeds)["y"]
    np.testing.assert_allclose(values["y"], wanted, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    form=forms().filter(lambda f: is_common(f) and "pads" in f["attributes"]),
    seed=st.integers(0, 2**32 - 1),
    per_output=st.booleans(),
)
def test_quantized_form_agrees(
    tmp_path_factory: pytest.TempPathFactory, form: dict[str, Any], seed: int, per_output: bool
) -> None:
    rng, group, outputs = np.random.default_rng(seed), form["attributes"]["group"], form["outputs"]
    x = Grid("uint8", 0.02, int(rng.integers(0, 256)))
    data = x.random(rng, form["x"])
    shape = (form["x"][1], outputs, *form["kernel"])
    integers = rng.integers(-127, 128, shape).astype(np.int8)
    scale = np.float32(rng.uniform(1e-3, 1e-2, outputs if per_output else ()))
    maker = QdqMaker()
    inputs = [maker.given("x", form["x"], x), maker.constant("w", integers, scale, axis=1)]
    steps = np.broadcast_to(scale, outputs).astype(np.float64)
    exact = scattered(
        x.numbers(data), integers * steps.reshape(1, -1, *[1] * (len(shape) - 2)), form
    )
    if form["bias"]:
        addend = rng.integers(-500, 500, group * outputs).astype(np.int32)
        each = np.float32(np.tile(steps, group) * x.step)
        inputs.append(maker.constant("b", addend, each))
        exact += (addend * each.astype(np.float64)).reshape(-1, *[1] * (len(shape) - 2))
    y = Grid("int8", float(np.abs(exact).max() / 100 + 1e-6), int(rng.integers(-20, 20)))
    maker.node("ConvTranspose", inputs, ["p"], name="n", **form["attributes"])
    maker.result("p", y)
    path = maker.save(tmp_path_factory.mktemp("q"))
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y)


def upsampled(folder: Path, kernel: int, stride: int, spatial: tuple[int, ...]) -> Any:
    """Run a ConvTranspose of 16 channels to 8."""
    rng = np.random.default_rng(1)
    maker = ModelMaker()
    rank, pad = len(spatial), (kernel - stride) // 2
    maker.input("x", (1, 16, *spatial))
    maker.tensor("w", rng.normal(size=(16, 8, *[kernel] * rank)))
    maker.node("ConvTranspose", ["x", "w"], ["y"], name="n", strides=[stride] * rank,
               pads=[pad] * (2 * rank))  # fmt: skip
    maker.output("y")
    data = rng.normal(size=(1, 1, 16, *spatial)).astype(np.float32)
    graph = read_onnx(maker.save(folder))
    return run(graph, input=Inputs({"x": data}, "test"), verify=True, cache=False)


@pytest.mark.parametrize(
    ("kernel", "stride", "spatial"), [(4, 2, (20,)), (8, 4, (20,)), (4, 2, (6, 5)), (2, 2, (6, 5))]
)
def test_products_are_those_that_are_needed(
    tmp_path: Path, kernel: int, stride: int, spatial: tuple[int, ...]
) -> None:
    """Each result meets kernel / stride weights of each channel and axis, and a window more at the
    rim; with zeros between the entries it would meet them all."""
    record = upsampled(tmp_path, kernel, stride, spatial)
    assert record.verification.exact == 1
    assert min(record.sqnr_db.values()) > 30
    (layer,) = (layer for layer in record.program.layers if layer.operator == "Linear")
    products = layer.rows * layer.columns * layer.activation_columns
    rim = 0 if kernel == stride else 1
    windows = int(np.prod([size + rim for size in spatial]))
    assert products == 16 * 8 * windows * kernel ** len(spatial)
    assert record.counters.counts["mac_products_done"] <= products


def test_phases_of_a_sequence_lie_right_as_they_are_made(tmp_path: Path) -> None:
    """In one dimension channels last is the interleaved order: nothing is moved for it."""
    record = upsampled(tmp_path, 8, 4, (20,))
    moves = [layer.name for layer in record.program.layers if layer.operator == "Move"]
    assert [name for name in moves if "last" in name or "beside" in name] == ["x@last/layout"]
