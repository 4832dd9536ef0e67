"""Do damaged and hostile model files end in one line, quickly and in bounded memory?"""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import INT64, ModelMaker
from refusals import model_refusal as refusal

from azsim.errors import AzsimError
from azsim.frontend import read_onnx
from azsim.graph import verify_graph

pytestmark = pytest.mark.small

MIB = 1 << 20


def dense(maker: ModelMaker) -> None:
    """A sound net: y = x W."""
    maker.input("x", (1, 3))
    maker.tensor("W", np.ones((3, 2)))
    maker.node("MatMul", ["x", "W"], ["y"], name="fc")
    maker.output("y", (1, 2))


def saved(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    maker = ModelMaker()
    dense(maker)
    model = maker.model()
    change(model)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


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
        "node 'fc' (If): a model with branches can only be run ('azsim run')"
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
        (3, "node 'outer' (If): a model with branches can only be run ('azsim run')"),
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


# -- tensors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    def change(model: onnx.ModelProto) -> None:
        data = np.ones((3, 2), dtype=np.float32)
        data[1, 1] = value
        model.graph.initializer[0].raw_data = data.tobytes()

    assert refusal(saved(tmp_path, change)) == (
        "constant 'W' must be finite in float32, not NaN or infinite"
    )


def test_float64_weight_beyond_float32(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_type = TensorProto.DOUBLE
        tensor.raw_data = np.full((3, 2), 1e39).tobytes()

    assert refusal(saved(tmp_path, change)) == (
        "constant 'W' must be finite in float32, not NaN or infinite"
    )


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        ((2**31, 2**31), "all tensors together must hold at most 536870912 elements"),
        ((3, 2**20), "must hold 12582912 bytes as its shape says, not 24"),
        ((3, -2), "must have up to 32 dimensions of 0 or more, not (3, -2)"),
        ((0, 2), "must hold 0 bytes as its shape says, not 24"),
        ((1,) * 40, "must have up to 32 dimensions of 0 or more, not (" + "1, " * 8 + "...)"),
    ],
)  # fmt: skip
def test_tensor_sizes_that_the_file_does_not_hold(
    tmp_path: Path, dims: tuple[int, ...], text: str
) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = dims

    path = saved(tmp_path, change)
    tracemalloc.start()
    found = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.removeprefix("tensor 'W'").lstrip(": ") == text
    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.FLOAT8E4M3FN, "float8e4m3fn"),
        (TensorProto.STRING, "string"),
        (TensorProto.COMPLEX64, "complex64"),
        (999, "999"),
    ],
)
def test_tensor_types(tmp_path: Path, kind: int, name: str) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].data_type = kind

    assert refusal(saved(tmp_path, change)) == (
        f"tensor 'W' must be float32, float16, float64 or integer, not {name}"
    )


def test_empty_and_integer_weights(tmp_path: Path) -> None:
    def empty(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = (3, 0)
        model.graph.initializer[0].raw_data = b""

    def integer(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].data_type = TensorProto.INT32

    assert refusal(saved(tmp_path, empty)) == (
        "constant 'W' must have dimensions of 1 or more, not (3, 0)"
    )
    assert refusal(saved(tmp_path, integer)) == (
        "node 'fc' (MatMul): inputs must be float tensors, not the int32 constant 'W'"
    )


def test_tensor_in_typed_fields(tmp_path: Path) -> None:
    """The older storage: one field per element type, halves as the bits of integers."""
    data = np.arange(6, dtype=np.float32).reshape(3, 2) / 4
    for kind, field, stored in (
        (TensorProto.FLOAT, "float_data", data),
        (TensorProto.DOUBLE, "double_data", data.astype(np.float64)),
        (TensorProto.FLOAT16, "int32_data", data.astype(np.float16).view(np.uint16)),
    ):

        def change(
            model: onnx.ModelProto, kind: int = kind, field: str = field, s: np.ndarray = stored
        ) -> None:
            tensor = model.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_type = kind
            getattr(tensor, field).extend(s.reshape(-1).tolist())

        graph = read_onnx(saved(tmp_path, change))
        np.testing.assert_array_equal(graph.constant("W"), data)


# -- external data ------------------------------------------------------------------------------


def external(folder: Path, **entries: str) -> Path:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return saved(folder, change)


def test_external_data_is_read(tmp_path: Path) -> None:
    data = np.arange(8, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(data.tobytes())
    path = external(tmp_path, location="sub/w.bin", offset="8", length="24")
    np.testing.assert_array_equal(read_onnx(path).constant("W"), data[2:].reshape(3, 2))


def test_external_data_stays_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(24))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "away").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    rule = "must be a path below the model's folder"
    for location, text in (
        (str(tmp_path / "secret"), rule),
        ("../secret", rule),
        ("", rule),
        ("..\\secret", rule),
        ("link", "must not lead outside the model's folder"),
        ("away/secret", "must not lead outside the model's folder"),
        ("pipe", "must be a plain file"),
        (".", "must be a path below the model's folder"),
        ("none", "must be readable: FileNotFoundError"),
        ("a\0b", "must be readable: ValueError"),
        ("x" * 5000, "must be readable: OSError"),
    ):
        found = refusal(external(folder, location=location))
        assert found.startswith("tensor 'W': external file '")
        assert found.endswith(f"' {text}")


def test_external_data_of_wrong_size(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(30))
    for entries, text in (
        (
            {"offset": "8"},
            "tensor 'W': external file 'w.bin' must hold 24 bytes from byte 8 on, but ends at 30",
        ),
        ({"length": "20"}, "tensor 'W' must hold 24 bytes as its shape says, not 20"),
        ({"offset": "-4"}, "tensor 'W': external offset must be a number, not '-4'"),
        ({"length": "1e3"}, "tensor 'W': external length must be a number, not '1e3'"),
    ):
        assert refusal(external(tmp_path, location="w.bin", **entries)) == text


def test_external_bytes_cannot_be_used_over_and_over(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(24))
    maker = ModelMaker()
    maker.input("x", (3, 2))
    model = maker.model()
    last = "x"
    for k in range(9):
        tensor = model.graph.initializer.add(name=f"w{k}", data_type=1, dims=(3, 2))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
        model.graph.node.append(helper.make_node("Add", [last, f"w{k}"], [f"y{k}"]))
        last = f"y{k}"
    model.graph.output.append(helper.make_tensor_value_info(last, 1, (3, 2)))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert refusal(path) == (
        "tensor 'w4': external file 'w.bin' must not be used more than 4 times over"
    )


# -- anything -----------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_bytes_end_in_a_graph_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    maker = ModelMaker()
    dense(maker)
    maker.tensor("shape", [1, -1], np.int64)
    maker.node("Reshape", ["y", "shape"], ["r"])
    maker.output("r")
    maker.metadata["azsim.state"] = json.dumps({})
    content = bytearray(maker.model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(content)
    try:
        verify_graph(read_onnx(path))
    except AzsimError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
