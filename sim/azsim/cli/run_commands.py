"""`azsim run` and `azsim demo`: simulate a model over audio frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from azsim._resources import data_folder
from azsim.api import run as run_model
from azsim.cli.options import (
    BitsOption,
    CalibrateOption,
    ChipOption,
    DimOption,
    FramesOption,
    FramesPerPassOption,
    HostTrafficOption,
    LayerBitsOption,
    LayerSparsityOption,
    ModelArgument,
    RunInputOption,
    SetOption,
    SparsityOption,
    TraceOption,
    TraceTimeOption,
    TraceWindowOption,
    UnusedBranchOption,
    dim_sizes,
    plan_wishes,
    trace_wish,
)
from azsim.cli.progress import progress_bars
from azsim.cli.screen import reader_may_leave, screen
from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.console import print_summary
from azsim.report.files import check_out, check_wishes
from azsim.report.record import RunRecord
from azsim.report.trace import traced_passes
from azsim.report.weight_path_console import print_weight_path
from azsim.zoo import build_zoo, save_onnx

DEMO_NET, DEMO_PART, DEMO_BITS, DEMO_SPARSITY, DEMO_SEED = "rnnt_alexa_l", "encoder", 5, 0.5, 1


def register(app: typer.Typer) -> None:
    """Add the run commands to `app`."""
    app.command("run")(run)
    app.command("demo")(demo)


def run(
    model: ModelArgument,
    input: RunInputOption = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    frames: FramesOption = None,
    frames_per_pass: FramesPerPassOption = 1,
    bits: BitsOption = None,
    sparsity: SparsityOption = None,
    layer_bits: LayerBitsOption = None,
    layer_sparsity: LayerSparsityOption = None,
    calibrate: CalibrateOption = None,
    host_traffic: HostTrafficOption = None,
    dim: DimOption = None,
    frame_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS", help="Audio time of one step; else the model's azsim.frame_ms, else 30."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for reports, outputs, figures."),
    ] = None,
    timing_only: Annotated[
        bool, typer.Option("--timing-only", help="Count cycles, compute no outputs.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the integer reference, bit for bit.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show where the first pass's time went, and what-ifs."),
    ] = False,
    figures: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Figures in DIR: png (default), pdf for papers, both."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write DIR/report.html (as azsim report DIR).")
    ] = False,
    trace: TraceOption = None,
    trace_window: TraceWindowOption = None,
    trace_time: TraceTimeOption = "ns",
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep compiled programs for the next run.")
    ] = True,
    allow_unused_branch: UnusedBranchOption = False,
) -> int:
    """Simulate a model on a chip: cycles, bandwidth, latency, outputs.

    `--out` writes a folder of reports: summary.json, COMPUTE_REPORT.csv,
    outputs.npz, timeline.png. It appears whole or not at all; the folder of
    an earlier run is replaced. A topology file of SCALE-Sim (.csv) needs no
    input.

    \b
    Examples:
      azsim run model.onnx -i speech.wav
      azsim run model.onnx -i frames.npz --bits 5 --sparsity 0.5 --verify
      azsim run model.onnx -i frames.npz --chip az2 -o runs/az2
      azsim run model.onnx -i frames.npz --timing-only --explain
      azsim run model.onnx -i frames.npz -o runs/first --html --figures both
      azsim run model.onnx -i frames.npz --set mac_array.lanes=16
      azsim run model.onnx -i frames.npz --bits 4 --layer-bits dense=8
      azsim run model.onnx -i frames.npz --host-traffic music --host-traffic display
      azsim run topology.csv --chip scalesim_ws
      azsim run model.onnx -i frames.npz --trace run.pftrace --trace-window 0:4
      azsim run model.onnx -i frames.npz --dim batch=1 --dim time=4
    """
    _check_out(out, figures, html)
    wish = trace_wish(trace, trace_window, trace_time)
    wishes = plan_wishes(bits, sparsity, layer_bits, layer_sparsity)
    with progress_bars() as progress:
        record = run_model(
            model,
            input=input,
            chip=chip,
            overrides=overrides or (),
            frames=frames,
            frames_per_pass=frames_per_pass,
            bits=wishes.bits,
            sparsity=wishes.sparsity,
            layer_bits=wishes.layer_bits,
            layer_sparsity=wishes.layer_sparsity,
            calibrate=calibrate,
            host_traffic=host_traffic or (),
            dims=dim_sizes(dim),
            frame_ms=frame_ms,
            timing_only=timing_only,
            verify=verify,
            explain=explain,
            out=out,
            cache=cache,
            trace=wish,
            figures=figures or "png",
            html=html,
            allow_unused_branch=allow_unused_branch,
            progress=progress,
        )
    return _show(record, out, explain, trace)


def _check_out(out: Path | None, figures: str | None, html: bool) -> None:
    """Check what is asked for before a long run."""
    for name, asked in (("--figures", figures is not None), ("--html", html)):
        if asked and out is None:
            raise ConfigError(f"{name}: needs a folder to write to (--out)")
    check_wishes(figures or "png", html)
    if out is not None:
        check_out(out)


def demo(
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for reports, outputs, figures."),
    ] = Path("runs/demo"),
    frames: FramesOption = None,
) -> int:
    """A spoken command through a five-layer LSTM encoder on az1, checked bit for bit."""
    check_out(out)
    wav = data_folder("examples") / "speech_command" / "set_timer.wav"
    with progress_bars() as progress, tempfile.TemporaryDirectory(prefix="azsim-demo-") as folder:
        progress("building the model", 0, 1)
        model = Path(folder) / f"{DEMO_NET}_{DEMO_PART}.onnx"
        save_onnx(build_zoo(DEMO_NET, DEMO_PART, DEMO_BITS, DEMO_SPARSITY, DEMO_SEED), model)
        progress("building the model", 1, 1)
        record = run_model(
            model,
            input=wav,
            chip="az1",
            frames=frames,
            bits=DEMO_BITS,
            sparsity=DEMO_SPARSITY,
            verify=True,
            explain=True,
            out=out,
            cache=False,
            progress=progress,
        )
    return _show(record, out)


def _show(
    record: RunRecord, out: Path | None, explain: bool = False, trace: Path | None = None
) -> int:
    with reader_may_leave():
        print_summary(record, screen())
        if explain:
            print_weight_path(record, screen())
        if out is not None:
            print(f"written: {one_line(str(out))}")
        if trace is not None:
            print(f"written: {one_line(str(trace))} ({traced_passes(record)})")
    check = record.verification
    return 1 if check is not None and check.exact != check.steps else 0
