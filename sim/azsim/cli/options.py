"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from azsim._atomic import output_place
from azsim.api import PlanWishes
from azsim.cli.completing import complete_chip, complete_traffic
from azsim.errors import ConfigError
from azsim.report.trace import TraceWish, parse_window

# readable=False: files are refused where they are read, in the words of the other refusals
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", readable=False, help="Model, ONNX.")
]
InputOption = Annotated[
    Path,
    typer.Option(
        "-i",
        "--input",
        metavar="FILE",
        readable=False,
        help="Frames: .npz arrays or a 16 kHz mono .wav.",
    ),
]
RunInputOption = Annotated[
    Path | None,
    typer.Option(
        "-i",
        "--input",
        metavar="FILE",
        readable=False,
        help="Frames: .npz arrays or a 16 kHz mono .wav. Only a topology (.csv) needs none.",
    ),
]
ChipOption = Annotated[
    str,
    typer.Option(
        "--chip", metavar="NAME|FILE", help="Chip to simulate.", autocompletion=complete_chip
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Chip override: mac_array.lanes=16. Repeatable."
    ),
]
FramesOption = Annotated[
    int | None, typer.Option("--frames", metavar="N", help="Steps to run; default: all.")
]
BitsOption = Annotated[
    int | None,
    typer.Option(
        "--bits",
        metavar="N",
        help="Weight bits: 8, 6, 5, 4, 3 or 2; default: the model's plan, else 8.",
    ),
]
SparsityOption = Annotated[
    float | None,
    typer.Option(
        "--sparsity",
        metavar="SHARE",
        help="Share of zero weights, 0 to below 1; default: the model's plan, else 0.",
    ),
]
LayerBitsOption = Annotated[
    list[str] | None,
    typer.Option("--layer-bits", metavar="NODE=BITS", help="Weight bits of one node. Repeatable."),
]
LayerSparsityOption = Annotated[
    list[str] | None,
    typer.Option("--layer-sparsity", metavar="NODE=SHARE", help="Zeros of one node. Repeatable."),
]
HostTrafficOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-traffic",
        metavar="NAME|FILE",
        help="Other traffic on the memory: music, display, cpu_misses, a file. Repeatable.",
        autocompletion=complete_traffic,
    ),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        metavar="NAME=N",
        help="Size of a dimension the model leaves open; unnamed: INPUT:AXIS=N. Repeatable.",
    ),
]
FramesPerPassOption = Annotated[
    int,
    typer.Option(
        "--frames-per-pass",
        metavar="N",
        help="Frames computed together on one load of the weights.",
    ),
]
UnusedBranchOption = Annotated[
    bool,
    typer.Option("--allow-unused-branch", help="Of a model with an If: a branch may stay unused."),
]
TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="FILE", help="Write a trace for ui.perfetto.dev."),
]
TraceWindowOption = Annotated[
    str | None,
    typer.Option(
        "--trace-window",
        metavar="START:END",
        help="Frames to trace in full; default: sampled over the run.",
    ),
]
TraceTimeOption = Annotated[
    str,
    typer.Option("--trace-time", metavar="ns|cycles", help="What a ns of the viewer stands for."),
]
CalibrateOption = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        metavar="FILE",
        readable=False,
        help="Frames that set activation scales; default: the input.",
    ),
]


def trace_wish(trace: Path | None, window: str | None, unit: str) -> TraceWish | None:
    """Return what the user wants of a trace, None if there shall be none.

    Raises:
        ConfigError: a window that is none, or without a trace.
    """
    if trace is None:
        if window is not None:
            raise ConfigError("--trace-window: needs --trace FILE")
        return None
    return TraceWish(trace, None if window is None else parse_window(window), unit)


def plan_wishes(
    bits: int | None,
    sparsity: float | None,
    layer_bits: list[str] | None,
    layer_sparsity: list[str] | None,
) -> PlanWishes:
    """The compression options as one value; ConfigError for a word that is not NODE=NUMBER."""
    return PlanWishes(
        bits,
        sparsity,
        {n: int(v) for n, v in _pairs("--layer-bits", layer_bits, int)},
        {n: float(v) for n, v in _pairs("--layer-sparsity", layer_sparsity, float)},
    )


def _pairs(
    option: str, words: list[str] | None, number: Callable[[str], float]
) -> Iterator[tuple[str, float]]:
    for word in words or []:
        name, _, text = word.rpartition("=")
        try:
            yield name, number(text)
        except ValueError:
            raise ConfigError(f"{option}: must be NODE=NUMBER, not '{word}'") from None


def dim_sizes(words: list[str] | None) -> dict[str, int]:
    """Sizes by name; ConfigError for a word that is not NAME=N or a name given twice."""
    sizes: dict[str, int] = {}
    for word in words or []:
        name, _, text = word.rpartition("=")
        if not name or not re.fullmatch("[0-9]{1,9}", text):
            raise ConfigError(f"--dim: must be NAME=N, N a number of 1 or more, not '{word}'")
        if name in sizes:
            raise ConfigError(f"--dim: '{name}' must be given once")
        sizes[name] = int(text)
    return sizes


def check_out_file(path: Path) -> None:
    """Refuse a file that cannot be written, before a long computation.

    Raises:
        ConfigError: the folder is missing or not writable, or the path is no plain file.
    """
    output_place(path)
