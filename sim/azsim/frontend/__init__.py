"""From files to graphs and inputs: ONNX models, topology files, .npz arrays and .wav
recordings."""

from azsim.frontend.inputs import Inputs, load_inputs, read_frame_ms
from azsim.frontend.model import own_inputs, read_model
from azsim.frontend.read import read_onnx
from azsim.frontend.scalesim import TopologyLayer, random_inputs, read_topology, topology_graph
from azsim.frontend.support import SupportRow, operators_markdown, support_table
from azsim.frontend.topology_onnx import topology_model

__all__ = [
    "Inputs",
    "SupportRow",
    "TopologyLayer",
    "load_inputs",
    "operators_markdown",
    "own_inputs",
    "random_inputs",
    "read_frame_ms",
    "read_model",
    "read_onnx",
    "read_topology",
    "support_table",
    "topology_graph",
    "topology_model",
]
