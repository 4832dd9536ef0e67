"""Bytes of an over-the-air update from one model to another of the same graph.

The device keeps the old model. What it needs is every piece of the new one whose bytes differ:
tiles and tables of the weight streams, parameters of rows, constants, and blocks of commands. Each
piece comes with a record of what it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.recfunctions import repack_fields

from azsim.api import PlanWishes
from azsim.compiler import compress_weights
from azsim.compiler.compress import compress_graph
from azsim.compiler.emit import emit_program
from azsim.compiler.place import place_graph
from azsim.compiler.residency import place_weights
from azsim.compiler.state_spill import fit_graph
from azsim.compiler.tile import tile_graph
from azsim.compress.material import noise_frames
from azsim.compress.measure import ranges_and_outputs
from azsim.config import ChipConfig
from azsim.errors import ModelError
from azsim.frontend import load_inputs, read_onnx
from azsim.graph import Graph, Node
from azsim.graph.text import one_line, quoted, shape_text
from azsim.program import Program
from azsim_kernels import isa

# of the file that an update would be; an assumption, as no such format is published
HEADER_BYTES = 64  # magic, version, chip, content of the old model, number of records, CRC
RECORD_BYTES = 16  # kind, matrix, number, length, CRC of one piece

TILE, TABLE, PARAMETERS, CONSTANTS, PROGRAM = "tile", "table", "parameters", "constants", "program"
Key = tuple[str, str, int]  # matrix or region, kind, number
BLOCK_COMMANDS = 64  # commands of one piece


@dataclass(frozen=True)
class Piece:
    """What is compared, and the bytes it takes."""

    content: bytes
    size: int


Pieces = Mapping[Key, Piece]


def _piece(array: npt.NDArray[Any]) -> Piece:
    return Piece(array.tobytes(), array.nbytes)


@dataclass(frozen=True)
class UpdateRow:
    """What changes of one matrix, or of the constants or the program (no tiles then).

    `tile_bytes`, `table_bytes`, `other_bytes`: of the new model's changed pieces; `new_bytes` of
    all its pieces.
    """

    name: str
    tiles: int
    changed_tiles: int
    tile_bytes: int
    table_bytes: int
    other_bytes: int
    new_bytes: int
    records: int

    @property
    def update_bytes(self) -> int:
        """Changed pieces with their records."""
        changed = self.tile_bytes + self.table_bytes + self.other_bytes
        return changed + self.records * RECORD_BYTES


@dataclass(frozen=True)
class Update:
    """An update from model `old` to model `new` on `chip`."""

    old: str
    new: str
    chip: str
    profile: str
    rows: tuple[UpdateRow, ...]
    pieces: int

    @property
    def update_bytes(self) -> int:
        """All changed pieces, their records and the header; 0 if nothing changes."""
        changed = sum(row.update_bytes for row in self.rows)
        return changed + HEADER_BYTES if changed else 0

    @property
    def full_bytes(self) -> int:
        """The same with every piece: what a device without the old model needs."""
        pieces = sum(row.new_bytes for row in self.rows)
        return pieces + self.pieces * RECORD_BYTES + HEADER_BYTES

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "old": self.old,
            "new": self.new,
            "chip": self.chip,
            "decoder_profile": self.profile,
            "update_bytes": self.update_bytes,
            "full_bytes": self.full_bytes,
            "tiles": sum(row.tiles for row in self.rows),
            "changed_tiles": sum(row.changed_tiles for row in self.rows),
            "header_bytes": HEADER_BYTES,
            "record_bytes": RECORD_BYTES,
            "layers": [{**asdict(row), "update_bytes": row.update_bytes} for row in self.rows],
        }


def diff_models(
    old: str | Path,
    new: str | Path,
    chip: ChipConfig,
    input: str | Path | None = None,
    dims: Mapping[str, int] | None = None,
) -> Update:
    """Compare two models of one graph as `chip` would hold them.

    Args:
        input: frames that set the scales of activations that no quantizer of the models sets; None
            takes a frame of noise, the same for both.
        dims: sizes of the dimensions that the models leave open.

    Raises:
        ModelError: a file that cannot be taken, or two different graphs.
        CompileError: a model that does not fit the chip.
    """
    first, second = _read_both(Path(old), Path(new), dims)
    check_same_graph(first, second, Path(old), Path(new))
    before, _ = _pieces(first, chip, input)
    after, tiles = _pieces(second, chip, input)
    names = list(dict.fromkeys(name for name, _, _ in after))
    rows = tuple(_row(name, before, after, tiles.get(name, 0)) for name in names)
    return Update(Path(old).name, Path(new).name, chip.name, chip.decoder.profile, rows, len(after))


def _read_both(old: Path, new: Path, dims: Mapping[str, int] | None) -> tuple[Graph, Graph]:
    """Read both models; only one of them may have its dimensions fixed already."""
    if not dims:
        return read_onnx(old), read_onnx(new)
    try:
        first = read_onnx(old, dims)
    except ModelError:
        return read_onnx(old), read_onnx(new, dims)
    try:
        return first, read_onnx(new, dims)
    except ModelError:
        return first, read_onnx(new)


def _row(name: str, before: Pieces, after: Pieces, tiles: int) -> UpdateRow:
    mine = {key: piece for key, piece in after.items() if key[0] == name}
    changed = {key: piece for key, piece in mine.items() if before.get(key) != piece}

    def size(*kinds: str) -> int:
        return sum(piece.size for key, piece in changed.items() if key[1] in kinds)

    return UpdateRow(
        name,
        tiles,
        sum(key[1] == TILE for key in changed),
        size(TILE),
        size(TABLE),
        size(PARAMETERS, CONSTANTS, PROGRAM),
        sum(piece.size for piece in mine.values()),
        len(changed),
    )


def _pieces(
    graph: Graph, chip: ChipConfig, input: str | Path | None
) -> tuple[dict[Key, Piece], dict[str, int]]:
    """Every piece of a compiled model, and how many tiles each matrix has."""
    frames = noise_frames(graph) if input is None else load_inputs(input, graph, None).frames
    ranges, _ = ranges_and_outputs(graph, frames, lambda stage, done, total: None)
    plan = PlanWishes().plan(graph)
    integers = fit_graph(compress_weights(graph, ranges, plan), chip)
    tilings = tile_graph(integers, chip)
    tensors = compress_graph(integers, tilings, chip)
    residency = place_weights(tensors, chip)
    placement = place_graph(integers, tilings, chip)
    program = emit_program(integers, tilings, placement, residency, chip)
    found: dict[Key, Piece] = {}
    tiles: dict[str, int] = {}
    for tensor in tensors.values():
        tiles[tensor.name] = tensor.tiles
        for number in range(tensor.tiles):
            words = tensor.words[tensor.offsets[number] : tensor.offsets[number + 1]]
            found[tensor.name, TILE, number] = _piece(words)
        for number, table in enumerate(tensor.tables):
            found[tensor.name, TABLE, number] = _piece(table)
    found.update(_regions(program, tiles))
    found.update(_commands(program, chip))
    return found, tiles


def _regions(program: Program, matrices: Mapping[str, int]) -> dict[Key, Piece]:
    """Parameters of rows, and what else lies in the DRAM image beside the weights."""
    found: dict[Key, Piece] = {}
    numbers: dict[tuple[str, str], int] = {}
    for region in program.regions:
        end = region.address + region.bytes
        if region.memory != "dram" or region.name == "weights" or end > program.dram.size:
            continue
        matrix, _, last = region.name.rpartition("/")
        is_row = last == "parameters" and matrix in matrices
        place = (matrix, PARAMETERS) if is_row else (CONSTANTS, CONSTANTS)
        number = numbers[place] = numbers.get(place, -1) + 1
        found[place[0], place[1], number] = _piece(program.dram[region.address : end])
    return found


def _commands(program: Program, chip: ChipConfig) -> dict[Key, Piece]:
    """Blocks of commands, each as many bytes as the chip fetches for it.

    Where pieces lie in DRAM, and how long they are, the device writes into the commands itself when
    it places the pieces: those operands are not compared.
    """
    # without padding between fields, whose bytes mean nothing
    commands = program.commands.astype(repack_fields(program.commands.dtype))
    opcodes = commands["opcode"]
    commands["arg"][opcodes == isa.FETCH] = 0
    commands["arg"][np.isin(opcodes, (isa.LOAD, isa.STORE, isa.GATHER)), 0] = 0
    found: dict[Key, Piece] = {}
    for number, begin in enumerate(range(0, len(commands), BLOCK_COMMANDS)):
        block = commands[begin : begin + BLOCK_COMMANDS]
        size = len(block) * chip.energy.command_bytes
        found[PROGRAM, PROGRAM, number] = Piece(block.tobytes(), size)
    return found


# -- the same graph? ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """A node as far as two models must agree: everything but numbers and names of values."""

    node: Node
    operator: str
    attributes: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def same(self, other: _Form) -> bool:
        mine = (self.operator, self.attributes, self.inputs, self.shapes)
        return mine == (other.operator, other.attributes, other.inputs, other.shapes)

    @property
    def text(self) -> str:
        shape = shape_text(self.shapes[0]) if self.shapes else "nothing"
        return f"{quoted(self.node.name)} ({self.operator} to {shape})"


def check_same_graph(old: Graph, new: Graph, old_path: Path, new_path: Path) -> None:
    """Refuse two graphs that differ in more than numbers, names of values and quantizers.

    Raises:
        ModelError: where they differ first.
    """
    first, second = _forms(old), _forms(new)
    where = f"{new_path}: must have the graph of {old_path}"
    for number, (a, b) in enumerate(zip(first, second, strict=False)):
        if a.same(b):
            continue
        same_text = "with the same inputs and attributes" if a.text == b.text else f"not {b.text}"
        raise ModelError(one_line(f"{where}: operator {number + 1} must be {a.text}, {same_text}"))
    if len(first) != len(second):
        raise ModelError(one_line(f"{where}, of {len(first)} operators, not {len(second)}"))
    ends = [(len(g.inputs), len(g.outputs), len(g.states)) for g in (old, new)]
    if ends[0] != ends[1]:
        raise ModelError(one_line(f"{where}: inputs, outputs and states must be as many"))


def _forms(graph: Graph) -> list[_Form]:
    refs = {name: f"input {k}" for k, name in enumerate(graph.inputs)}
    refs.update({pair.source: f"state {k}" for k, pair in enumerate(graph.states)})
    found: list[_Form] = []
    for node in graph.nodes:
        if _is_same_value(graph, node):
            refs[node.outputs[0]] = _reference(graph, refs, node.inputs[0])
            continue
        for place, name in enumerate(node.outputs):
            refs[name] = f"result {place} of {len(found)}"
        found.append(
            _Form(
                node,
                node.operator,
                tuple(sorted((key, str(value)) for key, value in node.attributes.items())),
                tuple(_reference(graph, refs, name) for name in node.inputs),
                tuple(graph.values[name].shape for name in node.outputs if name),
            )
        )
    return found


def _is_same_value(graph: Graph, node: Node) -> bool:
    """True for a quantizer, and for what only gives a value another name."""
    if node.operator == "Quantize":
        return True
    shapes = [graph.values[name].shape for name in (node.inputs[0], node.outputs[0])]
    return node.operator == "Reshape" and shapes[0] == shapes[1]


def _reference(graph: Graph, refs: Mapping[str, str], name: str) -> str:
    """What an input is: a result, a graph input, or a constant of some shape."""
    if name in refs or not name:
        return refs.get(name, "")
    return f"constant {shape_text(graph.values[name].shape)}"
