"""Do hostile tensors in model files end in one line, quickly and in bounded memory?"""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from hostile_models import dense, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import ModelMaker
from refusals import model_refusal as refusal

from azsim.errors import AzsimError
from azsim.frontend import read_onnx
from azsim.graph import verify_graph

pytestmark = pytest.mark.small

MIB = 1 << 20


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
