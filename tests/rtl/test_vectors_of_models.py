"""`azsim vectors`: tiles of models and of their compiled programs, and what goes with each file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from azsim.api import PlanWishes
from azsim.cli import model_commands, rtl_commands
from azsim.cli.vector_sources import TileWishes, tile_cases
from azsim.errors import AzsimError
from azsim.frontend import read_onnx
from azsim.rtl_check.vectors import expected, load_vectors
from azsim.zoo import build_zoo, save_onnx

icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    save_onnx(build_zoo("tiny_lstm", None, 8, 0.0, 3), path)
    return path


@pytest.fixture
def cli() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    rtl_commands.register(app)
    model_commands.register(app)
    return app


def run(cli: typer.Typer, *words: object) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


PLAN = ("--bits", 4, "--sparsity", 0.6)
ANS = ("--set", "decoder.profile=ans")


def test_a_models_tile_is_the_tile_of_its_program(
    cli: typer.Typer, model: Path, tmp_path: Path
) -> None:
    """Frames change the scales of activations, never the tiles."""
    graph = read_onnx(model)
    (name,) = graph.inputs
    shape = (3, *graph.values[name].shape)
    np.savez(tmp_path / "x.npz", **{name: np.linspace(-9, 5, int(np.prod(shape))).reshape(shape)})
    run(cli, "compile", model, "-i", tmp_path / "x.npz", *PLAN, "-o", tmp_path / "m.azp")
    for tile in (0, 3):
        run(cli, "vectors", model, *PLAN, "--tile", tile, "-o", tmp_path / "a")
        run(cli, "vectors", tmp_path / "m.azp", "--tile", tile, "-o", tmp_path / "b")
        of_model, of_program = (load_vectors(tmp_path / folder)[1][-1] for folder in "ab")
        assert of_model.words == of_program.words
        assert (of_model.tile_index, of_model.groups) == (of_program.tile_index, of_program.groups)
    other = ("--calibrate", tmp_path / "x.npz")
    run(cli, "vectors", model, *PLAN, "--tile", 3, *other, "-o", tmp_path / "c")
    assert load_vectors(tmp_path / "c")[1][-1].words == of_model.words


def test_the_chip_and_the_plan_decide_the_tile(model: Path) -> None:
    plan = PlanWishes(bits=3, sparsity=0.5)
    profile, cases = tile_cases(model, TileWishes(plan=plan))
    assert (profile, [case.table for case in cases]) == ("bitmap", [False])
    wide = list(expected(cases, "bitmap", 128))[-1]
    weights = [(beat.data >> 8 * i & 255) for beat in wide.beats for i in range(beat.count)]
    assert max(min(w, 256 - w) for w in weights) <= 3
    overrides = ["decoder.profile=ans", "wbuf.slot_weights=8192"]
    profile, cases = tile_cases(model, TileWishes(plan=plan, overrides=overrides))
    assert cases[-1].groups <= 32


@icarus
def test_real_tiles_of_a_model_run_on_the_rtl(
    cli: typer.Typer, model: Path, tmp_path: Path
) -> None:
    """The flow of the manual: model, vectors, lockstep."""
    folder = tmp_path / "v"
    options = ("--tile", 0, "--set", "wbuf.slot_weights=1024", *ANS, "--bits", 4, "--sparsity", 0.7)
    text = run(cli, "vectors", model, *options, "-o", folder)
    assert re.search(r"^tile 0 of tiny_lstm: \d+ words, \d+ beats out", text, re.MULTILINE)
    held = run(cli, "verify-rtl", "--vectors", folder)
    assert "ans-64 " in held
    assert held.endswith("all held\n")


def test_each_beat_has_its_cycle(cli: typer.Typer, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", (np.arange(512) % 7 - 3).astype(np.int8).reshape(2, 256))
    run(cli, "vectors", tmp_path / "w.npy", "--profile", "ans", "-o", tmp_path / "v")
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    for entry in manifest["cases"]:
        stem = tmp_path / "v" / entry["name"]
        beats = Path(f"{stem}_beats.hex").read_text().split()
        for bits in (64, 128):
            times = [int(line, 16) for line in Path(f"{stem}_cycles{bits}.hex").read_text().split()]
            assert len(times) == len(beats)
            assert sorted(set(times)) == times
            # the last beat fires in cycle `cycles` - 1, and stands at the output 3 cycles later
            assert times[-1] == entry["cycles"][str(bits)] - 1 + 3


WRONG = {
    "x.bin: must be .onnx, .npy, .azw or .azp": ("x.bin", TileWishes()),
    "--chip: must not be given for w.npy": ("w.npy", TileWishes(chip="az2")),
    "--bits: must not be given for m.azp": ("m.azp", TileWishes(plan=PlanWishes(bits=4))),
    "--profile: must not be given for w.azw": ("w.azw", TileWishes(profile="ans")),
    "--tile-weights: must not be given for m.onnx": ("m.onnx", TileWishes(tile_weights=512)),
    "no.onnx: cannot be read: No such file or directory": ("no.onnx", TileWishes()),
}


@pytest.mark.parametrize("message", WRONG)
def test_options_of_another_kind_of_file_are_refused(message: str) -> None:
    name, wishes = WRONG[message]
    with pytest.raises(AzsimError, match=f"^{re.escape(message)}$"):
        tile_cases(Path(name), wishes)


def test_a_tile_that_is_not_there_is_refused(model: Path) -> None:
    with pytest.raises(AzsimError, match=r"^--tile: must be 0 to \d+ \(tiny_lstm\), not 999$"):
        tile_cases(model, TileWishes(tile=999))
    with pytest.raises(AzsimError, match=r"^--tile: tiny_lstm must have compressed tiles, and has"):
        tile_cases(model, TileWishes(chip="dense"))
