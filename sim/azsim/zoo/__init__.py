"""The shipped nets: ONNX models with seeded weights, built on request."""

from azsim.zoo.entries import build_zoo, find_entry, zoo_table
from azsim.zoo.entry import ZooEntry
from azsim.zoo.model import save_onnx
from azsim.zoo.page import zoo_markdown

__all__ = ["ZooEntry", "build_zoo", "find_entry", "save_onnx", "zoo_markdown", "zoo_table"]
