"""Do damaged and hostile model files end in one line, quickly and in bounded memory?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hostile_models import saved
from onnx import TensorProto, helper
from onnx_models import INT64, ModelMaker
from refusals import model_refusal as refusal

from azsim.errors import AzsimError
from azsim.frontend import read_onnx

pytestmark = pytest.mark.small

MIB = 1 << 20


# -- the file -----------------------------------------------------------------------------------


def test_absent_file_folder_and_pipe(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.onnx") == "cannot be read: No such file or directory"
    assert refusal(tmp_path) == "must be a plain file"
    os.mkfifo(tmp_path / "pipe.onnx")
    assert refusal(tmp_path / "pipe.onnx") == "must be a plain file"


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"\x08\x08\x3a\x00"])
def test_file_without_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert refusal(path) == "must be an ONNX file; it holds no graph or no opset"


def test_cut_file(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda model: None)
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("must be an ONNX file; it")


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda model: None)
    path.write_bytes(path.read_bytes().replace(b"fc", b"f\xff"))
    assert refusal(path) == "must be an ONNX file; a name in it is not valid UTF-8"


def test_names_with_line_ends_stay_on_one_line(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].name = "a\nb\u2028" + "x" * 500
        model.graph.node[0].op_type = "Bad\r\nOp"

    text = refusal(saved(tmp_path, change))
    assert text.startswith("node 'a?b?xxx")
    assert "(Bad??Op): operator must be one that" in text
    assert len(text) < 500


@pytest.mark.parametrize("version", [12, 1000])
def test_opset(tmp_path: Path, version: int) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    newest = onnx.defs.onnx_opset_version()
    assert refusal(saved(tmp_path, change)) == f"opset must be 13 to {newest}, not {version}"


def test_functions_sparse_tensors_and_foreign_domains(tmp_path: Path) -> None:
    def add_function(model: onnx.ModelProto) -> None:
        model.functions.add(name="f", domain="d")

    def add_sparse(model: onnx.ModelProto) -> None:
        model.graph.sparse_initializer.add().values.name = "s"

    def set_domain(model: onnx.ModelProto) -> None:
        model.graph.node[0].domain = "com.example"

    assert refusal(saved(tmp_path, add_function)) == "must not define functions such as 'f'"
    assert refusal(saved(tmp_path, add_sparse)) == (
        "tensor 's' must be dense, not a sparse initializer"
    )
    assert refusal(saved(tmp_path, set_domain)) == (
        "node 'fc' (MatMul): domain must be ONNX's own, not 'com.example'"
    )


def test_subgraph(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        branch = helper.make_graph([], "branch", [], [])
        node = helper.make_node("If", ["x"], ["y"], name="fc", then_branch=branch)
        model.graph.node[0].CopyFrom(node)

    assert refusal(saved(tmp_path, change)) == (
        "node 'fc' (If): must be the model's only If, and is taken by azsim run, compile, sweep,"
        " search and formats only"
    )


# -- names and order ----------------------------------------------------------------------------


def test_names_given_twice(tmp_path: Path) -> None:
    def repeat(field: str) -> Callable[[onnx.ModelProto], None]:
        def change(model: onnx.ModelProto) -> None:
            entries = getattr(model.graph, field)
            entries.add().CopyFrom(entries[0])

        return change

    for field, text in (
        ("input", "input 'x' must have a name of its own"),
        ("output", "output 'y' must have a name of its own"),
        ("initializer", "tensor 'W' must have a name of its own"),
        ("node", "node 'fc' must have a name of its own"),
    ):
        assert refusal(saved(tmp_path, repeat(field))) == text


def test_value_made_twice_and_cycle(tmp_path: Path) -> None:
    def twice(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Relu", ["x"], ["y"], name="again"))

    def cycle(model: onnx.ModelProto) -> None:
        model.graph.node[0].input[0] = "z"
        model.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))

    assert refusal(saved(tmp_path, twice)) == (
        "node 'again' (Relu): output 'y' must have a name of its own"
    )
    assert refusal(saved(tmp_path, cycle)) == (
        "node 'fc' (MatMul): input 'z' must be a graph input, a tensor or the output of an earlier"
        " node"
    )


def test_outputs_that_nothing_computes(tmp_path: Path) -> None:
    for name in ("x", "W", "nothing"):

        def change(model: onnx.ModelProto, name: str = name) -> None:
            model.graph.output[0].name = name
            model.graph.output[0].type.tensor_type.ClearField("shape")

        assert refusal(saved(tmp_path, change)) == f"output '{name}' must be computed by a node"
    text = refusal(saved(tmp_path, lambda model: model.graph.ClearField("output")))
    assert text == "graph must have one or more outputs"


# -- inputs, states, stated shapes --------------------------------------------------------------


def set_dim(model: onnx.ModelProto, value: int | str) -> None:
    dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    if isinstance(value, str):
        dim.dim_param = value
    else:
        dim.dim_value = value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            "T",
            "dimension 'T' of input 'x' must be a number: give it one with --dim T=N",
        ),
        (
            "",
            "dimension 0 of input 'x' must be a number: give it one with --dim x:0=N",
        ),
        (0, "input 'x' must have dimensions of 1 or more, not (0, 3)"),
        (-1, "input 'x' must have dimensions of 1 or more, not (-1, 3)"),
        (2**60, f"input 'x' must hold at most 67108864 elements, not {3 * 2**60}"),
    ],
)
def test_input_dimensions(tmp_path: Path, value: int | str, text: str) -> None:
    assert refusal(saved(tmp_path, lambda model: set_dim(model, value))) == text


def two_open(maker: ModelMaker) -> None:
    """y = x W with an open batch, z of the same batch and an unnamed dimension."""
    maker.input("x", ("batch", 3))
    maker.input("z", ("batch", None))
    maker.tensor("W", np.ones((3, 2)))
    maker.node("MatMul", ["x", "W"], ["m"], name="fc")
    maker.node("Add", ["m", "z"], ["y"], name="sum")
    maker.output("y", ("batch", 2))


def test_open_dimensions_get_their_sizes(tmp_path: Path) -> None:
    maker = ModelMaker()
    two_open(maker)
    path = maker.save(tmp_path)
    graph = read_onnx(path, {"batch": 4, "z:1": 2})
    assert [graph.values[name].shape for name in "xzy"] == [(4, 3), (4, 2), (4, 2)]
    graph = read_onnx(path, {"x:0": 4, "z:0": 1, "z:1": 2})  # each by its place
    assert [graph.values[name].shape for name in "xzy"] == [(4, 3), (1, 2), (4, 2)]


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({}, "dimension 'batch' of input 'x' must be a number: give it one with --dim batch=N"),
        (
            {"batch": 1},
            "dimension 1 of input 'z' must be a number: give it one with --dim z:1=N",
        ),
        (
            {"time": 1},
            "dimension 'time' must be an open one of an input: 'batch', 'z:1'",
        ),
        ({"batch": 0}, "dimension 'batch' must be 1 or more, not 0"),
        (
            {"batch": 1 << 40, "z:1": 2},
            f"input 'x' must hold at most 67108864 elements, not {3 << 40}",
        ),
        (
            {"batch": 4, "z:1": 5},
            "node 'sum' (Add): shapes (4, 2) and (4, 5) must broadcast",
        ),
    ],
)
def test_sizes_that_do_not_fit(tmp_path: Path, sizes: dict[str, int], text: str) -> None:
    maker = ModelMaker()
    two_open(maker)
    path = maker.save(tmp_path)
    with pytest.raises(AzsimError) as caught:
        read_onnx(path, sizes)
    assert str(caught.value) == f"{path}: {text}"


def test_a_name_for_nothing_open(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda model: None)
    with pytest.raises(AzsimError) as caught:
        read_onnx(path, {"x:0": 1})
    text = "dimension 'x:0' must be an open one of an input: none"
    assert str(caught.value) == f"{path}: {text}"


def test_a_node_that_leads_nowhere(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Relu", ["x"], ["side"], name="aside"))
        model.graph.node.append(helper.make_node("Tanh", ["side"], ["lost"]))

    assert refusal(saved(tmp_path, change)) == (
        "node 'aside' (Relu): an output of the graph must depend on it"
    )


def test_constant_leftovers_do_no_harm(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Shape", ["x"], ["shape"], name="shape"))
        model.graph.node.append(helper.make_node("Gather", ["shape", "W"], ["size"], name="size"))
        model.graph.node.append(helper.make_node("Relu", ["W"], ["positive"], name="positive"))

    graph = read_onnx(saved(tmp_path, change))
    assert [node.name for node in graph.nodes] == ["fc"]


def wrapped(number: int, content: bytes) -> bytes:
    """Field `number` of a message, as protobuf writes it."""
    size, head = len(content), bytearray()
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *head, size]) + content


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (
            3,
            "node 'outer' (If): must be the model's only If, and is taken by azsim run, compile,"
            " sweep, search and formats only",
        ),
        (5000, "must be an ONNX file; it is damaged, cut short or something else"),
    ],
)
def test_bodies_within_bodies(tmp_path: Path, depth: int, text: str) -> None:
    node = b""
    for level in range(depth):  # node 4: operator, 5: attribute; attribute 1: name, 6: graph
        branch = wrapped(1, b"then_branch") + b"\xa0\x01\x05" + wrapped(6, wrapped(1, node))
        node = wrapped(4, b"If") + wrapped(5, branch if level else wrapped(1, b"none"))
    node += wrapped(1, b"x") + wrapped(2, b"y") + wrapped(3, b"outer")

    path = saved(tmp_path, lambda model: model.graph.ClearField("node"))
    # fields of the same message are merged: the graph gets this node
    path.write_bytes(path.read_bytes() + wrapped(7, wrapped(1, node)))
    assert refusal(path) == text


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_floats_count_as_float32(tmp_path: Path, kind: int) -> None:
    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = kind
        weights = np.ones((3, 2), helper.tensor_dtype_to_np_dtype(kind))
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "W"))

    graph = read_onnx(saved(tmp_path, change))
    assert graph.values["W"].data is not None
    assert graph.values["W"].data.dtype == np.float32


def test_input_types(tmp_path: Path) -> None:
    def brain(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16

    def sequence(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1

    def shapeless(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.ClearField("shape")

    assert refusal(saved(tmp_path, brain)) == (
        "input 'x' must be float32, float16, float64, bool, int8 or uint8, or int32 or int64"
        " for row numbers, not bfloat16"
    )
    assert refusal(saved(tmp_path, sequence)) == "input 'x' must be a tensor"
    assert refusal(saved(tmp_path, shapeless)) == "input 'x' must have a shape"


def test_stated_shapes_that_disagree(tmp_path: Path) -> None:
    def output(model: onnx.ModelProto) -> None:
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 9

    def inner(model: onnx.ModelProto) -> None:
        model.graph.value_info.append(helper.make_tensor_value_info("y", 1, (1, 2, 1)))

    def kind(model: onnx.ModelProto) -> None:
        model.graph.output[0].type.tensor_type.elem_type = INT64

    assert refusal(saved(tmp_path, output)) == (
        "value 'y' is stated as (1, 9) but the nodes give (1, 2)"
    )
    assert refusal(saved(tmp_path, inner)) == (
        "value 'y' is stated as (1, 2, 1) but the nodes give (1, 2)"
    )
    assert refusal(saved(tmp_path, kind)) == "value 'y' must be float32, not int64"


JSON_RULE = "property 'azsim.state' must be a JSON object of input and output names"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", JSON_RULE),
        ("[1]", JSON_RULE),
        ('{"x": 3}', JSON_RULE),
        ("[" * 100000, JSON_RULE),
        ('{"x": "y", "x": "y"}', "property 'azsim.state' must name each state input once"),
        ('{"q": "y"}', "state 'q' must be a graph input"),
        ('{"x": "q"}', "state 'x': result 'q' must be a graph output"),
        ('{"x": "y"}', "state 'x': result 'y' must have shape (1, 3), not (1, 2)"),
        ('{"n": "y"}', "state 'n' must be float32, bool, int8 or uint8"),
    ],
)
def test_state_property(tmp_path: Path, text: str, message: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("n", INT64, (1,)))
        helper.set_model_props(model, {"azsim.state": text})

    assert refusal(saved(tmp_path, change)) == message


def test_property_given_twice(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        for text in ("30", "60"):
            model.metadata_props.add(key="azsim.frame_ms", value=text)

    assert refusal(saved(tmp_path, change)) == "property 'azsim.frame_ms' must be given once"
