"""`azsim compress-model`, `azsim diff` and `azsim formats`: smaller models, updates from one to the
next, and what the chip's format could be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from azsim.cli.options import (
    ChipOption,
    DimOption,
    ModelArgument,
    SetOption,
    check_out_file,
    dim_sizes,
)
from azsim.cli.progress import progress_bars
from azsim.cli.screen import plain_table, reader_may_leave, screen
from azsim.compress import (
    CALIBRATIONS,
    Budget,
    Choices,
    CompressionResult,
    FormatStudy,
    Images,
    ScanRow,
    Update,
    WeightPlan,
    apply_update,
    check_folder,
    compress_model,
    diff_models,
    load_plan,
    option_wish,
    save_images,
    save_update,
    study_formats,
    write_formats,
)
from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.graph.text import one_line

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="Compressed model, ONNX.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("compress-model")(compress)
    app.command("diff")(diff)
    app.command("formats")(formats)


def compress(
    model: ModelArgument,
    output: OutputOption,
    bits: Annotated[
        int | None,
        typer.Option("--bits", metavar="N", help="Weight bits: 8, 6, 5, 4, 3 or 2."),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", metavar="SHARE", help="Share of zero weights."),
    ] = None,
    pruning: Annotated[
        str | None,
        typer.Option(
            "--pruning", metavar="WAY", help="magnitude, or balanced: alike in each bank of a row."
        ),
    ] = None,
    bank: Annotated[
        int | None,
        typer.Option("--bank", metavar="N", help="Weights of a bank; default 64."),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option("--scales", metavar="KIND", help="One scale per row or tensor."),
    ] = None,
    codebook: Annotated[
        int | None,
        typer.Option(
            "--codebook", metavar="N", help="2 to 32 centroids of 8 bits, in place of --bits."
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", readable=False, help="Plan per layer, YAML."),
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option(
            "-i",
            "--input",
            "--calibrate",
            metavar="FILE",
            readable=False,
            help="Frames that set activation grids; without, only weights are quantized.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Frames to use; default: all.")
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="WAY", help="How ranges are chosen: minmax (default), percentile or mse."
        ),
    ] = None,
    budget_bytes: Annotated[
        int | None,
        typer.Option("--budget-bytes", metavar="N", help="Choose widths: bytes of weights."),
    ] = None,
    budget_mb_per_s: Annotated[
        float | None,
        typer.Option(
            "--budget-mb-per-s", metavar="X", help="Choose widths: weights read from DRAM."
        ),
    ] = None,
    no_fold: Annotated[
        bool,
        typer.Option("--no-fold", help="Leave batch norms behind products as they are."),
    ] = False,
    scan: Annotated[
        bool,
        typer.Option("--scan", help="Also each layer alone in each width: table, .csv, .png."),
    ] = False,
    plan_out: Annotated[
        Path | None,
        typer.Option("--plan-out", metavar="FILE", help="Write the plan of each layer, YAML."),
    ] = None,
    dim: DimOption = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Quantize and prune a model after training; the result is a QDQ ONNX file.

    Bytes are those of the chip's own encoder. What a plan file says of single
    layers goes over the options; docs/compression.md has every key.

    \b
    Examples:
      azsim compress-model m.onnx -o c.onnx --bits 5 --sparsity 0.5 -i frames.npz
      azsim compress-model m.onnx -o c.onnx --plan plan.yaml -i frames.npz
      azsim compress-model m.onnx -o c.onnx --codebook 16 --calibration mse
      azsim compress-model m.onnx -o c.onnx --budget-bytes 400000 -i frames.npz
      azsim compress-model m.onnx -o c.onnx --scan -i frames.npz
    """
    if calibration is not None and calibration not in CALIBRATIONS:
        raise ConfigError(f"--calibration: must be minmax, percentile or mse, not {calibration}")
    wish = option_wish(
        {
            "bits": bits,
            "sparsity": sparsity,
            "pruning": pruning,
            "bank": bank,
            "scales": scales,
            "codebook": codebook,
            "calibration": calibration,
        }
    )
    weight_plan = WeightPlan(wish) if plan is None else load_plan(plan, wish)
    budget = None
    if budget_bytes is not None or budget_mb_per_s is not None:
        budget = Budget(budget_bytes, budget_mb_per_s)
    config = load_chip(chip, overrides or ())
    with progress_bars() as progress:
        result = compress_model(
            model,
            output,
            plan=weight_plan,
            input=input,
            frames=frames,
            calibration=wish.calibration or "minmax",
            chip=config,
            budget=budget,
            plan_file=plan_out,
            scan=scan,
            dims=dim_sizes(dim),
            fold=not no_fold,
            progress=progress,
        )
    with reader_may_leave():
        if as_json:
            print(json.dumps(result.to_json(), indent=2))
        else:
            _print(result, output, input is not None)


