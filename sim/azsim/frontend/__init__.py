"""From files to graphs and inputs: ONNX models, .npz arrays and .wav recordings."""

from azsim.frontend.read import read_onnx
from azsim.frontend.support import SupportRow, support_table

__all__ = ["SupportRow", "read_onnx", "support_table"]
