"""Which format does each value get where a model states some quantizations and not others?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx_models import INT64, lstm_tensors
from qdq_models import Grid, QdqMaker, compile_qdq

from azsim.compiler import Ranges
from azsim.compiler.formats import Format, assign_formats, int8_scale, power_of_two_scale
from azsim.errors import AzsimError
from azsim.frontend import read_onnx

pytestmark = pytest.mark.small

A = Grid("uint8", 0.02, 130)
B = Grid("int8", 0.05, 3)
POSITIVE = Grid("uint8", 0.01, 0)
PEAK = 5.08


def stated(grid: Grid) -> Format:
    return Format("int8", grid.step, grid.zero_point - (128 if grid.element == "uint8" else 0))


CALIBRATED = Format("int8", PEAK / 127)


def formats(maker: QdqMaker, folder: Path) -> dict[str, Format]:
    graph = read_onnx(maker.save(folder))
    peak = dict.fromkeys(graph.values, PEAK)
    cells = {node.name: 3.0 for node in graph.nodes if node.operator == "LSTM"}
    return assign_formats(graph, Ranges(peak, cells))


def started(operator: str = "Tanh") -> QdqMaker:
    """x of grid A, v = operator(x)."""
    maker = QdqMaker()
    maker.tensor("flat", [-1], np.int64)
    maker.node(operator, [maker.given("x", (2, 3), A)], ["v"])
    return maker


def test_a_value_that_only_goes_to_a_quantizer_is_computed_in_its_format(tmp_path: Path) -> None:
    maker = started()
    maker.node("Reshape", ["v", "flat"], ["r"])
    maker.result("r", B)
    found = formats(maker, tmp_path)
    assert found == {"x": stated(A), "v": stated(B), "r": stated(B), "y": stated(B)}
    assert all(form.stated for form in found.values())


def test_movers_of_integers_keep_their_format(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.tensor("flat", [-1], np.int64)
    maker.node("Reshape", [maker.given("x", (2, 3), A), "flat"], ["r"])
    maker.node("Transpose", ["r"], ["t"])
    maker.result("t", B)
    found = formats(maker, tmp_path)
    assert found == dict.fromkeys(("x", "r", "t"), stated(A)) | {"y": stated(B)}


def test_a_float_input_takes_the_format_of_its_quantizer(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 3))
    maker.node("Tanh", [maker.quantized("x", "q", A)], ["y"])
    maker.output("y")
    assert formats(maker, tmp_path) == {"x": stated(A), "q": stated(A), "y": CALIBRATED}


@pytest.mark.parametrize("reason", ["another reader", "a graph output", "two formats"])
def test_a_value_that_goes_elsewhere_too_keeps_a_calibrated_format(
    tmp_path: Path, reason: str
) -> None:
    maker = started()
    maker.result("v", B)
    if reason == "another reader":
        maker.node("Softmax", ["v"], ["z"])
        maker.output("z")
    elif reason == "a graph output":
        maker.output("v")
    else:
        maker.result("v", A, "z")
    assert formats(maker, tmp_path)["v"] == CALIBRATED


def test_a_sum_that_goes_elsewhere_too_keeps_more_bits(tmp_path: Path) -> None:
    maker = started("Relu")
    maker.result("v", B)
    maker.result("v", A, "z")
    assert formats(maker, tmp_path)["v"] == Format("int32", A.step / 2**16)
    fine = Grid("int8", 1e-9, 0)
    maker.result("v", fine, "w")
    assert formats(maker, tmp_path)["v"] == Format("int32", PEAK / 2**30)  # what int32 can hold


def lstm(quantizer: Grid, carried: bool) -> QdqMaker:
    maker = QdqMaker()
    maker.input("x", (1, 1, 3))
    maker.input("h", (1, 1, 2))
    maker.input("c", (1, 1, 2))
    weights = lstm_tensors(maker, np.random.default_rng(0), 3, 2)
    maker.node("LSTM", ["x", *weights, "", "h", "c"], ["Y", "h2", "c2"], hidden_size=2)
    maker.result("Y", quantizer)
    if carried:
        maker.output("h2")
        maker.metadata["azsim.state"] = json.dumps({"h": "h2"})
    maker.quantized("c2", "cq", B)
    maker.node("Relu", ["cq_d"], ["z"])
    maker.output("z")
    return maker


@pytest.mark.parametrize("carried", [False, True])
def test_h_of_an_lstm_takes_a_quantizers_format_if_it_reaches_below_zero(
    tmp_path: Path, carried: bool
) -> None:
    found = formats(lstm(B, carried), tmp_path)
    assert [found[name] for name in ("Y", "h")] == [stated(B)] * 2
    found = formats(lstm(POSITIVE, carried), tmp_path)
    assert found["Y"] == found["h"] == CALIBRATED
    assert found["y"] == stated(POSITIVE)


def test_a_cell_state_stays_16_bits_before_a_quantizer(tmp_path: Path) -> None:
    found = formats(lstm(B, True), tmp_path)
    assert found["c"] == found["c2"] == Format("int16", 2.0**-12)
    assert found["cq"] == stated(B)


def test_a_state_takes_the_format_of_its_quantized_result(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("s", (2, 3))
    maker.node("Add", [maker.given("x", (2, 3), B), "s"], ["v"])
    maker.node("Identity", [maker.quantized("v", "q", A)], ["t"])
    maker.output("t")
    maker.metadata["azsim.state"] = json.dumps({"s": "t"})
    maker.node("Relu", ["s"], ["y"])
    maker.output("y")
    found = formats(maker, tmp_path)
    assert {found[name] for name in ("s", "v", "q", "t")} == {stated(A)}


def test_rows_of_a_table_keep_its_integers(tmp_path: Path) -> None:
    rows = {"all": [0, 255], "low": [0, 100], "high": [200, 255]}
    for name, table in rows.items():
        maker = QdqMaker()
        maker.input("i", (1,), INT64)
        maker.constant("t", np.array([table], np.uint8), np.float32(0.5), 150)
        maker.node("Gather", ["t", "i"], ["y"])
        maker.output("y")
        zero = {"all": 22, "low": 22, "high": 0}[name]
        assert formats(maker, tmp_path)["y"] == Format("int8", 0.5, zero)
    maker = QdqMaker()
    maker.input("i", (1,), INT64)
    maker.constant("t", np.array([[0, 300]], np.int16), np.float32(0.5))
    maker.node("Gather", ["t", "i"], ["y"])
    maker.output("y")
    assert formats(maker, tmp_path)["y"] == CALIBRATED


def test_scales_of_peaks() -> None:
    assert int8_scale(12.7) == pytest.approx(0.1)
    assert int8_scale(0.0) == 1 / 127
    assert [power_of_two_scale(p) for p in (0.0, 0.9, 1.0, 1.1, 4.0, 4.1, 1e9)] == [
        2.0**-15, 2.0**-15, 2.0**-15, 2.0**-14, 2.0**-13, 2.0**-12, 1.0
    ]  # fmt: skip


SCALES = st.floats(-149, 127).map(lambda power: float(np.float32(2.0**power)))


@settings(max_examples=150, deadline=None)
@given(
    operator=st.sampled_from(["Add", "Mul", "MatMul", "Gemm", "Relu", "Tanh", "Softmax", "Concat"]),
    scales=st.tuples(SCALES, SCALES, SCALES, SCALES),
)
def test_any_scale_is_taken_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, operator: str, scales: tuple[float, ...]
) -> None:
    x, other, y, extra = scales
    maker = QdqMaker()
    inputs = [maker.given("x", (2, 2), Grid("int8", x, 5))]
    second = np.array([[100, -3], [0, 7]], np.int8)
    if operator in ("Add", "Mul", "MatMul", "Gemm", "Concat"):
        inputs.append(maker.constant("w", second, np.float32(other)))
    if operator == "Gemm":
        inputs.append(maker.constant("b", np.array([2**30, -7], np.int32), np.float32(extra)))
    more = {"axis": 1} if operator in ("Concat", "Softmax") else {}
    maker.node(operator, inputs, ["p"], **more)
    maker.result("p", Grid("uint8", y, 9))
    path = maker.save(tmp_path_factory.mktemp("p"))
    refused = ""
    try:
        compile_qdq(path, {"x": np.zeros((2, 2), np.float32)})
    except AzsimError as error:
        refused = str(error)
    assert len(refused.splitlines()) <= 1


def test_kinds_of_inputs_are_named(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 3), TensorProto.INT16)
    maker.node("DequantizeLinear", ["x", maker.tensor("s", np.float32(1))], ["y"])
    maker.output("y")
    with pytest.raises(AzsimError) as caught:
        read_onnx(maker.save(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path / 'model.onnx'}: input 'x' must be float32, float16, float64, bool, int8"
        " or uint8, or int32 or int64 for row numbers, not int16"
    )
