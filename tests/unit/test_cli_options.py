"""Wrong words on the command line: one line that says what must be what, exit code 2, no file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import azsim, tree
from speech_models import save_speech_model, speech_frames

from azsim.config import chip_names

RUN = ("run", "model.onnx", "-i", "frames.npz", "-o", "out")
WIDTHS = "weight bits must be one of 8, 6, 5, 4, 3, 2, not"
SHARE = "share of zeros must be 0 or more and below 1, not"
CHIPS = f"must be one of {', '.join(chip_names())}, or the path of a .yaml file"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and its frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    return tmp_path


def refused(folder: Path, words: tuple[object, ...], line: str) -> None:
    """The command line ends with exactly this line, exit code 2, and nothing is left."""
    before = tree(folder)
    done = azsim(*words)
    assert (done.code, done.err, done.out) == (2, f"azsim: {line}\n", "")
    assert tree(folder) == before


def override(text: str, reason: str) -> tuple[tuple[str, str], str]:
    return ("--set", text), f"override '{text}': {reason}"


WRONG_RUNS: list[tuple[tuple[object, ...], str]] = [
    (("--bits", 7), f"bits: {WIDTHS} 7"),
    (("--bits", 0), f"bits: {WIDTHS} 0"),
    (("--bits", -8), f"bits: {WIDTHS} -8"),
    (("--sparsity", 1.5), f"sparsity: {SHARE} 1.5"),
    (("--sparsity", 1), f"sparsity: {SHARE} 1.0"),
    (("--sparsity", -0.1), f"sparsity: {SHARE} -0.1"),
    (("--sparsity", "nan"), f"sparsity: {SHARE} nan"),
    (("--dim", "batch"), "--dim: must be NAME=N, N a number of 1 or more, not 'batch'"),
    (("--dim", "batch=-1"), "--dim: must be NAME=N, N a number of 1 or more, not 'batch=-1'"),
    (("--dim", "=1"), "--dim: must be NAME=N, N a number of 1 or more, not '=1'"),
    (("--dim", "b=1", "--dim", "b=2"), "--dim: 'b' must be given once"),
    (
        ("--dim", "batch=1"),
        "model.onnx: dimension 'batch' must be an open one of an input: none",
    ),
    (("--frames", 0), "--frames: must be 1 or more, not 0"),
    (("--frames", -1), "--frames: must be 1 or more, not -1"),
    (("--frames", 21), "frames.npz: must hold 21 steps, but holds 20"),
    (("--frames", 10**30), f"frames.npz: must hold {10**30} steps, but holds 20"),
    (("--frame-ms", 0), "--frame-ms: must be a positive number, not 0.0"),
    (("--frame-ms", -1), "--frame-ms: must be a positive number, not -1.0"),
    (("--frame-ms", "nan"), "--frame-ms: must be a positive number, not nan"),
    (("--frame-ms", "inf"), "--frame-ms: must be a positive number, not inf"),
    (("--frames-per-pass", 0), "--frames-per-pass: must be 1 to 1024, not 0"),
    (("--frames-per-pass", -3), "--frames-per-pass: must be 1 to 1024, not -3"),
    (("--frames-per-pass", 10**18), f"--frames-per-pass: must be 1 to 1024, not {10**18}"),
    (("--layer-bits", "dense"), "--layer-bits: must be NODE=NUMBER, not 'dense'"),
    (("--layer-bits", "dense=4.5"), "--layer-bits: must be NODE=NUMBER, not 'dense=4.5'"),
    (("--layer-bits", "dense=9"), f"dense: {WIDTHS} 9"),
    (
        ("--layer-bits", "nope=8"),
        "layer 'nope' must be one of the layers with weights: dense, lstm0, lstm1",
    ),
    (
        ("--layer-sparsity", "=0.5"),
        "layer '' must be one of the layers with weights: dense, lstm0, lstm1",
    ),
    (("--layer-sparsity", "dense=x"), "--layer-sparsity: must be NODE=NUMBER, not 'dense=x'"),
    (("--layer-sparsity", "dense=nan"), f"dense: {SHARE} nan"),
    (
        ("--timing-only", "--verify"),
        "--verify: needs outputs, which --timing-only does not compute",
    ),
    (("--chip", "az3"), f"chip 'az3': {CHIPS} (did you mean 'az2'?)"),
    (("--chip", ""), f"chip '': {CHIPS}"),
    (("--chip", "a\nb"), f"chip 'a\\nb': {CHIPS}"),
    (("--chip", "no.yaml"), "no.yaml: must be a readable file: No such file or directory"),
    (("--chip", "./"), ".: must be a regular file"),
    override("mac_array.lanes", "must have the form section.key=value"),
    override("=4", "must have the form section.key=value"),
    override("mac_array.lanes=x", "mac_array.lanes: must be an integer, not 'x'"),
    override("mac_array.lanes=-4", "mac_array.lanes: must be at least 1, not -4"),
    override("mac_array.lanes=", "mac_array.lanes: must be an integer, not None"),
    override("mac_array.lane=4", "mac_array.lane: unknown key (did you mean 'lanes'?)"),
    override("memory.simple.per_cycles=0", "memory.simple.per_cycles: must be at least 1, not 0"),
    override("memory.simple.bytes=-64", "memory.simple.bytes: must be at least 1, not -64"),
    override("weight_store.capacity_kb=-1", "weight_store.capacity_kb: must be at least 0, not -1"),
    override("core.clock_mhz=1.5", "core.clock_mhz: must be an integer, not 1.5"),
    (
        ("--set", "abuf.capacity_kb=1"),
        "ABUF: 'parameters' (704 bytes) needs 1664 bytes, the chip has 1024",
    ),
    (
        ("--set", "sequencer.program_commands=16"),
        "program 'test': commands: needs 29, the chip has 16",
    ),
    (("more",), "Got unexpected extra argument(s) (more)"),
]


@pytest.mark.parametrize(
    ("words", "line"), WRONG_RUNS, ids=["=".join(map(str, words)) for words, _ in WRONG_RUNS]
)
def test_run_refuses(folder: Path, words: tuple[object, ...], line: str) -> None:
    refused(folder, (*RUN, *words), line)


@pytest.mark.parametrize("option", ["--bits", "--frames", "--frames-per-pass"])
@pytest.mark.parametrize("text", ["x", "", "4.5", "0x8"])
def test_what_is_no_number_is_refused(folder: Path, option: str, text: str) -> None:
    before = tree(folder)
    done = azsim(*RUN, option, text)
    assert done.code == 2
    assert re.fullmatch(rf"azsim: Invalid value for '{option}': [^\n]+\n", done.err)
    assert tree(folder) == before


def test_compile_refuses_the_same_and_asks_for_frames(folder: Path) -> None:
    words = ("compile", "model.onnx", "-o", "model.azp")
    refused(
        folder, words, "--calibrate: must name frames (.npz or .wav) that set activation scales"
    )
    both = (*words, "-i", "frames.npz", "--calibrate", "frames.npz")
    refused(folder, both, "--input: must not be given beside --calibrate, which it stands for")
    frames = (*words, "-i", "frames.npz")
    refused(folder, (*frames, "--bits", 7), f"bits: {WIDTHS} 7")
    refused(
        folder, (*frames, "--frames-per-pass", 0), "--frames-per-pass: must be 1 to 1024, not 0"
    )
    refused(folder, (*frames, "--chip", "az"), f"chip 'az': {CHIPS} (did you mean 'az2'?)")


MISSING: list[tuple[tuple[str, ...], str]] = [
    (("run",), "Missing argument 'MODEL'."),
    (("run", "model.onnx"), "Missing option '-i' / '--input'."),
    (("compile", "model.onnx"), "Missing option '-o' / '--output'."),
    (("disasm",), "Missing argument 'FILE'."),
    (("chips", "show"), "Missing argument 'NAME|FILE'."),
    (("zoo", "build", "tiny_lstm"), "Missing option '-o' / '--output'."),
    (("zoo", "build", "-o", "x.onnx"), "Missing argument 'NAME[:PART]'."),
    (("compress", "W.npy"), "Missing option '-o' / '--output'."),
    (("ruin",), "No such command 'ruin'."),
    (("chips", "shows"), "No such command 'shows'."),
    (("ops", "Gemm"), "Got unexpected extra argument(s) (Gemm)"),
]


@pytest.mark.parametrize(("words", "line"), MISSING, ids=[" ".join(words) for words, _ in MISSING])
def test_missing_and_unknown_words(folder: Path, words: tuple[str, ...], line: str) -> None:
    before = tree(folder)
    done = azsim(*words)
    assert done.code == 2
    assert done.err.startswith(f"azsim: {line.rstrip('.')}")  # Typer may add what comes near
    assert done.err.count("\n") == 1
    assert tree(folder) == before


def test_an_unknown_option_is_named(folder: Path) -> None:
    done = azsim(*RUN, "--sparse", "0.5")
    assert done.code == 2
    assert re.fullmatch(r"azsim: No such option: --sparse\b[^\n]*\n", done.err)


def test_no_words_show_the_help(folder: Path) -> None:
    done = azsim()
    assert done.code == 2
    assert "azsim run model.onnx" in done.out
    assert done.err.strip() == ""


OTHER_COMMANDS: list[tuple[tuple[object, ...], str]] = [
    (("demo", "--frames", 0, "-o", "out"), "--frames: must be 1 or more, not 0"),
    (("chips", "show", "nope"), f"chip 'nope': {CHIPS}"),
    (
        ("chips", "show", "az1", "--set", "x"),
        "override 'x': must have the form section.key=value",
    ),
    (
        ("zoo", "build", "nope", "-o", "x.onnx"),
        "net must be one that `azsim zoo` lists, not 'nope'",
    ),
    (
        ("zoo", "build", "tiny_lstm:x", "-o", "x.onnx"),
        "part of tiny_lstm must be left out, not 'x'",
    ),
    (
        ("zoo", "build", "rnnt_alexa_l", "-o", "x.onnx"),
        "part of rnnt_alexa_l must be encoder, prediction, joint, not left out",
    ),
    (("zoo", "build", "tiny_lstm", "-o", "x", "--bits", 9), "bits must be from 2 to 8, not 9"),
    (
        ("zoo", "build", "tiny_lstm", "-o", "x", "--sparsity", "nan"),
        "sparsity must be from 0 to 0.95, not nan",
    ),
    (("zoo", "build", "tiny_lstm", "-o", "x", "--seed", -1), "seed must be 0 or more, not -1"),
    (
        ("compress", "W.npy", "-o", "W.azw", "--tile", 0),
        "W.npy: tile must be a multiple of 256 from 256 to 65536 weights, not 0",
    ),
    (
        ("compress", "W.npy", "-o", "W.azw", "--profile", "zip"),
        "W.npy: profile must be one of bitmap, ans, not zip",
    ),
    (
        ("compress", "W.npy", "-o", "W.azw", "--tile-shape", "8"),
        "--tile-shape: must be ROWSxCOLUMNS, such as 8x2048, not 8",
    ),
    (
        ("compress", "W.npy", "-o", "W.azw", "--tile-order", "up"),
        "W.npy: tile order must be row or column, not up",
    ),
]


@pytest.mark.parametrize(
    ("words", "line"),
    OTHER_COMMANDS,
    ids=[" ".join(map(str, words)) for words, _ in OTHER_COMMANDS],
)
def test_other_commands_refuse(folder: Path, words: tuple[object, ...], line: str) -> None:
    np.save("W.npy", np.arange(-100, 100, dtype=np.int8).reshape(10, 20))
    refused(folder, words, line)


def test_a_chip_file_with_an_error_is_named_with_its_line(folder: Path, repository: Path) -> None:
    text = (repository / "hw_configs" / "tiny.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip().startswith("lanes:"))
    lines[number - 1] = lines[number - 1].replace("lanes", "lanse")
    Path("my chip.yaml").write_text("\n".join(lines), encoding="utf-8")
    for name in ("my chip.yaml", "./my chip.yaml"):
        refused(
            folder,
            (*RUN, "--chip", name),
            f"my chip.yaml:{number}: mac_array.lanse: unknown key (did you mean 'lanes'?)",
        )
    shutil.copy(repository / "hw_configs" / "tiny.yaml", "twice.yaml")
    with Path("twice.yaml").open("a", encoding="utf-8") as file:
        file.write("\nname: other\n")
    first = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("name:"))
    last = text.count("\n") + 2
    refused(
        folder,
        (*RUN, "--chip", "twice.yaml"),
        f"twice.yaml:{last}: name: must be given once, and stands on line {first} too",
    )


def test_the_last_of_two_equal_overrides_counts(folder: Path) -> None:
    lines = ("--set", "mac_array.lanes=0", "--set", "mac_array.lanes=-1")
    refused(
        folder,
        (*RUN, *lines),
        "override 'mac_array.lanes=-1': mac_array.lanes: must be at least 1, not -1",
    )


def test_frames_of_another_shape_to_calibrate_on(folder: Path) -> None:
    np.savez("other.npz", x=speech_frames(features=14))
    refused(
        folder,
        (*RUN, "--calibrate", "other.npz"),
        "other.npz: array 'x' must have shape (steps, 1, 1, 13), not (20, 1, 1, 14)",
    )
    refused(
        folder,
        (*RUN, "--calibrate", "none.npz"),
        "none.npz: cannot be read: No such file or directory",
    )
