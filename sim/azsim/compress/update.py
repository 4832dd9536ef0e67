"""Bytes of an over-the-air update from one model to another of the same graph.

The device keeps the old model. What it needs is every piece of the new one whose bytes differ:
tiles and tables of the weight streams, parameters of rows, constants, and blocks of commands. Each
piece comes with a record of what it replaces. `update_file` writes them and puts them to use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from azsim.api import PlanWishes
from azsim.compiler import compress_weights
from azsim.compiler.compress import compress_graph
from azsim.compiler.emit.program import emit_program
from azsim.compiler.place import place_graph
from azsim.compiler.residency import place_weights
from azsim.compiler.spill.states import fit_graph
from azsim.compiler.tile import tile_graph
from azsim.compress.material import noise_frames
from azsim.compress.measure import ranges_and_outputs
from azsim.compress.pieces import Key, Kind, Pieces, check_pieces, dram_regions, take_apart
from azsim.compress.same_graph import check_same_graph
from azsim.config import ChipConfig
from azsim.errors import ModelError
from azsim.frontend import load_inputs, read_onnx
from azsim.graph import Graph
from azsim.program import Program

HEADER_BYTES = 64
RECORD_BYTES = 16
CONSTANTS, PROGRAM = "constants", "program"  # rows of the table beside the matrices
COMPILE_STEPS = 4  # told of as progress
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CompiledPieces:
    """A model as `chip` holds it: `pieces` in order, `rows` the row of the table that each region
    of DRAM and each matrix belongs to."""

    program: Program = field(repr=False)
    pieces: Pieces = field(repr=False)
    matrices: tuple[str, ...]
    regions: tuple[str, ...]
    tiles: Mapping[str, int]

    def row_of(self, key: Key) -> str:
        """Name of the row that counts a piece."""
        if key.kind in (Kind.TILE, Kind.TABLE):
            return self.matrices[key.matrix] if key.matrix < len(self.matrices) else CONSTANTS
        if key.kind is Kind.DATA:
            return self.regions[key.number] if key.number < len(self.regions) else CONSTANTS
        return PROGRAM


@dataclass(frozen=True)
class UpdateRow:
    """What changes of one matrix, or of the constants or the program (no tiles then).

    `tile_bytes`, `table_bytes`, `other_bytes`: of the new model's changed pieces; `new_bytes` of
    all its pieces; `records` counts changed pieces and those that are no more.
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
    """An update from model `old` to model `new` on `chip`. `changes`: the new bytes of each piece
    that differs, none for one that is no more."""

    old: str
    new: str
    chip: str
    profile: str
    rows: tuple[UpdateRow, ...]
    pieces: int
    changes: Pieces = field(default_factory=dict, repr=False)
    programs: tuple[Program, ...] = field(default=(), repr=False)

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
    progress: Progress | None = None,
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
    tell = progress or unwatched
    before = compile_pieces(first, chip, input, tell)
    after = compile_pieces(second, chip, input, tell)
    changes = _changes(before.pieces, after.pieces)
    names = dict.fromkeys([*after.matrices, *map(after.row_of, after.pieces), PROGRAM])
    rows = tuple(_row(name, before, after, changes) for name in names)
    return Update(
        Path(old).name, Path(new).name, chip.name, chip.decoder.profile, rows, len(after.pieces),
        changes, (before.program, after.program),
    )  # fmt: skip


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


def _changes(before: Pieces, after: Pieces) -> dict[Key, bytes]:
    found = {key: content for key, content in after.items() if before.get(key) != content}
    found.update({key: b"" for key in before if key not in after})
    return dict(sorted(found.items()))


def _row(name: str, before: CompiledPieces, after: CompiledPieces, changes: Pieces) -> UpdateRow:
    def holder(key: Key) -> CompiledPieces:
        return after if key in after.pieces else before

    changed = {key: size for key, size in changes.items() if holder(key).row_of(key) == name}

    def size(*kinds: Kind) -> int:
        return sum(len(content) for key, content in changed.items() if key.kind in kinds)

    others = tuple(kind for kind in Kind if kind not in (Kind.TILE, Kind.TABLE))
    return UpdateRow(
        name,
        after.tiles.get(name, 0),
        sum(key.kind is Kind.TILE and key in after.pieces for key in changed),
        size(Kind.TILE),
        size(Kind.TABLE),
        size(*others),
        sum(len(piece) for key, piece in after.pieces.items() if after.row_of(key) == name),
        len(changed),
    )


def compile_pieces(
    graph: Graph, chip: ChipConfig, input: str | Path | None, tell: Progress
) -> CompiledPieces:
    """Compile a model and take it apart; what the pieces make again is checked.

    Raises:
        AzsimError: frames that do not fit, or a model that the chip cannot hold.
    """
    frames = noise_frames(graph) if input is None else load_inputs(input, graph, None).frames
    ranges, _ = ranges_and_outputs(graph, frames, tell)
    tell("compiling", 0, COMPILE_STEPS)
    integers = fit_graph(compress_weights(graph, ranges, PlanWishes().plan(graph)), chip)
    tell("compiling", 1, COMPILE_STEPS)
    tilings = tile_graph(integers, chip)
    tensors = compress_graph(integers, tilings, chip)
    tell("compiling", 2, COMPILE_STEPS)
    residency = place_weights(tensors, chip)
    placement = place_graph(integers, tilings, chip)
    program = emit_program(integers, tilings, placement, residency, chip)
    weights = list(tensors.values())
    pieces = take_apart(program, weights, residency)
    tell("compiling", 3, COMPILE_STEPS)
    check_pieces(pieces, program, chip)
    tell("compiling", COMPILE_STEPS, COMPILE_STEPS)
    tiles = {tensor.name: tensor.tiles for tensor in weights}
    regions = tuple(_row_name(region.name, tiles) for region in dram_regions(program))
    return CompiledPieces(program, pieces, tuple(tiles), regions, tiles)


def _row_name(region: str, matrices: Mapping[str, int]) -> str:
    matrix, _, last = region.rpartition("/")
    return matrix if last == "parameters" and matrix in matrices else CONSTANTS


def unwatched(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
