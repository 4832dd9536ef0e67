"""Beats of the VECTOR commands after SOFTMAX, worked by hand.

4 elements per beat; 4 banks of 8 bytes: address a lies in bank (a / 8) mod 4.
"""

from __future__ import annotations

from azsim_kernels import isa

M, S = 1 << 30, 30  # multiplier and shift of 1.0
I8, I16, I32 = isa.INT8, isa.INT16, isa.INT32

# opcode, operands, beats, elements, conflict cycles
MORE_BEATS: list[tuple[int, list[int], int, int, int]] = [
    # 64 beats read the table, one access each; then src 0, 4, 8 (banks 0 0 1), dst 24, 28, 32
    # (3 3 0): nothing meets.
    (isa.LUT8, [0, 9, 24, 256], 64 + 3, 9, 0),
    (isa.LUT8, [0, 9, 32, 256], 64 + 3, 9, 3),  # dst 32, 36, 40: banks 0 0 1, as src
    # as ADD with a period of 3: beat 1 reads b[1] = 33, bank 0, as a does.
    (isa.EXTREME, [0, I8, 32, I8, 16, I8, 8, M, M, S, 0, 0, 0, 1, 3], 2, 8, 2),
    # int16: cond 0, 4 (bank 0); a 8, 16 (1, 2); b[0], b[4 mod 3 = 1]: 24, 26 (3); dst 96, 104
    # (0, 1): beat 0 meets in bank 0, beat 1 nowhere.
    (isa.SELECT, [0, 8, 24, 96, 8, 2, 8, 8, 3], 2, 8, 1),
    # cond of period 1 stays at 8 (bank 1): beat 1 reads a at 16 (2), b at 64 (0), dst 104 (1).
    (isa.SELECT, [8, 8, 64, 96, 8, 2, 1, 8, 4], 2, 8, 1 + 1),
    # 5 channels, 1 x 2 outputs, 2 x 2 taps: two groups of channels, each four taps and one
    # result: 2 x 2 x 5 beats of one access; 40 elements.
    (isa.REDUCE, [0, 96, 5, 1, 2, 2, 2, 30, 5, 10, 5, 0, M, S, 0, 0], 20, 40, 0),
    # One channel, taps side by side: rows of 9 taps in 3 beats, a result each: 3 x (3 + 1).
    (isa.REDUCE, [0, 96, 1, 1, 3, 1, 9, 0, 9, 0, 1, 0, M, S, 0, 0], 12, 27, 0),
    # the same taps two bytes apart: a beat each.
    (isa.REDUCE, [0, 96, 1, 1, 3, 1, 9, 0, 9, 0, 2, 0, M, S, 0, 0], 30, 27, 0),
    # two channels, one byte apart or not: a beat per tap.
    (isa.REDUCE, [0, 96, 2, 1, 1, 1, 9, 0, 0, 0, 1, 0, M, S, 0, 0], 10, 18, 0),
    # 2 x 3 taps side by side, one output: two rows of one beat each, and the result.
    (isa.REDUCE, [0, 96, 1, 1, 1, 2, 3, 0, 0, 3, 1, 1, M, S, 0, 0], 3, 6, 0),
    # 6 channels, one output, taps at 0 and 6. Group 0: 0 (0) + weights 32 (0): +1; 6 (0) + 38 (0):
    # +1; close: params 64 (0), 88 (3), 112 (2), dst 128 (0): +1. Group 1: 4 (0) + 36 (0): +1;
    # 10 (1) + 42 (1): +1; close: 80 (2), 104 (1), 116 (2), 132 (0): +1.
    (isa.DEPTHWISE, [0, 128, 6, 1, 1, 1, 2, 0, 0, 0, 6, 32, 64, 0, 0, 6], 6, 12, 6),
    # a second output at src 12, dst 136 (stride 8): group 0: 12 (1) + 32 (0), 18 (2) + 38 (0):
    # none; close: 0 3 2, dst 136 (1): none; group 1: 16 (2) + 36 (0), 22 (2) + 42 (1): none; close:
    # 2 1 2, dst 140 (1): +1.
    (isa.DEPTHWISE, [0, 128, 6, 1, 2, 1, 2, 0, 12, 0, 6, 32, 64, 0, 0, 8], 12, 24, 7),
    # rows of 6: two beats and a result for each of 2 passes, 2 rows; one access each.
    (isa.ARGREDUCE, [0, 2, 6, 64, 0, 2, -1], 2 * 2 * 3, 24, 0),
    # with values: results at 64, 68, 72, 76 (banks 0 0 1 1), values at 71 to 74 (0 1 1 1).
    (isa.ARGREDUCE, [0, 2, 6, 64, 0, 2, 71], 12, 24, 3),
    # One row of 8 int8: sums 0, 4; then 0 (0), gamma 32 (0), beta 64 (0), dst 96 (0): +3; 4 (0),
    # 48 (2), 80 (2), 100 (0): +1.
    (isa.NORM, [0, I8, 1, 8, 96, I8, 32, 0, 1, 40, 0, 0], 4, 8, 4),
    # int16 to int16: 0 (0), 32 (0), 64 (0), 104 (1): +2; 8 (1), 48 (2), 80 (2), 112 (2): +2.
    (isa.NORM, [0, I16, 1, 8, 104, I16, 32, 0, 1, 40, 0, 0], 4, 8, 4),
    # as SOFTMAX: two rows of 6 columns, one bank further.
    (isa.LOG_SOFTMAX, [0, 2, 6, 40, M, S, M, S, 0], 4, 12, 0),
    (isa.LOG_SOFTMAX, [0, 2, 6, 3, M, S, M, S, 0], 4, 12, 3),
    # 3 rows of 6: two beats each; the slot has its own port.
    (isa.PACK, [1, 0, 3, 6, 6, 1], 6, 18, 0),
    # hidden 8 with reset: z 0, r 16, n_x 32, n_h 48, h_in 64, h_out 80, y 96 (banks 0 2 0 2 0 2 0):
    # four in bank 0, +3; then 8, 24, 40, 56, 72, 88, 100 (1 3 1 3 1 3 0): +2.
    (isa.GRU_CELL, [0, 16, 32, 48, 64, 80, 96, 8, 1, M, S, 0], 2, 8, 5),
    # without: 0, 32, 64, 80, 96 (0 0 0 2 0): +3; 8, 40, 72, 88, 100 (1 1 1 3 0): +2.
    (isa.GRU_CELL, [0, 16, 32, 48, 64, 80, 96, 8, 0, M, S, 0], 2, 8, 5),
    # LSTM_CELL of three gates: 0, 16, 32 (0 2 0), c 64 (0), 80 (2), h 104 (1): +2; 8, 24, 40
    # (1 3 1), 72 (1), 88 (3), 108 (1): +3.
    (isa.LSTM_CELL, [0, 64, 80, 104, 8, 12, M, S, 0, isa.COUPLE_INPUT], 2, 8, 5),
    # c_in 120 (3): 0 2 0 3 2 1: +1; then 1 3 1, 128 (0), 3, 1: +2.
    (isa.LSTM_CELL, [0, 120, 80, 104, 8, 12, M, S, 0, isa.COUPLE_FORGET], 2, 8, 3),
]

