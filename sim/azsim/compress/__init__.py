"""Tools that make a model smaller, say what an update of it takes, and study the chip's formats."""

from azsim.compress.budget import Budget
from azsim.compress.formats import (
    Choices,
    FormatStudy,
    check_folder,
    study_formats,
    write_formats,
)
from azsim.compress.plan import CALIBRATIONS, WeightPlan, load_plan, option_wish
from azsim.compress.run import CompressionResult, LayerResult, compress_model
from azsim.compress.scan import ScanRow
from azsim.compress.update import Update, diff_models

__all__ = [
    "CALIBRATIONS",
    "Budget",
    "Choices",
    "CompressionResult",
    "FormatStudy",
    "LayerResult",
    "ScanRow",
    "Update",
    "WeightPlan",
    "check_folder",
    "compress_model",
    "diff_models",
    "load_plan",
    "option_wish",
    "study_formats",
    "write_formats",
]
