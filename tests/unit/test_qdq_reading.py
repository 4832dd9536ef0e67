"""Are quantized models read with their own integers and scales, and wrong ones refused?"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from qdq_models import Grid, QdqMaker, run_qdq
from refusals import model_refusal as refusal

from azsim.errors import AzsimError, ModelError
from azsim.frontend import load_inputs, read_onnx
from azsim.graph import Graph, Quantization, StoredIntegers, verify_graph
from azsim.reference.floats import evaluate_floats, fake_quantize, initial_states

pytestmark = pytest.mark.small

X = Grid("uint8", 0.02, 130)
Y = Grid("int8", 0.05, 3)
MIB = 1 << 20


def dense(weights: Callable[[QdqMaker], str]) -> QdqMaker:
    """x (2, 6) of uint8 times `weights`, quantized to int8."""
    maker = QdqMaker()
    given_x = maker.given("x", (2, 6), X)
    maker.node("MatMul", [given_x, weights(maker)], ["p"], name="fc")
    maker.result("p", Y)
    return maker


def stored(graph: Graph) -> StoredIntegers:
    """The integers of the only weight matrix."""
    (node,) = (node for node in graph.nodes if node.operator == "MatMul")
    found = graph.values[node.inputs[1]].stored
    assert found is not None
    return found


# -- forms --------------------------------------------------------------------------------------


def test_a_pair_of_quantizers_becomes_one_quantize(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 6))
    maker.node("Relu", [maker.quantized("x", "xq", X)], ["r"], name="bound")
    maker.node("Identity", [maker.quantized("r", "rq", Y)], ["y"], name="end")
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    assert [(n.operator, n.inputs, n.outputs) for n in graph.nodes] == [
        ("Quantize", ("x",), ("xq",)),
        ("Relu", ("xq",), ("r",)),
        ("Quantize", ("r",), ("rq",)),
        ("Reshape", ("rq",), ("y",)),
    ]
    grids = {name: value.quantization for name, value in graph.values.items()}
    x, y = Quantization("uint8", X.step, 130), Quantization("int8", Y.step, 3)
    assert grids == {"x": None, "xq": x, "r": None, "rq": y, "y": y}
    assert (x.stored_zero_point, y.stored_zero_point, x.limits) == (2, 3, (0, 255))


def test_integer_ports(tmp_path: Path) -> None:
    maker = dense(lambda m: m.constant("w", np.ones((6, 4), np.int8), np.float32(0.5)))
    graph = read_onnx(maker.save(tmp_path))
    assert graph.values["x"].quantization == Quantization("uint8", X.step, 130)
    assert graph.values["y"].quantization == Quantization("int8", Y.step, 3)


@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_quantized_numbers_are_onnxruntimes(tmp_path: Path, element: str) -> None:
    rng = np.random.default_rng(0)
    maker = QdqMaker()
    maker.input("x", (4000,))
    grid = Grid(element, 0.0173, 11)
    maker.node("Identity", [maker.quantized("x", "q", grid)], ["y"])
    maker.output("y")
    path = maker.save(tmp_path)
    x = (rng.normal(size=4000) * 2).astype(np.float32)
    x[:300] = (np.arange(300) - 150.5).astype(np.float32) * np.float32(0.0173)  # halves
    x[300:302] = -3e38, 3e38
    graph = read_onnx(path)
    ours = evaluate_floats(graph, {"x": x}, {})[0]["y"]
    np.testing.assert_array_equal(ours, run_qdq(path, {"x": x})["y"])
    np.testing.assert_array_equal(fake_quantize(ours, Quantization(element, grid.step, 11)), ours)


WEIGHTS = np.random.default_rng(5).integers(-128, 128, (6, 4)).astype(np.int8)
SCALES = np.array([0.5, 0.25, 0.1, 0.3], np.float32)


def moved(maker: QdqMaker, form: str) -> str:
    """The weights (6, 4) with one scale per column, by a detour of constant nodes."""
    one = {"axes": [0], "to": [6, 4], "first": [0], "mid": [2], "top": [6], "cols": [3, 1, 0, 2]}
    for name, data in one.items():
        maker.tensor(name, data, np.int64)
    if form == "transposed":
        maker.constant("w0", WEIGHTS.T, SCALES, axis=0)
        maker.node("Transpose", ["w0"], ["w"])
    elif form == "reshaped":
        maker.constant("w0", WEIGHTS.reshape(1, 6, 4), SCALES, axis=2)
        maker.node("Squeeze", ["w0", "axes"], ["w1"])
        maker.node("Reshape", ["w1", "to"], ["w"])
    elif form == "split and joined":
        maker.constant("w0", WEIGHTS, SCALES, axis=1)
        maker.node("Split", ["w0"], ["w1", "w2"], axis=1, num_outputs=2)
        maker.node("Concat", ["w1", "w2"], ["w"], axis=1)
    elif form == "sliced":
        maker.constant("w0", np.concatenate([WEIGHTS, WEIGHTS]), SCALES, axis=1)
        maker.node("Slice", ["w0", "first", "top"], ["w"])
    elif form == "chosen":
        order = [2, 1, 3, 0]  # "cols" puts it right again
        maker.constant("w0", WEIGHTS[:, order], SCALES[order], axis=1)
        maker.node("Gather", ["w0", "cols"], ["w1"], axis=1)
        maker.node("Identity", ["w1"], ["w"])
    elif form == "scales apart":
        parts = []
        for k in range(4):
            column = np.ascontiguousarray(WEIGHTS[:, k : k + 1])
            parts.append(maker.constant(f"w{k}", column, SCALES[k]))
        maker.node("Concat", parts, ["w"], axis=1)
    else:
        maker.constant("w", WEIGHTS, SCALES, axis=-1)
    return "w"


@pytest.mark.parametrize(
    "form",
    ["plain", "transposed", "reshaped", "split and joined", "sliced", "chosen", "scales apart"],
)
def test_integers_of_weights_follow_constant_nodes(tmp_path: Path, form: str) -> None:
    found = stored(read_onnx(dense(lambda m: moved(m, form)).save(tmp_path)))
    np.testing.assert_array_equal(found.integers, WEIGHTS)
    np.testing.assert_array_equal(found.scale, SCALES.reshape(1, 4).astype(np.float64))
    assert found.bits == 8


def test_weights_quantized_in_the_file_by_a_node(tmp_path: Path) -> None:
    """As quantization-aware training exports them: float weights through both quantizers."""
    numbers = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    numbers[0] = 1e9, -1e9, 0.05, -0.15

    def weights(maker: QdqMaker) -> str:
        maker.tensor("n", numbers)
        parameters = [maker.tensor("s", SCALES / 10), maker.tensor("z", [0] * 4, np.int8)]
        maker.node("QuantizeLinear", ["n", *parameters], ["q"], axis=1)
        maker.node("DequantizeLinear", ["q", *parameters], ["w"], axis=1)
        return "w"

    path = dense(weights).save(tmp_path)
    graph = read_onnx(path)
    found = stored(graph)
    want = np.clip(np.rint(numbers / (SCALES / 10)), -128, 127)
    np.testing.assert_array_equal(found.integers, want)
    x = np.random.default_rng(2).integers(0, 256, (2, 6)).astype(np.uint8)
    ours = evaluate_floats(graph, {"x": X.numbers(x).astype(np.float32)}, {})[0]["y"]
    theirs = run_qdq(path, {"x": x})["y"]
    np.testing.assert_allclose(ours / Y.step + 3, theirs, atol=1e-3)


@pytest.mark.parametrize("place", ["raw", "numbers", "external", "constant node"])
@pytest.mark.parametrize("kind", ["int4", "uint4"])
def test_4_bit_tensors_are_unpacked(tmp_path: Path, place: str, kind: str) -> None:
    low = -8 if kind == "int4" else 0
    flat = [low + k % 16 for k in range(27)]  # an odd number: the last half byte is padding
    number = TensorProto.INT4 if kind == "int4" else TensorProto.UINT4
    tensor = helper.make_tensor("q", number, (9, 3), flat)
    if place != "numbers":
        nibbles = [value & 15 for value in [*flat, 0]]
        raw = bytes(a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2], strict=True))
        tensor.ClearField("int32_data")
        if place == "external":
            (tmp_path / "w.bin").write_bytes(b"xy" + raw)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "w.bin"), ("offset", "2"), ("length", "14")):
                tensor.external_data.add(key=key, value=value)
        else:
            tensor.raw_data = raw
    maker = QdqMaker()
    maker.input("x", (1, 9))
    if place == "constant node":
        maker.node("Constant", [], ["q"], value=tensor)
    else:
        maker.tensors.append(tensor)
    maker.node("DequantizeLinear", ["q", maker.tensor("s", np.float32(0.5))], ["w"])
    maker.node("MatMul", ["x", "w"], ["y"])
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    found = stored(graph)
    assert found.bits == 4
    np.testing.assert_array_equal(found.integers, np.reshape(flat, (9, 3)))
    np.testing.assert_array_equal(graph.constant("w"), np.reshape(flat, (9, 3)) * np.float32(0.5))


def test_alpha_and_beta_scale_the_models_scales(tmp_path: Path) -> None:
    maker = QdqMaker()
    given_x = maker.given("x", (2, 6), X)
    maker.constant("w", np.ascontiguousarray(WEIGHTS.T), SCALES, axis=0)
    maker.constant("b", np.array([5, -7, 9, 100000], np.int32), SCALES * np.float32(0.02))
    gemm = {"transB": 1, "alpha": 0.5, "beta": 2.0}
    maker.node("Gemm", [given_x, "w", "b"], ["p"], name="fc", **gemm)
    maker.result("p", Y)
    path = maker.save(tmp_path)
    graph = read_onnx(path)
    np.testing.assert_array_equal(stored(graph).integers, WEIGHTS)
    np.testing.assert_array_equal(stored(graph).scale, 0.5 * SCALES.reshape(1, 4).astype("f8"))
    bias = graph.values["fc.bias"].stored
    assert bias is not None
    np.testing.assert_array_equal(bias.integers, [5, -7, 9, 100000])
    x = np.random.default_rng(2).integers(0, 256, (2, 6)).astype(np.uint8)
    ours = evaluate_floats(graph, {"x": X.numbers(x).astype(np.float32)}, {})[0]["y"]
    np.testing.assert_allclose(ours / Y.step + 3, run_qdq(path, {"x": x})["y"], atol=1e-3)


# -- inputs and states --------------------------------------------------------------------------


def test_data_files_hold_integers_or_numbers(tmp_path: Path) -> None:
    maker = dense(lambda m: m.constant("w", np.ones((6, 4), np.int8), np.float32(0.5)))
    graph = read_onnx(maker.save(tmp_path))
    integers = np.random.default_rng(0).integers(0, 256, (3, 2, 6))
    for dtype in (np.uint8, np.int16, np.int64):
        np.savez(tmp_path / "x.npz", x=integers.astype(dtype))
        frames = load_inputs(tmp_path / "x.npz", graph, None).frames["x"]
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(np.rint(frames / X.step) + 130, integers)
        np.testing.assert_allclose(frames, X.numbers(integers), rtol=1e-6)
    np.savez(tmp_path / "x.npz", x=X.numbers(integers).astype(np.float32))
    np.testing.assert_array_equal(load_inputs(tmp_path / "x.npz", graph, None).frames["x"], frames)


@pytest.mark.parametrize("wrong", [-1, 256])
def test_integers_beyond_the_type(tmp_path: Path, wrong: int) -> None:
    maker = dense(lambda m: m.constant("w", np.ones((6, 4), np.int8), np.float32(0.5)))
    graph = read_onnx(maker.save(tmp_path))
    path = tmp_path / "x.npz"
    np.savez(path, x=np.full((1, 2, 6), wrong, np.int32))
    with pytest.raises(ModelError) as caught:
        load_inputs(path, graph, None)
    text = f"{path}: array 'x' must hold uint8, integers of 0 to 255, not {wrong}"
    assert str(caught.value) == text
    np.savez(path, x=np.zeros((1, 2, 6), complex))
    with pytest.raises(ModelError) as caught:
        load_inputs(path, graph, None)
    assert str(caught.value) == f"{path}: array 'x' must be uint8 or float32, not '<c16'"


def carried(state: Grid, result: Grid, kind: int = TensorProto.UINT8) -> QdqMaker:
    """s' = s + x, both of 8 bits."""
    maker = QdqMaker()
    maker.input("x", (2, 3))
    maker.input("s", (2, 3), TensorProto.UINT8)
    maker.node("DequantizeLinear", ["s", *maker.parameters("s", state)], ["s_d"])
    maker.node("Add", ["x", "s_d"], ["sum"])
    maker.node("QuantizeLinear", ["sum", *maker.parameters("t", result)], ["t"])
    maker.output("t", (2, 3), kind)
    maker.node("Relu", ["s_d"], ["y"])
    maker.output("y")
    maker.metadata["azsim.state"] = json.dumps({"s": "t"})
    return maker


