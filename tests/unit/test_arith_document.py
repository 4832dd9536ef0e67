"""docs/arithmetic.md says what the code does: each of its examples runs on kernel and reference."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from azsim_kernels import arith, execute, isa
from azsim_kernels.reference import arith as reference_arith
from azsim_kernels.reference import arith_rows
from azsim_kernels.reference import execute as reference_execute

pytestmark = pytest.mark.small

PAGE = (Path(__file__).parents[2] / "docs" / "arithmetic.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```example\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
COMMANDS = [
    yaml.safe_load(block)
    for block in re.findall(r"^```command\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]
TENSOR = re.compile(r"(int8|int16|int32) (\[.*\])")
TYPES = ["int8", "int16", "int32"]
OUTPUTS = ("dst", "c_out", "h_out", "y_out")
PARAMETERS = {
    "multiplier": np.int32, "bias": np.int32, "shift": np.int8, "gamma": np.int32, "beta": np.int32,
}  # fmt: skip
ABUF_BYTES = 768


def test_every_rule_and_opcode_has_an_example():
    rules = {line.partition("(")[0] for line in LINES}
    assert rules >= {
        "rsqrt", "ln",
        "sat8", "sat16", "sat32", "rounded_shift", "rescale", "quantize_multiplier", "sigmoid",
        "tanh", "exp", "reciprocal",
    }  # fmt: skip
    assert [command["opcode"] for command in COMMANDS] == [
        "PRODUCT", "RESCALE", "RESCALE", "COPY", "REQUANT", "ADD", "MUL", "LUT", "LSTM_CELL",
        "SOFTMAX", "LOG_SOFTMAX", "LUT8", "EXTREME", "SELECT", "REDUCE", "DEPTHWISE", "ARGREDUCE",
        "NORM", "GRU_CELL", "PACK",
    ]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_scalar_examples(line):
    call, _, want = line.rpartition(" = ")
    name, arguments = re.fullmatch(r"(\w+)\((.*)\)", call).groups()
    values = ast.literal_eval(f"({arguments},)")
    wanted = ast.literal_eval(want)
    module = reference_arith if hasattr(reference_arith, name) else arith_rows
    got = getattr(module, name)(*values)
    assert (tuple(map(int, got)) if isinstance(got, tuple) else int(got)) == wanted
    if name != "quantize_multiplier":
        assert getattr(arith, name)(*values) == wanted


class Example:
    """A command of the page, laid out in memories of its own."""

    def __init__(self, command: dict) -> None:
        self.opcode = isa.OPCODE_NAMES.index(command["opcode"])
        self.names = isa.OPCODE_ARGS[self.opcode]
        self.arg = np.zeros(isa.N_ARGS, dtype=np.int64)
        self.abuf = np.zeros(ABUF_BYTES, dtype=np.uint8)
        self.next = 8
        self.result = dict(command["result"])
        self.accumulators = np.array(command.get("accumulators", [[0]]), dtype=np.int32)
        self.weights = np.zeros(0, dtype=np.int8)
        fields = {k: v for k, v in command.items() if k in self.names or k == "weights"}
        unknown = set(command) - set(fields) - {"opcode", "lanes", "accumulators", "result"}
        assert not unknown, f"no operand of {command['opcode']}: {unknown}"
        for name, value in fields.items():
            self._set(name, value)
        for name in OUTPUTS:
            if name in self.names:
                self.arg[self.names.index(name)] = self._place(np.zeros(64, np.uint8))

    def _place(self, array: np.ndarray) -> int:
        """Put an array into ABUF and return its address."""
        address, data = self.next, array.view(np.uint8)
        self.abuf[address : address + data.size] = data
        self.next = -(-(address + data.size) // 4) * 4
        assert self.next <= ABUF_BYTES
        return address

    def _set(self, name: str, value: object) -> None:
        """Set an operand: a number, a tensor (and with it its type), parameters, or a table."""
        if name == "table" and isinstance(value, dict):
            table = np.zeros(256, np.int8)
            for x, y in value.items():
                table[x + 128] = y
            value = self._place(table)
        elif isinstance(value, dict):
            parts = [np.array(row, dtype=PARAMETERS[k]).view(np.uint8) for k, row in value.items()]
            value = self._place(np.concatenate(parts))
        elif isinstance(value, str):
            element, array = tensor(value)
            if name == "weights":
                self.weights = array
                return
            if f"{name}_type" in self.names:
                self.arg[self.names.index(f"{name}_type")] = element
            value = self._place(array)
        self.arg[self.names.index(name)] = value

    def run(self, module) -> tuple[int, np.ndarray, np.ndarray]:
        """Status, ABUF and accumulators afterwards."""
        abuf, accumulators = self.abuf.copy(), self.accumulators.copy()
        if self.opcode == isa.PRODUCT:
            status = module.mac_accumulate(self.arg, self.weights, abuf, accumulators)
        elif self.opcode == isa.PACK:
            self.weights = np.zeros(64, np.int8)
            status = module.pack_matrix(self.arg, self.weights, abuf)
        else:
            status = module.execute_vector(self.opcode, self.arg, abuf, accumulators)
        return status, abuf, accumulators


def tensor(text: str) -> tuple[int, np.ndarray]:
    """Read 'int8 [1, 2]'."""
    name, values = TENSOR.fullmatch(text).groups()
    return TYPES.index(name), np.array(ast.literal_eval(values), dtype=name)


@pytest.mark.parametrize("module", [execute, reference_execute], ids=["kernel", "reference"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command["opcode"])
def test_command_examples(command, module):
    example = Example(command)
    if "lanes" in command:
        assert example.accumulators.shape[0] == command["lanes"]
    status, abuf, accumulators = example.run(module)
    assert status == isa.DONE
    for name, value in example.result.items():
        if name == "accumulators":
            assert accumulators.tolist() == value
            continue
        element, want = tensor(value)
        if name == "weights":
            assert example.weights[: want.size].tolist() == want.tolist()
            continue
        if f"{name}_type" in example.names:
            assert example.arg[example.names.index(f"{name}_type")] == element
        address = example.arg[example.names.index(name)]
        got = abuf[address : address + want.nbytes].view(want.dtype)
        assert got.tolist() == want.tolist()
