"""Format study: a model with every decoder profile, tile size and width that a chip could have."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from azsim._atomic import cannot_write, output_place, save_text
from azsim.api import PlanWishes, run
from azsim.compiler import WEIGHT_BITS
from azsim.compress.material import noise_frames
from azsim.compress.measure import Tell
from azsim.config import ChipConfig, override_chip
from azsim.errors import AzsimError, ConfigError
from azsim.frontend import Inputs, load_inputs
from azsim.frontend.branches import BranchedModel, read_either
from azsim.graph import Graph
from azsim.program import Program
from azsim.report.compress_figures import save_formats_figure
from azsim.report.record import RunRecord
from azsim.session import Session
from azsim_kernels import isa

PROFILES = ("none", "bitmap", "ans")
TILES = (4096, 8192, 16384, 32768, 65536)
PJ_PER_UJ = 1e6


@dataclass(frozen=True)
class FormatRow:
    """One profile, tile size (weights of a WBUF slot) and width; figures are None where `problem`
    says why the chip cannot have it.

    `stream_bytes` with tables; `decoder_cycles`: of all tiles once, with words always there;
    `frame_ms`: median latency of a frame; `energy_uj`: per frame, nominal; `own`: the chip's own
    profile and tile size at the model's own widths.
    """

    profile: str
    tile: int
    bits: int
    own: bool
    stream_bytes: int | None = None
    bits_per_weight: float | None = None
    decoder_cycles: int | None = None
    cycles_per_frame: float | None = None
    frame_ms: float | None = None
    energy_uj: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class FormatStudy:
    """All rows, profiles first, then tiles, then widths from the widest."""

    model: str
    chip: str
    frames: str
    rows: tuple[FormatRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "model": self.model,
            "chip": self.chip,
            "frames": self.frames,
            "formats": [asdict(row) for row in self.rows],
        }


@dataclass(frozen=True)
class Choices:
    """What is tried.

    Raises:
        ConfigError: nothing to try, or a word that is no profile, tile size or width.
    """

    profiles: Sequence[str] = PROFILES
    tiles: Sequence[int] = TILES
    bits: Sequence[int] = WEIGHT_BITS

    def __post_init__(self) -> None:
        _check("--profiles", self.profiles, PROFILES)
        _check("--bits", self.bits, WEIGHT_BITS)
        for tile in self.tiles:
            if tile % 256 or not 256 <= tile <= 65536:
                raise ConfigError(
                    f"--tiles: must be multiples of 256 from 256 to 65536, not {tile}"
                )
        if not self.tiles:
            raise ConfigError("--tiles: must name at least one tile size")


def _check(option: str, given: Sequence[object], known: Sequence[object]) -> None:
    words = ", ".join(map(str, known))
    if not given:
        raise ConfigError(f"{option}: must name at least one of {words}")
    for word in given:
        if word not in known:
            raise ConfigError(f"{option}: must be of {words}, not {word}")


def study_formats(
    model: str | Path,
    chip: ChipConfig,
    choices: Choices,
    input: str | Path | None = None,
    frames: int | None = None,
    dims: Mapping[str, int] | None = None,
    tell: Tell | None = None,
) -> FormatStudy:
    """Compile and time `model` on `chip` in every format of `choices`.

    Args:
        input: frames that set the scales and are timed; None takes a frame of noise. `frames`: how
            many of them.
        dims: sizes of the dimensions that the model leaves open.
        tell: called as tell(stage, done, total).

    Raises:
        AzsimError: a model or frames that cannot be taken, or that fit the chip in no format.
    """
    if frames is not None and input is None:
        raise ConfigError("--frames: needs frames (-i)")
    graph = read_either(model, dims)
    given = graph.given if isinstance(graph, BranchedModel) else graph
    if input is None:
        inputs = Inputs(noise_frames(given), "one frame of noise")
    else:
        inputs = load_inputs(input, given, frames)
    points = [(p, t, b) for p in choices.profiles for t in choices.tiles for b in choices.bits]
    own = PlanWishes().plan(given).bits
    chosen = (chip.decoder.profile, chip.wbuf.slot_weights, own)
    session, rows = Session(len(choices.bits) + 1), []
    for number, point in enumerate(points):
        rows.append(_row(graph, inputs, chip, point, point == chosen, session))
        if tell is not None:
            tell("formats", number + 1, len(points))
    if all(row.problem for row in rows):
        raise ConfigError(f"{model}: must fit the chip in one format at least: {rows[0].problem}")
    return FormatStudy(Path(model).name, chip.name, inputs.source_text, tuple(rows))


def _row(
    graph: Graph | BranchedModel,
    inputs: Inputs,
    chip: ChipConfig,
    point: tuple[str, int, int],
    own: bool,
    session: Session,
) -> FormatRow:
    profile, tile, bits = point
    try:
        config = override_chip(chip, [f"decoder.profile={profile}", f"wbuf.slot_weights={tile}"])
        record = run(
            graph, input=inputs, chip=config, bits=None if own else bits, timing_only=True,
            cache=False, session=session, allow_unused_branch=True,
        )  # fmt: skip
    except AzsimError as error:
        return FormatRow(profile, tile, bits, own, problem=str(error))
    return _figures(record, point, own)


def _figures(record: RunRecord, point: tuple[str, int, int], own: bool) -> FormatRow:
    programs = _programs(record)
    size = sum(map(_stream_bytes, programs))
    tiles = [program.tiles for program in programs]
    weights = sum(int((t["rows"].astype(np.int64) * t["columns"]).sum()) for t in tiles)
    energy = record.energy.per_frame_pj()
    return FormatRow(
        *point,
        own,
        size,
        8 * size / weights if weights else 0.0,
        sum(int(t["decode_cycles"].sum()) for t in tiles),
        record.counters.cycles / record.frames,
        float(np.median(record.latencies_ms())),
        None if energy is None else energy["nominal"] / PJ_PER_UJ,
    )


def _programs(record: RunRecord) -> list[Program]:
    """The program; of a model with branches those of each part."""
    if record.branches is None:
        return [record.program]
    return [part.program for part in record.branches.parts.values()]


def _stream_bytes(program: Program) -> int:
    """Bytes of all tiles and tables: each once, however often and by how many layers of a step it
    is fetched."""
    fetches = program.commands["arg"][program.commands["opcode"] == isa.FETCH][:, :3]
    return int(np.unique(fetches, axis=0)[:, 1].sum())  # address, bytes, source


def check_folder(folder: Path) -> None:
    """Refuse a folder that is something else, before a long computation.

    Raises:
        ConfigError: there is a file of that name.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: must be a folder, not a file")


TABLE, FIGURE = "FORMATS.csv", "formats.png"
COLUMNS = tuple(FormatRow.__dataclass_fields__)


def write_formats(study: FormatStudy, folder: Path) -> tuple[Path, Path]:
    """Write FORMATS.csv and formats.png to `folder`, which is made; return both.

    Raises:
        ConfigError: a file cannot be written.
    """
    table, figure = folder / TABLE, folder / FIGURE
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    for path in (table, figure):
        output_place(path)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in study.rows:
        cells = asdict(row)
        writer.writerow(["" if cells[name] is None else cells[name] for name in COLUMNS])
    save_text(table, buffer.getvalue())
    save_formats_figure(study.to_json(), figure)
    return table, figure
