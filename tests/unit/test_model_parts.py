"""Large weights are read straight from the file; nothing else of a model changes by that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import ModelMaker

from azsim.errors import ModelError
from azsim.frontend import model_parts, read_onnx
from azsim.frontend.model_file import load_model
from azsim.frontend.model_parts import without_large_weights

pytestmark = pytest.mark.small
ROWS, COLUMNS = 160, 128  # 80 KB as float32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return large_model().save(tmp_path)


def large_model() -> ModelMaker:
    maker = ModelMaker()
    maker.input("x", (1, COLUMNS))
    rng = np.random.default_rng(1)
    maker.tensor("w", rng.normal(size=(ROWS, COLUMNS)))
    maker.tensor("b", rng.normal(size=ROWS))
    maker.node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    maker.output("y")
    return maker


def split(path: Path) -> tuple[bytes, dict[int, model_parts.Place]] | None:
    with path.open("rb") as file:
        return without_large_weights(file.fileno(), path.stat().st_size)


def test_what_is_left_out_is_the_data_alone(path: Path) -> None:
    found = split(path)
    assert found is not None
    content, places = found
    whole = onnx.load(path)
    (number, place), *others = places.items()
    assert others == []
    assert whole.graph.initializer[number].name == "w"
    raw = path.read_bytes()[place.offset : place.offset + place.size]
    assert raw == whole.graph.initializer[number].raw_data
    whole.graph.initializer[number].ClearField("raw_data")
    assert onnx.ModelProto.FromString(content) == whole
    assert len(content) < 4096


def test_the_graph_is_the_same_either_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = read_onnx(path)
    assert set(load_model(path)[1]) == {"w"}
    monkeypatch.setattr(model_parts, "LARGE_BYTES", 1 << 40)
    assert load_model(path)[1] == {}
    whole = read_onnx(path)
    assert list(apart.values) == list(whole.values)
    for name, value in apart.values.items():
        data, other = value.data, whole.values[name].data
        assert (data is None) == (other is None)
        if data is not None and other is not None:
            np.testing.assert_array_equal(data, other)


def test_a_size_that_does_not_fit_the_shape(path: Path) -> None:
    model = onnx.load(path)
    model.graph.initializer[0].dims[0] += 1
    path.write_bytes(model.SerializeToString())
    wanted, have = 4 * (ROWS + 1) * COLUMNS, 4 * ROWS * COLUMNS
    text = rf"^.*: tensor 'w' must hold {wanted} bytes as its shape says, not {have}$"
    with pytest.raises(ModelError, match=text):
        read_onnx(path)


def test_data_in_two_fields_go_to_the_parser(path: Path) -> None:
    """The last one counts, as protobuf has it; such tensors are not taken apart."""
    model = onnx.load(path)
    first = model.graph.initializer[0].SerializeToString()
    twice = first + onnx.TensorProto(raw_data=bytes(4 * ROWS * COLUMNS)).SerializeToString()
    rest = onnx.load(path)
    del rest.graph.initializer[0]
    length = model_parts._as_varint
    inner = b"\x2a" + length(len(twice)) + twice
    path.write_bytes(rest.SerializeToString() + b"\x3a" + length(len(inner)) + inner)
    assert load_model(path)[1] == {}
    weights = [v.data for v in read_onnx(path).values.values() if v.data is not None]
    assert any(data.size == ROWS * COLUMNS and not data.any() for data in weights)


def test_very_many_fields_go_to_the_parser(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_parts, "MAX_FIELDS", 3)
    assert split(path) is None
    read_onnx(path)


@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_damaged_file_is_parsed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, cut: int
) -> None:
    """Whatever is damaged, what the parser makes of the parts it makes of the whole file too."""
    path = large_model().save(tmp_path_factory.mktemp("damaged"))
    content = bytearray(path.read_bytes())
    content[-1 - at] = byte
    path.write_bytes(content[: len(content) - cut])
    found = split(path)
    if found is None:
        return
    parts, places = found
    try:
        whole = onnx.ModelProto.FromString(path.read_bytes())
    except Exception as error:  # whatever it is, the parts must fail alike
        with pytest.raises(type(error)):
            onnx.ModelProto.FromString(parts)
        return
    for number in places:
        whole.graph.initializer[number].ClearField("raw_data")
    assert onnx.ModelProto.FromString(parts) == whole
