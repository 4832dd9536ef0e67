"""Is every support rule enforced, and does its refusal name node, operator and what is there?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend_map_cases import MAP_CASES
from frontend_recurrent_cases import RECURRENT_CASES
from frontend_row_cases import ROW_CASES
from frontend_window_cases import WINDOW_CASES
from onnx import TensorProto, helper
from onnx_models import INT64, ModelMaker, lstm_tensors

from azsim.errors import ModelError
from azsim.frontend import operators_markdown, read_onnx, support_table
from azsim.frontend.rules import rule_text
from azsim.frontend.support import OPERATORS

pytestmark = pytest.mark.small

Build = Callable[[ModelMaker], None]


def one(operator: str, *inputs: Any, outputs: int = 1, opset: int = 17, **attributes: Any) -> Build:
    """One node on x (2, 4), index i (3,), y (2, 4); arrays in `inputs` become tensors."""

    def build(maker: ModelMaker) -> None:
        maker.opset = opset
        maker.input("x", (2, 4))
        maker.input("y", (2, 4))
        maker.input("i", (3,), INT64)
        names = []
        for position, entry in enumerate(inputs):
            if not isinstance(entry, str):
                entry = maker.tensor(f"t{position}", entry, np.asarray(entry).dtype)
            names.append(entry)
        results = [f"r{k}" for k in range(outputs)]
        maker.node(operator, names, results, name="n", **attributes)
        for name in results:
            maker.output(name)

    return build


def f32(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)


def case(operator: str, text: str, *inputs: Any, **options: Any) -> Any:
    build = one(operator, *inputs, **options)
    return pytest.param(build, f"node 'n' ({operator}): {text}", id=f"{operator} {text}")


def quantized(
    operator: str, text: str, *scale_shape: int, value: int = 1, **attributes: Any
) -> Any:
    """A MatMul, Gemm (x (2, 4) times weights (4, 4)) or LSTM (3 features, 2 cells) whose weights of
    int16 go through DequantizeLinear along `axis`, scales of `scale_shape`."""

    def build(maker: ModelMaker) -> None:
        is_lstm = operator == "LSTM"
        axis = attributes.pop("axis", 0)
        maker.input("x", (1, 1, 3) if is_lstm else (2, 4))
        maker.tensor("q", np.full((1, 8, 3) if is_lstm else (4, 4), value), np.int16)
        maker.tensor("s", np.ones(scale_shape))
        maker.node("DequantizeLinear", ["q", "s"], ["w"], axis=axis)
        maker.tensor("r", np.ones((1, 8, 2)))
        inputs = ["x", "w", "r"] if is_lstm else ["x", "w"]
        more = {"hidden_size": 2} if is_lstm else attributes
        maker.node(operator, inputs, ["y"], name="n", **more)
        maker.opset = 21
        maker.output("y")

    return pytest.param(build, f"node 'n' ({operator}): {text}", id=f"{operator} {text}")


FLOATS = "inputs must be float tensors, not "
DATA = "the first input must be a computed float tensor, not "
CONSTANTS = "all inputs but the first must be constants, not "
AXIS = "axis must be one of the first input's dimensions (negative counts from the last), not "
GATHER = (
    "the indices must be constants, or the data a constant table and the indices an integer graph"
    " input, not "
)
TABLE = "a table must be a float matrix (rows, features) gathered along axis 0, not "
INDICES = "constant indices must be within the axis (negative counts from the end), not "
PARTS = "the parts must be of size 0 or more, one for each output, and add up to the axis, not "
LISTS = "starts, ends, axes and steps must be of one length and name each axis at most once"
CONSTANT_SCALE = "scale and zero point must be constants, not "
SCALES = "scales must be float32, positive and finite, not "
BLOCKS = "block_size must be 0 (one scale for the tensor, or one per entry of an axis), not "
RESULT = "the result must be int8 or uint8 (a constant's also int4, uint4, int16 or uint16), not "
AGREE = "there must be one scale, or one per entry of the axis, and as many zero points, not "
INTEGERS = (
    "the first input must be int8 or uint8 (a constant also int4, uint4, int16, uint16 or int32),"
    " not "
)
ROWS = (
    "scales of quantized weights must be one, or one per output (dimension 1; 0 with transB), not "
)
RESHAPE = (
    "shape must hold as many elements as the input (0 copies a size, one -1 takes the rest), not "
)

CASES = [
    case("Add", FLOATS + "the integer input 'i'", "x", "i"),
    case("Mul", "shapes (2, 4) and (3, 4) must broadcast", "x", f32(3, 4)),
    case("Relu", "number of inputs must be 1, not 2", "x", "y"),
    case("Gemm", "the second input must be a constant matrix, not the computed 'y'", "x", "y"),
    case("Gemm", "the second input must be a constant matrix, not of shape (4)", "x", f32(4)),
    case(
        "Gemm",
        "the first input must be computed (weights come second), not the constant 't0'",
        *(f32(4, 2), "x"),
    ),
    case(
        "Gemm", "beta must be 1 (or 0) where the third input is computed, not 0.5",
        *("x", f32(4, 4), "y"), beta=0.5,
    ),
    case(
        "Gemm",
        "the third input must broadcast to the shape of the product, not (3, 3)",
        *("x", f32(4, 3), f32(3, 3)),
    ),
    case("Softmax", AXIS + "2 of 2 dimensions", "x", axis=2),
    case("Concat", AXIS + "-3 of 2 dimensions", "x", "y", axis=-3),
    case(
        "Concat",
        "inputs must agree in all dimensions but 0: (2, 4) and (2, 5)",
        *("x", f32(2, 5)),
        axis=0,
    ),
    case("Split", DATA + "the integer input 'i'", "i", outputs=3),
    case("Split", CONSTANTS + "the computed 'i'", "x", "i", outputs=2),
    case("Split", PARTS + "2 into 3 equal parts", "x", outputs=3),
    case("Split", PARTS + "parts (1, 2) of 4 for 2 outputs", "x", np.array([1, 2]), outputs=2,
         axis=1),
    case("Split", PARTS + "parts (5, -1) of 4 for 2 outputs", "x", np.array([5, -1]), outputs=2,
         axis=1),
    case("Split", PARTS + "num_outputs 3 with 2 outputs", "x", outputs=2, opset=18, num_outputs=3),
    case("Slice", LISTS, "x", np.array([0, 0]), np.array([1])),
    case("Slice", LISTS, "x", np.array([0, 0]), np.array([1, 1]), np.array([1, -1])),
    case("Slice", LISTS, "x", np.array([0]), np.array([1]), np.array([2])),
    case("Slice", "steps must not be 0, not (0)", "x", np.array([3]), np.array([0]),
         np.array([1]), np.array([0])),
    case("Slice", "each axis must keep one or more entries, not 0 to 3 of axis 1 with 4 entries",
         "x", np.array([0]), np.array([3]), np.array([1]), np.array([-1])),
    case("Slice", "each axis must keep one or more entries, not 4 to 4 of axis 1 with 4 entries",
         "x", np.array([9]), np.array([2**63 - 1]), np.array([1])),
    case("Slice", "constant 't1' must be integer, not float32", "x", f32(1), np.array([1])),
    case("Gather", GATHER + "data 'x' and computed indices 'i'", "x", "i"),
    case("Gather", GATHER + "data 't0' and computed indices 'x'", f32(3, 4), "x"),
    case("Gather", TABLE + "float32 of shape (3)", f32(3), "i"),
    case("Gather", TABLE + "int64 of shape (3, 2)", np.ones((3, 2), dtype=np.int64), "i"),
    case("Gather", TABLE + "axis 1", f32(3, 4), "i", axis=1),
    case("Gather", AXIS + "2 of 2 dimensions", "x", np.array([0]), axis=2),
    case("Gather", INDICES + "4 of 4 entries", "x", np.array([1, 4]), axis=1),
    case("Gather", INDICES + "-3 of 2 entries", "x", np.array(-3)),
    case("Transpose", "perm must hold each dimension once, not (0, 0)", "x", perm=[0, 0]),
    case("Reshape", RESHAPE + "(3, -1) of (2, 4)", "x", np.array([3, -1])),
    case("Reshape", RESHAPE + "(-1, -1) of (2, 4)", "x", np.array([-1, -1])),
    case("Reshape", RESHAPE + "(2, 4, 0) of (2, 4)", "x", np.array([2, 4, 0])),
    case("Reshape", RESHAPE + "(0, 4) of (2, 4)", "x", np.array([0, 4]), allowzero=1),
    case("Reshape", RESHAPE + "(4611686018427387904, 4) of (2, 4)", "x", np.array([2**62, 4])),
    case("Squeeze", "axes must be dimensions of size 1, not (1) of (2, 4)", "x", np.array([1])),
    case("Unsqueeze", "axes must be different dimensions of the result, not (1, 1)", "x",
         np.array([1, 1])),
    case("Flatten", AXIS + "3 of 2 dimensions", "x", axis=3),
    case(
        "Cast",
        "a computed tensor must be cast to float32, float16, float64 or bool, an integer graph"
        " input to int32 or int64, not bfloat16",
        "x",
        to=TensorProto.BFLOAT16,
    ),
    case("Gemm", "the first input must have 2 dimensions, not shape (2, 2, 2)",
         *("c", f32(2, 2))),
    # 8-bit integers
    case("QuantizeLinear", CONSTANT_SCALE + "the computed 'y'", "x", "y"),
    case("QuantizeLinear", SCALES + "0", "x", np.float32(0)),
    case("QuantizeLinear", SCALES + "-0.5", "x", np.float32(-0.5)),
    case("QuantizeLinear", SCALES + "nan", "x", np.float32(np.nan)),
    case("QuantizeLinear", SCALES + "inf", "x", np.float32(np.inf)),
    case("QuantizeLinear", SCALES + "the float64 't1'", "x", np.float64(1)),
    case("QuantizeLinear", BLOCKS + "2", "x", f32(1), opset=21, block_size=2),
    case("QuantizeLinear", BLOCKS + "scales of shape (2, 2)", "x", f32(2, 2), opset=21),
    case("QuantizeLinear", "precision and the type of the result must be float32, not float16",
         "x", np.float32(1), opset=23, precision=TensorProto.FLOAT16),
    case("QuantizeLinear", "the first input must be a float tensor, not the integer input 'i'",
         "i", np.float32(1)),
    case("QuantizeLinear", "the first input must be a float tensor, not the int64 't0'",
         np.arange(3), np.float32(1)),
    case("QuantizeLinear", RESULT + "int16", "x", np.float32(1), np.int16(0), opset=21),
    case("QuantizeLinear", RESULT + "int8 with a zero point of uint8",
         *("x", np.float32(1), np.uint8(0)), opset=21, output_dtype=TensorProto.INT8),
    case("QuantizeLinear", AGREE + "2 scales and 1 zero points", "x", f32(2), np.zeros(1, np.int8)),
    case("QuantizeLinear", AGREE + "3 scales for 4 entries", "x", f32(3), np.zeros(3, np.int8)),
    case("QuantizeLinear", AGREE + "axis 2 of 2 dimensions", "x", f32(4), np.zeros(4, np.int8),
         axis=2),
    case("QuantizeLinear", "a computed tensor must have one scale, not 4",
         *("x", f32(4), np.zeros(4, np.int8))),
    case("QuantizeLinear", "constant 't0' must be finite, not NaN",
         *(np.array([1, np.nan], np.float32), np.float32(1))),
    case("DequantizeLinear", INTEGERS + "the float32 'x'", "x", np.float32(1)),
    case("DequantizeLinear", INTEGERS + "the integer input 'i'", "i", np.float32(1)),
    case("DequantizeLinear", INTEGERS + "the int64 't0'", np.arange(3), np.float32(1)),
    case("DequantizeLinear", "the zero point must have the type of the integers, not int8 beside"
         " uint8", *(np.ones(3, np.uint8), np.float32(1), np.int8(0))),
    case("DequantizeLinear", "the zero point of int32 must be 0, not 3",
         *(np.ones(3, np.int32), np.float32(1), np.int32(3))),
    case("DequantizeLinear", SCALES + "0", *(np.ones(3, np.uint8), np.float32([1, 0, 1])), axis=0),
    quantized("Gemm", ROWS + "one per entry of dimension 1 of 'w'", 4, axis=1, transB=1),
    quantized("Gemm", "alpha must be positive where the weights are quantized, not -1", alpha=-1.0),
    quantized("MatMul", "quantized weights less their zero point must be -128 to 127, not 128 in"
              " 'w'", value=128),
    quantized("LSTM", "scales of quantized W and R must be one, or one per row of the gates"
              " (dimension 1), not one per entry of dimension 2 of 'w'", 3, axis=2),
    quantized("LSTM", "quantized W and R less their zero point must be -128 to 127, not -129 in"
              " 'w'", value=-129),
    case("Concat", "inputs must be float tensors, all bool, or all computed tensors of integers,"
         " not the integer input 'i'", "x", "i", axis=0),
    # forms of the node itself
    case("Softmax", "attribute 'axes' must be one of opset 17's", "x", axes=1),
    case("Softmax", "attribute 'axis' must be of type INT", "x", axis=1.0),
    case("Concat", "attribute 'axis' must be given", "x", "y"),
    case("Det", "operator must be one that 'azsim ops' lists", "x"),
    case("Add", "input 'nowhere' must be a graph input, a tensor or the output of an earlier node",
         "x", "nowhere"),
]  # fmt: skip


ALL_CASES = [*CASES, *RECURRENT_CASES, *WINDOW_CASES, *ROW_CASES, *MAP_CASES]


def build(maker: ModelMaker, fill: Build) -> ModelMaker:
    fill(maker)
    # a 3-dimensional computed value for those cases that name it
    if any("c" in node.input for node in maker.nodes):
        maker.tensor("cube", [2, 2, 2], np.int64)
        maker.nodes.insert(0, helper.make_node("Reshape", ["x", "cube"], ["c"], name="first"))
    return maker


@pytest.mark.parametrize(("fill", "text"), ALL_CASES)
def test_refusal(tmp_path: Path, fill: Build, text: str) -> None:
    path = build(ModelMaker(), fill).save(tmp_path)
    with pytest.raises(ModelError) as refusal:
        read_onnx(path)
    assert str(refusal.value) == f"{path}: {text}"


def test_each_rule_of_each_operator_has_words_and_each_rule_a_case() -> None:
    texts = [param.values[1] for param in ALL_CASES]
    for support in OPERATORS.values():
        for rule in support.rules:
            assert rule_text(rule)
            assert any(rule_text(rule) in text for text in texts), rule.__name__


def test_manual_page_is_fresh() -> None:
    page = Path(__file__).parents[2] / "docs" / "operators.md"
    assert page.read_text() == operators_markdown()


def test_support_table_lists_every_operator_once() -> None:
    names = [row.operator for row in support_table()]
    assert names == sorted({*OPERATORS, "Constant", "Shape", "Size"})
    row = next(row for row in support_table() if row.operator == "Squeeze")
    assert row.becomes == "Reshape"
    assert row.rules[-1] == "axes must be dimensions of size 1"


# -- canonical forms ----------------------------------------------------------------------------


def test_gemm_becomes_matmul_and_add_with_scaled_constants(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 3))
    weight, bias = np.arange(6).reshape(2, 3), np.array([1.0, 2.0])
    maker.tensor("W", weight)
    maker.tensor("b", bias)
    maker.node("Gemm", ["x", "W", "b"], ["y"], transB=1, alpha=2.0, beta=3.0, name="fc")
    maker.output("y", (1, 2))
    graph = read_onnx(maker.save(tmp_path))
    product, add = graph.nodes
    assert (product.name, product.operator, product.inputs) == ("fc", "MatMul", ("x", "fc.weight"))
    assert (add.name, add.operator) == ("fc.add", "Add")
    assert add.inputs == (product.outputs[0], "fc.bias")
    np.testing.assert_array_equal(graph.constant("fc.weight"), 2 * weight.T)
    np.testing.assert_array_equal(graph.constant("fc.bias"), 3 * bias)


def test_lstm_constant_zero_states_are_left_out_and_others_kept(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 1, 3))
    weights = lstm_tensors(maker, np.random.default_rng(0), 3, 2)
    maker.tensor("zero", np.zeros((1, 1, 2)))
    maker.tensor("half", np.full((1, 1, 2), 0.5))
    maker.node("LSTM", ["x", *weights, "", "zero", "half"], ["y"], name="rnn")
    maker.output("y")
    (node,) = read_onnx(maker.save(tmp_path)).nodes
    assert node.inputs == ("x", "W", "R", "B", "", "half")
    assert node.outputs == ("y", "", "")
    assert node.attributes == {"hidden_size": 2}


def test_split_and_scalar_gather_become_slices_take_and_reshape(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (2, 6))
    maker.tensor("parts", [1, 2, 3], np.int64)
    maker.tensor("last", -1, np.int64)
    maker.node("Split", ["x", "parts"], ["a", "", "b"], axis=-1, name="cut")
    maker.node("Gather", ["b", "last"], ["g"], axis=1, name="pick")
    for name in ("a", "g"):
        maker.output(name)
    graph = read_onnx(maker.save(tmp_path))
    assert [(n.name, n.operator) for n in graph.nodes] == [
        ("cut.0", "Slice"),
        ("cut.2", "Slice"),
        ("pick", "Take"),
        ("pick.reshape", "Reshape"),
    ]
    assert graph.nodes[1].attributes == {"starts": (0, 3), "ends": (2, 6), "steps": (1, 1)}
    assert graph.nodes[2].attributes == {"axis": 1, "indices": (2,)}
    assert graph.values["g"].shape == (2,)


def test_embedding_takes_an_index_input_through_a_cast(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("token", (1, 1), TensorProto.INT32)
    maker.tensor("table", np.ones((7, 3)))
    maker.node("Cast", ["token"], ["wide"], to=INT64)
    maker.node("Gather", ["table", "wide"], ["e"], name="embed")
    maker.output("e", (1, 1, 3))
    graph = read_onnx(maker.save(tmp_path))
    assert [(n.operator, n.inputs) for n in graph.nodes] == [("Embed", ("table", "token"))]
    assert graph.values["token"].is_index


def test_identity_vanishes_inside_and_keeps_the_name_of_an_output(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (2, 2))
    maker.input("old", (2, 2))
    maker.node("Identity", ["x"], ["same"])
    maker.node("Relu", ["same"], ["r"], name="act")
    maker.node("Identity", ["x"], ["next"], name="keep")
    maker.node("Add", ["r", "old"], ["y"], name="sum")
    for name in ("y", "next"):
        maker.output(name, (2, 2))
    maker.metadata = {"azsim.state": json.dumps({"old": "next"}), "azsim.note": "a", "other": "b"}
    graph = read_onnx(maker.save(tmp_path))
    assert [(n.name, n.operator, n.inputs) for n in graph.nodes] == [
        ("act", "Relu", ("x",)),
        ("keep", "Reshape", ("x",)),
        ("sum", "Add", ("r", "old")),
    ]
    assert graph.outputs == ("y",)
    assert [(p.source, p.result) for p in graph.states] == [("old", "next")]
    assert set(graph.metadata) == {"azsim.state", "azsim.note"}


def test_half_and_double_constants_become_float32(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (2, 2))
    maker.tensor("half", np.full((2, 2), 0.1), np.float16)
    maker.tensor("double", np.full((2, 2), 0.1), np.float64)
    maker.node("Cast", ["half"], ["single"], to=1)
    maker.node("MatMul", ["x", "single"], ["a"])
    maker.node("Add", ["a", "double"], ["y"])
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    single, double = graph.constant("single"), graph.constant("double")
    assert single is not None
    assert single.dtype == np.float32
    assert single[0, 0] == np.float16(0.1)
    assert double is not None
    assert double.dtype == np.float32
    assert double[0, 0] == np.float32(0.1)


def test_initializer_that_is_also_an_input_is_a_constant(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 2))
    maker.input("W", (2, 2))
    maker.tensor("W", np.eye(2))
    maker.node("MatMul", ["x", "W"], ["y"])
    maker.output("y")
    assert read_onnx(maker.save(tmp_path)).inputs == ("x",)