def _print(result: CompressionResult, output: Path, calibrated: bool) -> None:
    console = screen()
    if result.scan:
        console.print(_scan_table(result.scan))
        console.print()
    console.print(_layer_table(result))
    shown = "no noise" if result.sqnr_db is None else f"{result.sqnr_db:.2f} dB"
    console.print(
        f"whole net against the float model: {shown} on {result.frames}", markup=False,
        soft_wrap=True,
    )  # fmt: skip
    if result.left:
        names = ", ".join(map(one_line, result.left))
        console.print(f"left as they are: {names}", markup=False, soft_wrap=True)
    if calibrated:
        console.print(f"{result.grids} activations have grids")
    else:
        console.print("activations are as they were: no frames to calibrate on (-i)")
    for path in (output, *result.files):
        console.print(f"written: {one_line(str(path))}", markup=False, soft_wrap=True)


def _decibels(value: float | None) -> str:
    return "exact" if value is None or value == float("inf") else f"{value:.2f}"


def _layer_table(result: CompressionResult) -> Table:
    table = plain_table(
        "layer", "weights", "bytes before", "after", "bits/weight", "SQNR dB", "plan"
    )
    for layer in result.layers:
        table.add_row(
            Text(one_line(layer.name)),
            str(layer.after.weights),
            str(layer.before.stream_bytes),
            str(layer.after.stream_bytes),
            f"{layer.after.bits_per_weight:.3f}",
            _decibels(layer.sqnr_db),
            layer.plan.text,
        )
    before, after = result.before, result.after
    table.add_row(
        "all", str(after.weights), str(before.stream_bytes), str(after.stream_bytes),
        f"{after.bits_per_weight:.3f}", "", f"on {result.chip}, decoder {result.profile}",
    )  # fmt: skip
    return table


def _scan_table(rows: tuple[ScanRow, ...]) -> Table:
    table = plain_table("layer alone", "bytes", "bits/weight", "weights dB", "output dB", "plan")
    for row in rows:
        table.add_row(
            Text(one_line(row.layer)),
            str(row.size.stream_bytes),
            f"{row.size.bits_per_weight:.3f}",
            _decibels(row.weights_sqnr_db),
            _decibels(row.sqnr_db),
            row.plan.text,
        )
    return table


