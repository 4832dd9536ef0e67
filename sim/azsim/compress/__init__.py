"""Tools that make a model smaller: post-training quantization, pruning, codebooks and budgets."""

from azsim.compress.budget import Budget
from azsim.compress.plan import CALIBRATIONS, WeightPlan, load_plan, option_wish
from azsim.compress.run import CompressionResult, LayerResult, compress_model
from azsim.compress.scan import ScanRow
from azsim.compress.update import Update, diff_models

__all__ = [
    "CALIBRATIONS",
    "Budget",
    "CompressionResult",
    "LayerResult",
    "ScanRow",
    "Update",
    "WeightPlan",
    "compress_model",
    "diff_models",
    "load_plan",
    "option_wish",
]