# Operands of each class for the test of latency and interval, and their beats.
EIGHT: dict[int, tuple[list[int], int]] = {
    isa.LUT8: ([0, 8, 24, 256], 66),
    isa.EXTREME: ([0, I8, 32, I8, 16, I8, 8, M, M, S, 0, 0, 0, 1, 3], 2),
    isa.SELECT: ([0, 8, 24, 96, 8, 2, 8, 8, 3], 2),
    isa.REDUCE: ([0, 96, 5, 1, 2, 2, 2, 30, 5, 10, 5, 0, M, S, 0, 0], 20),
    isa.ARGREDUCE: ([0, 2, 6, 64, 0, 2, -1], 12),
    isa.NORM: ([0, I8, 1, 8, 96, I8, 32, 0, 1, 40, 0, 0], 4),
    isa.LOG_SOFTMAX: ([0, 2, 6, 40, M, S, M, S, 0], 4),
    isa.DEPTHWISE: ([0, 128, 6, 1, 1, 1, 2, 0, 0, 0, 6, 32, 64, 0, 0, 6], 6),
    isa.PACK: ([1, 0, 3, 6, 6, 1], 6),
    isa.GRU_CELL: ([0, 16, 32, 48, 64, 80, 96, 8, 1, M, S, 0], 2),
}
