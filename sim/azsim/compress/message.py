"""A model file as a message to write again: all data inside, all reals float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from azsim.errors import ModelError
from azsim.frontend.dims import bind_dimensions
from azsim.frontend.model_file import load_model
from azsim.frontend.tensors import TensorReader
from azsim.graph.text import one_line, quoted

_OTHER_REALS = (TensorProto.FLOAT16, TensorProto.DOUBLE)


class FreshNames:
    """Names that a model does not have yet."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._taken = {tensor.name for tensor in graph.initializer}
        self._taken.update(value.name for value in (*graph.input, *graph.output))
        for node in graph.node:
            self._taken.update((node.name, *node.output))

    def fresh(self, wish: str) -> str:
        """Return `wish`, or what is nearest to it, and keep it."""
        name, count = wish, 1
        while name in self._taken:
            count += 1
            name = f"{wish}.{count}"
        self._taken.add(name)
        return name


def whole_model(path: Path, dims: Mapping[str, int] | None = None) -> onnx.ModelProto:
    """Return the message with all data inside, also those of external files; open dimensions have
    the sizes of `dims`.

    Raises:
        ModelError: as `read_onnx`.
    """
    try:
        model, places = load_model(path)
        bind_dimensions(model, dims or {})
        reader = TensorReader(path, places)
        for tensor in model.graph.initializer:
            external = tensor.data_location == TensorProto.EXTERNAL
            if tensor.name in places or external:
                data = reader.read(tensor, tensor.name)
                del tensor.external_data[:]
                tensor.data_location = TensorProto.DEFAULT
                tensor.raw_data = _raw(tensor, data)
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None
    return model


def _raw(tensor: TensorProto, data: npt.NDArray[np.generic]) -> bytes:
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        raise ModelError(f"tensor {quoted(tensor.name)} must be of 8 bits or more to be written")
    return np.ascontiguousarray(data).tobytes()


def make_tensor(name: str, data: npt.NDArray[np.generic]) -> TensorProto:
    """Return an initializer of the numbers of `data`, in its own type."""
    kind = helper.np_dtype_to_tensor_dtype(data.dtype)
    return TensorProto(name=name, data_type=kind, dims=data.shape, raw_data=data.tobytes())


def make_single(model: onnx.ModelProto) -> bool:
    """Make every float16 and float64 of a model float32, in place; True if there was one.

    A quantizer's scales are float32, and one operator takes one type of reals.
    """
    graph, found = model.graph, False
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        if tensor.elem_type in _OTHER_REALS:
            tensor.elem_type, found = TensorProto.FLOAT, True
    stored = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute)]
    for tensor in stored:
        if tensor.data_type in _OTHER_REALS:
            with np.errstate(over="ignore"):  # what is too large was refused, or nothing reads it
                data = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(make_tensor(tensor.name, np.ascontiguousarray(data)))
            found = True
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Cast" else ():
            if attribute.name == "to" and attribute.i in _OTHER_REALS:
                attribute.i, found = TensorProto.FLOAT, True
    return found


def drop_unread(model: onnx.ModelProto) -> None:
    """Leave out what nothing reads: nodes that make nothing of use, and tensors."""
    graph = model.graph
    results = {value.name for value in graph.output}
    while True:
        read = results | {name for node in graph.node for name in node.input}
        live = [n for n in graph.node if any(o in read for o in n.output)]
        if len(live) == len(graph.node):
            break
        put_nodes(model, live)
    unread = {t.name for t in graph.initializer} - read
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    inputs = [value for value in graph.input if value.name not in unread]
    del graph.input[:]
    graph.input.extend(inputs)


def put_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the nodes of a model."""
    made = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(made)
