"""Lowering of float operators to integer nodes: a file per operator family."""

from azsim.compiler.lower.conv import lower_conv
from azsim.compiler.lower.elementwise import (
    lower_elementwise,
    lower_extreme,
    lower_quantize,
    lower_relu,
)
from azsim.compiler.lower.functions import lower_function, lower_look_up
from azsim.compiler.lower.gru import lower_gru
from azsim.compiler.lower.linear import lower_matmul
from azsim.compiler.lower.lstm import lower_lstm
from azsim.compiler.lower.moves import (
    lower_concat,
    lower_embed,
    lower_expand,
    lower_reshape,
    lower_slice,
    lower_take,
    lower_transpose,
)
from azsim.compiler.lower.rows import (
    lower_arg_reduce,
    lower_mat_mul_rows,
    lower_norm,
    lower_reduce,
    lower_top_k,
    lower_where,
)
from azsim.compiler.lower.softmax import lower_softmax
from azsim.compiler.lower.spatial import lower_blend, lower_pool

LOWERINGS = {
    "MatMul": lower_matmul,
    "Conv": lower_conv,
    "Pool": lower_pool,
    "Blend": lower_blend,
    "LSTM": lower_lstm,
    "GRU": lower_gru,
    "Add": lower_elementwise,
    "Sub": lower_elementwise,
    "Mul": lower_elementwise,
    "Min": lower_extreme,
    "Max": lower_extreme,
    "Function": lower_function,
    "Where": lower_where,
    "Reduce": lower_reduce,
    "ArgReduce": lower_arg_reduce,
    "TopK": lower_top_k,
    "Norm": lower_norm,
    "MatMulRows": lower_mat_mul_rows,
    "Relu": lower_relu,
    "Sigmoid": lower_look_up,
    "Tanh": lower_look_up,
    "Softmax": lower_softmax,
    "LogSoftmax": lower_softmax,
    "Expand": lower_expand,
    "Concat": lower_concat,
    "Slice": lower_slice,
    "Take": lower_take,
    "Embed": lower_embed,
    "Reshape": lower_reshape,
    "Transpose": lower_transpose,
    "Quantize": lower_quantize,
}

__all__ = ["LOWERINGS"]