def test_a_state_of_integers_starts_at_its_zero_point(tmp_path: Path) -> None:
    graph = read_onnx(carried(X, X).save(tmp_path))
    assert graph.values["s"].quantization == graph.values["t"].quantization
    _, states = evaluate_floats(graph, {"x": np.full((2, 3), 0.1)}, initial_states(graph))
    np.testing.assert_allclose(states["s"], 0.1, rtol=1e-6)


def test_a_state_that_changes_its_meaning_or_shape(tmp_path: Path) -> None:
    text = refusal(carried(X, Grid("uint8", 0.03, 130)).save(tmp_path))
    assert text == (
        "state 's': result 't' must be uint8 in steps of 0.02 from 130,"
        " not uint8 in steps of 0.03 from 130"
    )
    maker = carried(X, X)
    maker.metadata["azsim.state"] = json.dumps({"s": "y"})
    assert refusal(maker.save(tmp_path)) == (
        "state 's': result 'y' must be uint8 in steps of 0.02 from 130, not float32"
    )
    maker = carried(X, X)
    maker.inputs[1].type.tensor_type.shape.dim[0].dim_value = 1
    assert refusal(maker.save(tmp_path)) == (
        "state 's': result 't' must have shape (1, 3), not (2, 3)"
    )


@pytest.mark.parametrize("text", ["0", "-30", "nan", "soon"])
def test_a_period_that_is_no_time(tmp_path: Path, text: str) -> None:
    maker = carried(X, X)
    maker.metadata["azsim.frame_ms"] = text
    assert refusal(maker.save(tmp_path)) == (
        f"property 'azsim.frame_ms' must be a positive number, not '{text}'"
    )