def diff(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", readable=False, help="Model on the device, ONNX.")
    ],
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", readable=False, help="Model to come, ONNX.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Update file; with --apply the image, .npz."
        ),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply", metavar="UPDATE", readable=False, help="Put an update file to OLD."
        ),
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option(
            "-i",
            "--input",
            "--calibrate",
            metavar="FILE",
            readable=False,
            help="Frames that set scales which the models do not hold; default: noise.",
        ),
    ] = None,
    dim: DimOption = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Bytes of an over-the-air update: what of NEW a device with OLD does not have.

    Tiles of the weight streams, tables, parameters and commands that are the
    same bytes are left out. The models must have the same graph. -o writes the
    update; --apply makes the new model's memory images of it and OLD.

    \b
    Examples:
      azsim diff old.onnx new.onnx
      azsim diff old.onnx new.onnx -o update.bin
      azsim diff --apply update.bin old.onnx -o new_images.npz
      azsim diff old.onnx new.onnx --set decoder.profile=ans --json
    """
    if (new is None) == (apply is None):
        raise ConfigError("NEW: must be given, or --apply UPDATE in its place")
    config = load_chip(chip, overrides or ())
    if output is not None:
        check_out_file(output)
    sizes = dim_sizes(dim)
    with progress_bars() as progress:
        if new is None:
            assert apply is not None  # one of them is there
            images = apply_update(old, apply, config, input, sizes, progress)
            if output is not None:
                save_images(images, output)
            said: Update | Images = images
        else:
            said = diff_models(old, new, config, input, sizes, progress)
            if output is not None and said.update_bytes:
                save_update(said, config, output)
    with reader_may_leave():
        _say_update(said, output, as_json)


def _say_update(said: Update | Images, output: Path | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(said.to_json(), indent=2))
        return
    console = screen()
    if isinstance(said, Update):
        _print_update(said)
        if output is not None and not said.update_bytes:
            console.print("nothing changes: no update is written")
            return
    else:
        sizes = said.to_json()
        console.print(
            f"the new model: {sizes['dram_bytes']} bytes of DRAM, {sizes['store_bytes']} of the"
            f" weight store, {sizes['commands']} commands",
            markup=False,
            soft_wrap=True,
        )
    if output is not None:
        console.print(f"written: {one_line(str(output))}", markup=False, soft_wrap=True)


def _print_update(update: Update) -> None:
    console = screen()
    table = plain_table(
        "weights", "tiles", "changed", "tile bytes", "tables", "parameters", "update bytes"
    )
    for row in update.rows:
        table.add_row(
            Text(one_line(row.name)),
            str(row.tiles),
            str(row.changed_tiles),
            str(row.tile_bytes),
            str(row.table_bytes),
            str(row.other_bytes),
            str(row.update_bytes),
        )
    console.print(table)
    share = update.update_bytes / update.full_bytes
    console.print(
        f"update {update.update_bytes} bytes, {share:.1%} of the whole model's {update.full_bytes},"
        f" on {update.chip}, decoder {update.profile}",
        markup=False,
        soft_wrap=True,
    )


def formats(
    model: ModelArgument,
    input: Annotated[
        Path | None,
        typer.Option(
            "-i", "--input", metavar="FILE", readable=False, help="Frames; default: one of noise."
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Frames to run; default: all.")
    ] = None,
    dim: DimOption = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    profiles: Annotated[
        str, typer.Option("--profiles", metavar="LIST", help="Of none, bitmap, ans.")
    ] = "none,bitmap,ans",
    tiles: Annotated[
        str, typer.Option("--tiles", metavar="LIST", help="Weights of a tile at most.")
    ] = "4096,8192,16384,32768,65536",
    bits: Annotated[str, typer.Option("--bits", metavar="LIST", help="Weight bits.")] = (
        "8,6,5,4,3,2"
    ),
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for FORMATS.csv, formats.png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Try every decoder profile, tile size and weight width on a model's own weights.

    Each is compiled and timed: bytes, decoder cycles, latency, energy. The
    chip's own format is marked. Large models: fewer tiles and widths.

    \b
    Examples:
      azsim formats model.onnx -o runs/formats
      azsim formats model.onnx --profiles bitmap,ans --tiles 16384 --bits 5,4
    """
    choices = Choices(tuple(_words(profiles)), _numbers("--tiles", tiles), _numbers("--bits", bits))
    if out is not None:
        check_folder(out)
    config = load_chip(chip, overrides or ())
    with progress_bars() as progress:
        study = study_formats(
            model, config, choices, input, frames, dims=dim_sizes(dim), tell=progress
        )
    files = () if out is None else write_formats(study, out)
    with reader_may_leave():
        if as_json:
            print(json.dumps(study.to_json(), indent=2))
            return
        console = screen()
        console.print(_format_table(study))
        console.print(
            f"{study.model} on {study.chip}, {study.frames}; * the chip's own format, - a format it"
            " cannot have",
            markup=False,
            soft_wrap=True,
        )
        for path in files:
            console.print(f"written: {one_line(str(path))}", markup=False, soft_wrap=True)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    words = _words(text)
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 9):
            raise ConfigError(f"{option}: must be whole numbers with commas, not '{word}'")
    return tuple(map(int, words))


def _format_table(study: FormatStudy) -> Table:
    table = plain_table(
        "", "profile", "tile", "bits", "bytes", "bits/weight", "decoder cycles", "frame ms",
        "energy uJ",
    )  # fmt: skip
    for row in study.rows:
        head = ("*" if row.own else "-" if row.problem else "", row.profile, str(row.tile))
        if row.problem:
            table.add_row(*head, str(row.bits))
            continue
        table.add_row(
            *head,
            str(row.bits),
            str(row.stream_bytes),
            f"{row.bits_per_weight:.3f}",
            str(row.decoder_cycles),
            f"{row.frame_ms:.4f}",
            "" if row.energy_uj is None else f"{row.energy_uj:.2f}",
        )
    return table
