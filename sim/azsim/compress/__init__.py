"""Tools that make a model smaller, say what an update of it takes, and study the chip's formats."""

from azsim.compress.budget import Budget
from azsim.compress.formats import (
    Choices,
    FormatStudy,
    check_folder,
    study_formats,
    write_formats,
)
from azsim.compress.pieces import Images
from azsim.compress.plan import CALIBRATIONS, WeightPlan, load_plan, option_wish
from azsim.compress.run import CompressionResult, LayerResult, compress_model
from azsim.compress.scan import ScanRow
from azsim.compress.update import Update, diff_models
from azsim.compress.update_file import apply_update, save_images, save_update

__all__ = [
    "CALIBRATIONS",
    "Budget",
    "Choices",
    "CompressionResult",
    "FormatStudy",
    "Images",
    "LayerResult",
    "ScanRow",
    "Update",
    "WeightPlan",
    "apply_update",
    "check_folder",
    "compress_model",
    "diff_models",
    "load_plan",
    "option_wish",
    "save_images",
    "save_update",
    "study_formats",
    "write_formats",
]