# -- refusals -----------------------------------------------------------------------------------


def test_wrong_sizes_of_4_bit_data(tmp_path: Path) -> None:
    def weights(maker: QdqMaker) -> str:
        maker.int4("q", np.zeros((6, 4), int))
        maker.node("DequantizeLinear", ["q", maker.tensor("s", np.float32(1))], ["w"])
        return "w"

    def saved(change: Callable[[onnx.TensorProto], None]) -> str:
        maker = dense(weights)
        change(next(tensor for tensor in maker.tensors if tensor.name == "q"))
        return refusal(maker.save(tmp_path))

    def raw(size: int) -> Callable[[onnx.TensorProto], None]:
        def change(tensor: onnx.TensorProto) -> None:
            tensor.ClearField("int32_data")
            tensor.raw_data = bytes(size)

        return change

    def odd(tensor: onnx.TensorProto) -> None:
        tensor.dims[:] = (5, 5)

    def number(tensor: onnx.TensorProto) -> None:
        tensor.int32_data[3] = 256

    rule = "tensor 'q' must hold 12 bytes as its shape says, not "
    assert saved(raw(11)) == rule + "11"
    assert saved(raw(24)) == rule + "24"
    assert saved(odd) == "tensor 'q' must hold 13 bytes as its shape says, not 12"
    assert saved(number) == "tensor 'q' must hold bytes of -128 to 255, not 256"


