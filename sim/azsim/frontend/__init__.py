"""From files to graphs and inputs: ONNX models, .npz arrays and .wav recordings."""

from azsim.frontend.inputs import Inputs, load_inputs, read_frame_ms
from azsim.frontend.read import read_onnx
from azsim.frontend.support import SupportRow, operators_markdown, support_table

__all__ = [
    "Inputs",
    "SupportRow",
    "load_inputs",
    "operators_markdown",
    "read_frame_ms",
    "read_onnx",
    "support_table",
]
