"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from azsim.errors import ConfigError

ModelArgument = Annotated[Path, typer.Argument(help="Model, float ONNX.")]
InputOption = Annotated[
    Path, typer.Option("-i", "--input", help="Frames: .npz arrays or a 16 kHz mono .wav.")
]
ChipOption = Annotated[str, typer.Option("--chip", metavar="NAME|FILE", help="Chip to simulate.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Chip override: mac_array.lanes=16. Repeatable."
    ),
]
FramesOption = Annotated[int | None, typer.Option("--frames", help="Steps to run; default: all.")]
BitsOption = Annotated[int, typer.Option("--bits", help="Weight bits: 8, 6, 5, 4, 3 or 2.")]
SparsityOption = Annotated[
    float, typer.Option("--sparsity", help="Share of zero weights, by magnitude pruning.")
]
CalibrateOption = Annotated[
    Path | None,
    typer.Option("--calibrate", help="Frames that set activation scales; default: the input."),
]


def check_out_file(path: Path) -> None:
    """Refuse a file that cannot be written, before a long computation.

    Raises:
        ConfigError: the folder is missing or not writable, or the path is a folder.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: must be a file, not a folder")
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: folder {folder} must exist")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path}: folder {folder} must be writable")