@pytest.mark.parametrize(("element", "wrong"), [("int8", 128), ("uint8", -1), ("int8", -129)])
def test_zero_points_out_of_range(tmp_path: Path, element: str, wrong: int) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 3))
    maker.node("Relu", [maker.quantized("x", "q", Grid(element, 0.1, 0))], ["y"])
    maker.output("y")
    zero = next(tensor for tensor in maker.tensors if tensor.name == "q_z")
    zero.ClearField("raw_data")
    zero.int32_data.append(wrong)
    low, high = (-128, 127) if element == "int8" else (0, 255)
    assert refusal(maker.save(tmp_path)) == (
        f"tensor 'q_z' must hold {element} of {low} to {high}, not {wrong}"
    )


def test_integers_that_go_elsewhere(tmp_path: Path) -> None:
    def model(*operators: str) -> QdqMaker:
        maker = QdqMaker()
        maker.input("x", (2, 3), TensorProto.INT8)
        source = "x"
        for k, operator in enumerate(operators):
            more = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
            maker.node(operator, [source], [f"v{k}"], name="n", **more)
            source = f"v{k}"
        maker.output(source)
        return maker

    rule = "node 'n' (Relu): inputs must be float tensors, not the int8 tensor 'x'"
    assert refusal(model("Relu").save(tmp_path)) == rule
    assert refusal(model("Cast").save(tmp_path)) == (
        "node 'n' (Cast): a computed tensor must be cast to float32, float16, float64 or bool, an"
        " integer graph input to int32 or int64, not int8 to float"
    )
    maker = model("Transpose")
    maker.outputs[0].type.tensor_type.elem_type = TensorProto.INT8
    text = "input 'x' of int8 must go to a DequantizeLinear"
    assert refusal(maker.save(tmp_path)) == text


