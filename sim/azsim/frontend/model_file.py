"""From a file to an ONNX message: what can be refused before any node is looked at."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import onnx.defs
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from azsim.errors import ModelError
from azsim.frontend.model_parts import Place, without_large_weights
from azsim.graph.text import quoted

OLDEST_OPSET = 13
MAX_FILE_BYTES = (1 << 31) - 1  # the limit of the format; larger weights go to external files
METADATA_PREFIX = "azsim."
STATE_PROPERTY = "azsim.state"
FRAME_PROPERTY = "azsim.frame_ms"


def load_model(path: Path) -> tuple[onnx.ModelProto, dict[str, Place]]:
    """Return the parsed file, and by name where in it the data of initializers are that were left
    out as too large to hold twice. External data is not read. Raises ModelError without the path.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("must be a plain file")
        if status.st_size > MAX_FILE_BYTES:
            raise ModelError(f"must be at most {MAX_FILE_BYTES} bytes, not {status.st_size}")
        content, places = _content(path, status.st_size)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise ModelError(
            "must be an ONNX file; it is damaged, cut short or something else"
        ) from None
    if not model.HasField("graph") or not model.opset_import:
        raise ModelError("must be an ONNX file; it holds no graph or no opset")
    check_texts(model)
    return model, {model.graph.initializer[k].name: place for k, place in places.items()}


def _content(path: Path, size: int) -> tuple[bytes, dict[int, Place]]:
    with path.open("rb") as file:
        split = without_large_weights(file.fileno(), size)
        return (file.read(), {}) if split is None else split


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """Yield each text of the file that is read later."""
    for entry in model.opset_import:
        yield entry.domain
    for item in model.metadata_props:
        yield from (item.key, item.value)
    yield from _graph_texts(model.graph)


def _graph_texts(graph: onnx.GraphProto) -> Iterator[object]:
    yield graph.name
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        yield from _tensor_texts(tensor)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            yield from _tensor_texts(attribute.t)


def _tensor_texts(tensor: onnx.TensorProto) -> Iterator[object]:
    yield tensor.name
    for item in tensor.external_data:
        yield from (item.key, item.value)


def check_texts(model: onnx.ModelProto) -> None:
    """Refuse texts that are not UTF-8; the parser lets them through, as bytes in place of str."""
    _check(_texts(model))


def check_body_texts(body: onnx.GraphProto) -> None:
    """The same for the graph of a branch. Raises ModelError as `check_texts`."""
    _check(_graph_texts(body))


def _check(texts: Iterator[object]) -> None:
    if any(not isinstance(text, str) for text in texts):
        raise ModelError("must be an ONNX file; a name in it is not valid UTF-8")


def opset_version(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators, after refusing what this reader cannot take."""
    newest = int(onnx.defs.onnx_opset_version())
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise ModelError("must import ONNX's operator set once")
    if not OLDEST_OPSET <= versions[0] <= newest:
        raise ModelError(f"opset must be {OLDEST_OPSET} to {newest}, not {versions[0]}")
    if model.functions:
        raise ModelError(
            f"must not define functions such as {quoted(str(model.functions[0].name))}"
        )
    if model.graph.sparse_initializer:
        name = str(model.graph.sparse_initializer[0].values.name)
        raise ModelError(f"tensor {quoted(name)} must be dense, not a sparse initializer")
    return int(versions[0])


def read_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return the `azsim.*` properties."""
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(METADATA_PREFIX):
            if entry.key in found:
                raise ModelError(f"property {quoted(entry.key)} must be given once")
            found[entry.key] = entry.value
    return found


def frame_ms_of(metadata: Mapping[str, str]) -> float | None:
    """Return the time one step stands for (property `azsim.frame_ms`), None if it is not given."""
    text = metadata.get(FRAME_PROPERTY)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise ModelError(
            f"property '{FRAME_PROPERTY}' must be a positive number, not {quoted(text)}"
        )
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ModelError(f"property '{STATE_PROPERTY}' must name each state input once")
    return dict(pairs)


def read_state_pairs(metadata: dict[str, str]) -> dict[str, str]:
    """Return state input -> state output from property `azsim.state` (a JSON object of names)."""
    text = metadata.get(STATE_PROPERTY)
    if text is None:
        return {}
    refusal = f"property '{STATE_PROPERTY}' must be a JSON object of input and output names"
    try:
        pairs = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise ModelError(refusal) from None
    if not isinstance(pairs, dict) or not all(isinstance(v, str) for v in pairs.values()):
        raise ModelError(refusal)
    return {str(key): str(value) for key, value in pairs.items()}
