"""Lowering of float operators to integer nodes: a file per operator family."""

from azsim.compiler.lower.conv import lower_conv
from azsim.compiler.lower.elementwise import (
    lower_elementwise,
    lower_look_up,
    lower_quantize,
    lower_relu,
)
from azsim.compiler.lower.linear import lower_matmul
from azsim.compiler.lower.lstm import lower_lstm
from azsim.compiler.lower.moves import (
    lower_concat,
    lower_embed,
    lower_reshape,
    lower_slice,
    lower_take,
    lower_transpose,
)
from azsim.compiler.lower.softmax import lower_softmax
from azsim.compiler.lower.spatial import lower_blend, lower_pool

LOWERINGS = {
    "MatMul": lower_matmul,
    "Conv": lower_conv,
    "Pool": lower_pool,
    "Blend": lower_blend,
    "LSTM": lower_lstm,
    "Add": lower_elementwise,
    "Mul": lower_elementwise,
    "Relu": lower_relu,
    "Sigmoid": lower_look_up,
    "Tanh": lower_look_up,
    "Softmax": lower_softmax,
    "Concat": lower_concat,
    "Slice": lower_slice,
    "Take": lower_take,
    "Embed": lower_embed,
    "Reshape": lower_reshape,
    "Transpose": lower_transpose,
    "Quantize": lower_quantize,
}

__all__ = ["LOWERINGS"]