def test_one_input_with_two_meanings(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 3), TensorProto.UINT8)
    for k, grid in enumerate((X, Grid("uint8", 0.02, 131))):
        maker.node(
            "DequantizeLinear", ["x", *maker.parameters(f"p{k}", grid)], [f"n{k}"], name=f"d{k}"
        )
    maker.node("Add", ["n0", "n1"], ["y"])
    maker.output("y")
    assert refusal(maker.save(tmp_path)) == (
        "node 'd1' (DequantizeLinear): scale and zero point must be those of 'x', uint8 in steps of"
        " 0.02 from 130, not uint8 in steps of 0.02 from 131"
    )


def test_integers_of_two_meanings_are_not_joined(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (2, 3))
    for name, grid in (("a", X), ("b", Grid("uint8", 0.03, 0))):
        maker.node("QuantizeLinear", ["x", *maker.parameters(name, grid)], [name])
    maker.node("Concat", ["a", "b"], ["c"], name="join", axis=0)
    maker.node("DequantizeLinear", ["c", *maker.parameters("a", X)], ["y"])
    maker.output("y")
    assert refusal(maker.save(tmp_path)) == (
        "node 'join' (Concat): integers of 'a', 'b' must have one type, scale and zero point"
    )


def test_a_stated_type_that_is_not_the_computed_one(tmp_path: Path) -> None:
    maker = dense(lambda m: m.constant("w", np.ones((6, 4), np.int8), np.float32(0.5)))
    maker.outputs[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert refusal(maker.save(tmp_path)) == "value 'y' must be int8, not uint8"
    maker.outputs[0].type.tensor_type.elem_type = TensorProto.FLOAT
    assert refusal(maker.save(tmp_path)) == "value 'y' must be int8, not float"


def test_a_constant_that_overflows(tmp_path: Path) -> None:
    maker = dense(lambda m: m.constant("w", np.full((6, 4), 127, np.int8), np.float32(3e38)))
    assert refusal(maker.save(tmp_path)) == (
        "constant 'w' must be finite in float32, not NaN or infinite"
    )


def test_dequantizing_one_tensor_again_and_again_is_bounded(tmp_path: Path) -> None:
    maker = QdqMaker()
    maker.input("x", (1, 1))
    side = 2048
    maker.tensors.append(
        helper.make_tensor("q", TensorProto.INT4, (side, side), bytes(side * side // 2), raw=True)
    )
    maker.tensor("s", np.float32(1))
    for k in range(40):
        maker.node("DequantizeLinear", ["q", "s"], [f"w{k}"], name=f"d{k}")
    maker.node("Concat", [f"w{k}" for k in range(40)], ["all"], axis=0)
    maker.node("MatMul", ["x", "all"], ["y"])
    maker.output("y")
    path = maker.save(tmp_path)
    tracemalloc.start()
    text = refusal(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rule = "folding constants must make at most 2 elements, not 4194304"  # 2 x q and s, and 2**24
    assert text == f"node 'd6' (DequantizeLinear): {rule}"
    assert peak < 400 * MIB


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_bytes_end_in_a_graph_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    maker = dense(lambda m: moved(m, "transposed"))
    maker.int4("v_q", np.arange(-8, 8).reshape(4, 4))
    maker.node("DequantizeLinear", ["v_q", maker.tensor("v_s", np.float32(0.5))], ["v"])
    maker.node("MatMul", ["p", "v"], ["z"])
    maker.output("z")
    content = bytearray(maker.model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(content)
    refused = ""
    try:
        verify_graph(read_onnx(path))
    except AzsimError as error:
        refused = str(error)
    assert len(refused.splitlines()) <= 1
