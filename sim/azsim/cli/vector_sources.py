"""Where the tile of `azsim vectors` comes from: weights, a stream, a program, or a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from azsim.api import PlanWishes
from azsim.calibration import noise_ranges
from azsim.cli.progress import progress_bars
from azsim.codec import encode_tensor, load_stream, load_weights_npy
from azsim.compiler import compile_graph
from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.frontend.branches import BranchedModel, read_either
from azsim.preparing import compile_program
from azsim.program import Program, load_program
from azsim.rtl_check import Case
from azsim.rtl_check.real_tiles import program_tile, stream_tile


@dataclass(frozen=True)
class TileWishes:
    """What the user said; None: not given. Each kind of file takes some of it."""

    tile: int = 0
    profile: str | None = None
    tile_weights: int | None = None
    chip: str | None = None
    overrides: list[str] | None = None
    calibrate: Path | None = None
    plan: PlanWishes = field(default_factory=PlanWishes)

    def refuse(self, source: Path, *names: str) -> None:
        """Raise ConfigError if one of the options `names` was given: `source` has no use for it."""
        given = {
            "--profile": self.profile,
            "--tile-weights": self.tile_weights,
            "--chip": self.chip,
            "--set": self.overrides,
            "--calibrate": self.calibrate,
            "--bits": self.plan.bits,
            "--sparsity": self.plan.sparsity,
            "--layer-bits": self.plan.layer_bits or None,
            "--layer-sparsity": self.plan.layer_sparsity or None,
        }
        for name in names:
            if given[name] is not None:
                raise ConfigError(f"{name}: must not be given for {source}")


FOR_MODELS = (
    "--chip", "--set", "--calibrate", "--bits", "--sparsity", "--layer-bits", "--layer-sparsity",
)  # fmt: skip
FOR_WEIGHTS = ("--profile", "--tile-weights")


def tile_cases(source: Path, wishes: TileWishes) -> tuple[str, list[Case]]:
    """Return (profile of a decoder that reads them, cases) of a tile of a file.

    The cases are the TABLE records that the tile needs and the tile, in the order they are sent.

    Raises:
        AzsimError: a file that cannot be read or compiled, a tile it does not have, or an option
            that does not belong to its kind.
    """
    kind = source.suffix.lower()
    if kind == ".npy":
        wishes.refuse(source, *FOR_MODELS)
        profile = wishes.profile or "bitmap"
        stream = encode_tensor(
            load_weights_npy(source), profile=profile, tile=wishes.tile_weights, name=str(source)
        )
        return profile, stream_tile(stream, wishes.tile)
    if kind == ".onnx":
        wishes.refuse(source, *FOR_WEIGHTS)
        return _program_cases(_compiled(source, wishes), wishes.tile)
    wishes.refuse(source, *FOR_MODELS, *FOR_WEIGHTS)
    if kind == ".azw":
        stream = load_stream(source)
        return stream.profile, stream_tile(stream, wishes.tile)
    if kind == ".azp":
        return _program_cases(load_program(source), wishes.tile)
    raise ConfigError(f"{source}: must be .onnx, .npy, .azw or .azp")


def _program_cases(program: Program, tile: int) -> tuple[str, list[Case]]:
    cases = program_tile(program, tile)
    return "ans" if any(case.table for case in cases) else "bitmap", cases


def _compiled(model: Path, wishes: TileWishes) -> Program:
    """Compile a model as `azsim run` does; without frames noise sets the activation scales."""
    chip = load_chip(wishes.chip or "az1", wishes.overrides or ())
    graph = read_either(model)
    if isinstance(graph, BranchedModel):
        raise ConfigError(
            f"{model}: has branches (If): compile it (azsim compile) and name the program of a part"
        )
    if wishes.calibrate is None:
        return compile_graph(graph, chip, noise_ranges(graph), wishes.plan.plan(graph)).program
    with progress_bars() as progress:
        return compile_program(graph, chip, wishes.calibrate, wishes.plan, progress)
