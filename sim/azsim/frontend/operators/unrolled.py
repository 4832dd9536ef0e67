"""Recurrent nodes that the machine has no command for, written out step by step.

RNN, and LSTM or GRU with other activations, a clip or peepholes: one product of all steps with W,
then for each step a product of the state with R and the cell's own arithmetic. All steps share
the stream of R.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from azsim.frontend.node import Array
from azsim.frontend.operators.activations import activations_of, clipped
from azsim.frontend.operators.directions import INITIAL_C, INITIAL_H, B, P, R, Run, W
from azsim.frontend.parts import Parts
from azsim.graph import StoredIntegers

MAX_STEPS = 512  # each becomes 3 (RNN) to 20 (LSTM) nodes


class Unrolled:
    """One direction of one node. Values of a step have shape (1, batch, ..)."""

    def __init__(self, run: Run, x: str) -> None:
        self.run = run
        self.node = run.node
        self.parts = Parts(run.node, run.builder, run.label(""))
        self.hidden = run.node.require(R).shape[2]
        self.clip = abs(run.node.real("clip", 0.0))
        formulas = activations_of(run.node) or []
        count = len(formulas) // (2 if not run.only else 1)
        self.formulas = formulas[run.index * count : (run.index + 1) * count]
        self.steps = self.parts.shape(x)[0]
        self.h, self.c = run.initial(INITIAL_H), run.initial(INITIAL_C)
        self._weights: dict[tuple[int, int], str] = {}
        self.given = self._given(x)

    # -- constants ------------------------------------------------------------------------------

    def _share(self, position: int) -> tuple[Array, StoredIntegers | None]:
        """This direction's part of W or R: (gates * hidden, inputs) and its integers."""
        operand = self.node.require(position)
        assert operand.data is not None  # a rule
        index = self.run.index
        stored = operand.stored
        if stored is not None:
            scale = stored.scale[index if stored.scale.shape[0] > 1 else 0]
            stored = replace(stored, integers=stored.integers[index], scale=scale)
        return operand.data[index], stored

    def _matrix(self, role: str, position: int, first: int, end: int) -> str:
        """Rows of some gates of W or R as the matrix that a product takes, (inputs, rows)."""
        data, stored = self._share(position)
        rows = slice(first * self.hidden, end * self.hidden)
        if stored is not None:
            scale = stored.scale[rows] if stored.scale.shape[0] > 1 else stored.scale
            stored = replace(stored, integers=stored.integers[rows].T, scale=scale.T)
        return self.parts.constant(role, data[rows].T, stored)

    def bias(self, first: int, end: int, halves: tuple[int, ...] = (0, 1)) -> Array | None:
        """The sum of the biases of W (half 0) and of R (half 1) of some gates; None if all 0."""
        operand = self.node.operand(B)
        if operand is None or operand.data is None:
            return None
        both = operand.data[self.run.index].reshape(2, -1)
        total = np.sum([both[half] for half in halves], axis=0)
        part = total[first * self.hidden : end * self.hidden]
        return part if np.any(part) else None

    def peephole(self, gate: int) -> Array | None:
        """The peephole weights of gate 0 (input), 1 (output) or 2 (forget); None if all 0."""
        operand = self.node.operand(P)
        if operand is None or operand.data is None:
            return None
        part = operand.data[self.run.index][gate * self.hidden : (gate + 1) * self.hidden]
        return part if np.any(part) else None

    # -- arithmetic -----------------------------------------------------------------------------

    def _given(self, x: str) -> str:
        """What the input gives to all gates in all steps: (steps, batch, gates * hidden)."""
        gates = self.node.require(R).shape[1] // self.hidden
        product = self.parts.put("input", "MatMul", x, self._matrix("W", W, 0, gates))
        if self.node.operator != "GRU":
            return self.add_row("bias", product, self.bias(0, gates))
        both, last = self.bias(0, 2), self.bias(2, 3, self.candidate_halves())
        rows = [np.zeros(n * self.hidden) if a is None else a for n, a in ((2, both), (1, last))]
        return self.add_row("bias", product, np.concatenate(rows))

    def candidate_halves(self) -> tuple[int, ...]:
        """The biases outside the product with the reset gate."""
        return (0,) if self.node.whole("linear_before_reset", 0) else (0, 1)

    def add_row(self, part: str, source: str, row: Array | None) -> str:
        """`source` plus a constant row."""
        if row is None or not np.any(row):
            return source
        return self.parts.put(part, "Add", source, self.parts.constant(part, row))

    def recur(self, state: str, first: int, end: int) -> str:
        """The state times R of some gates; "" where the state is 0, as before the first step."""
        if not state or not np.any(self._share(R)[0]):
            return ""
        if (first, end) not in self._weights:
            self._weights[first, end] = self._matrix("R", R, first, end)
        return self.parts.put("recurrent", "MatMul", state, self._weights[first, end])

    def plus(self, part: str, a: str, b: str) -> str:
        """a + b, where "" is 0."""
        return self.parts.put(part, "Add", a, b) if a and b else a or b

    def times(self, part: str, a: str, b: str) -> str:
        """a * b, where "" is 0."""
        return self.parts.put(part, "Mul", a, b) if a and b else ""

    def activate(self, part: str, source: str, which: int) -> str:
        """One of the node's activations, behind the clip."""
        return self.parts.function(part, source, clipped(self.formulas[which], self.clip))

    def gate(self, source: str, index: int, first: int = 0) -> str:
        """The columns of one gate in values that begin with gate `first`."""
        start = (index - first) * self.hidden
        return self.parts.slice("gate", source, 2, start, start + self.hidden)

    def given_at(self, step: int) -> str:
        """What the input gives in one step."""
        return self.parts.slice("step", self.given, 0, step, step + 1)

    # -- cells ----------------------------------------------------------------------------------

    def step_rnn(self, step: int) -> None:
        """h = f(W x + R h + b)."""
        both = self.plus("sum", self.given_at(step), self.recur(self.h, 0, 1))
        self.h = self.activate("h", both, 0)

    def step_gru(self, step: int) -> None:
        """Gates z, r, h of ONNX's GRU; (1 - z) n + z h is n + z (h - n)."""
        given, linear = self.given_at(step), self.node.whole("linear_before_reset", 0)
        turned = self.recur(self.h, 0, 3 if linear else 2)
        both = self.parts.slice("gates", given, 2, 0, 2 * self.hidden)
        if turned:
            gates = self.parts.slice("turned", turned, 2, 0, 2 * self.hidden)
            both = self.plus("sum", both, gates)
        update = self.activate("z", self.gate(both, 0), 0)
        new = self._candidate(given, turned, both)
        if self.h:
            change = self.parts.put("change", "Sub", self.h, new)
            self.h = self.plus("h", new, self.times("kept", update, change))
            return
        self.h = self.parts.put("h", "Sub", new, self.times("none", update, new))

    def _candidate(self, given: str, turned: str, both: str) -> str:
        reset_bias = self.bias(2, 3, (1,))
        linear = self.node.whole("linear_before_reset", 0)
        old = self.gate(turned, 2) if linear and turned else ""
        if linear and reset_bias is not None:
            row = self.parts.constant("reset_bias", reset_bias.reshape(1, 1, -1))
            old = self.plus("old", old, row)
        if linear and old:
            reset = self.activate("r", self.gate(both, 1), 0)
            old = self.times("reset", reset, old)
        elif turned:
            reset = self.activate("r", self.gate(both, 1), 0)
            old = self.recur(self.times("reset", reset, self.h), 2, 3)
        total = self.plus("candidate", self.gate(given, 2), old)
        return self.activate("n", total, 1)

    def step_lstm(self, step: int) -> None:
        """Gates i, o, f, c of ONNX's LSTM; with input_forget f is 1 - i."""
        all_gates = self._step_cell(step)
        leaving = self.activate("o", self._peeped(all_gates, 1, self.c), 0)
        self.h = self.times("h", leaving, self.parts.function("cell", self.c, self.formulas[2]))

    def last_cell(self, step: int) -> None:
        """A last step of which the cell alone is wanted."""
        self._step_cell(step)

    def _step_cell(self, step: int) -> str:
        all_gates = self.plus("sum", self.given_at(step), self.recur(self.h, 0, 4))
        old = self.c
        entering = self.activate("i", self._peeped(all_gates, 0, old), 0)
        new = self.times("new", entering, self.activate("g", self.gate(all_gates, 3), 1))
        kept = ""
        if old:
            if self.node.whole("input_forget", 0):
                forget = self.parts.function("f", entering, ("1.0", "x", "Sub"))
            else:
                forget = self.activate("f", self._peeped(all_gates, 2, old), 0)
            kept = self.times("kept", forget, old)
        self.c = self.plus("c", new, kept)
        return all_gates

    def _peeped(self, all_gates: str, index: int, cell: str) -> str:
        """The argument of a gate; its peephole looks at the cell."""
        argument, row = self.gate(all_gates, index), self.peephole(index)
        if row is None or not cell:
            return argument
        weights = self.parts.constant("peephole", row.reshape(1, 1, -1))
        return self.plus("peeped", argument, self.times("peephole", cell, weights))


def emit_unrolled(run: Run, x: str, outputs: tuple[str, ...]) -> None:
    """Put one direction step by step; `outputs` are the names of Y, Y_h, Y_c ("" for unused)."""
    cell = Unrolled(run, x)
    take = {"RNN": cell.step_rnn, "GRU": cell.step_gru, "LSTM": cell.step_lstm}[run.node.operator]
    results = []
    for step in range(cell.steps):
        if step == cell.steps - 1 and not any(outputs[:2]):
            take = cell.last_cell
        take(step)
        results.append(cell.h)
    parts = cell.parts
    if outputs[0]:
        joined = results[0]
        if len(results) > 1:
            joined = parts.put("all", "Concat", *results, attributes={"axis": 0})
        steps, batch, hidden = parts.shape(joined)
        parts.reshape(outputs[0], joined, (steps, 1, batch, hidden), outputs[0])
    for output, state in zip(outputs[1:], (cell.h, cell.c), strict=False):
        if output:
            parts.named(state, output)
