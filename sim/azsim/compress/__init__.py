"""Tools that make a model smaller: post-training quantization, pruning, codebooks and budgets."""

from azsim.compress.budget import Budget
from azsim.compress.plan import CALIBRATIONS, WeightPlan, load_plan, option_wish
from azsim.compress.run import CompressionResult, LayerResult, compress_model
from azsim.compress.scan import ScanRow

__all__ = [
    "CALIBRATIONS",
    "Budget",
    "CompressionResult",
    "LayerResult",
    "ScanRow",
    "WeightPlan",
    "compress_model",
    "load_plan",
    "option_wish",
]
