"""The choice of what stays in the weight store is printed; weights that several rows or frames
share are fetched once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from command import azsim
from onnx_models import ModelMaker

from azsim.program import Program, load_program
from azsim.report.placement import placement_lines, placements

K, N = 24, 40


def dense_net(folder: Path, rows: int, layers: int = 2) -> Path:
    """x (rows, 24) -> 40 -> 24 ...: one product per layer, `rows` beams or frames at once."""
    maker, rng = ModelMaker(), np.random.default_rng(2)
    x = maker.input("x", (rows, K))
    for number, (inputs, outputs) in enumerate([(K, N), (N, K)] * (layers // 2)):
        weight = maker.tensor(f"W{number}", rng.normal(size=(inputs, outputs)))
        maker.node("MatMul", [x, weight], [f"y{number}"], name=f"dense{number}")
        x = f"y{number}"
    maker.output(x)
    frames = rng.normal(size=(4, rows, K)).astype(np.float32)
    np.savez(folder / "x.npz", x=frames)
    return maker.save(folder)


def conv_net(folder: Path) -> Path:
    """A convolution whose tiles do not fit the slots, over more positions than fit the
    accumulators, and a dense layer."""
    maker, rng = ModelMaker(), np.random.default_rng(3)
    maker.input("x", (1, 64, 8, 8))
    maker.tensor("C", rng.normal(size=(12, 64, 3, 3)))
    maker.tensor("D", rng.normal(size=(12, 10)))
    maker.node("Conv", ["x", "C"], ["c"], name="conv", pads=[1, 1, 1, 1])
    maker.node("GlobalAveragePool", ["c"], ["m"], name="mean")
    maker.node("Flatten", ["m"], ["f"], name="flat")
    maker.node("MatMul", ["f", "D"], ["y"], name="dense")
    maker.output("y")
    np.savez(folder / "x.npz", x=rng.normal(size=(1, 1, 64, 8, 8)).astype(np.float32))
    return maker.save(folder)


def compiled(path: Path, *overrides: str, frames_per_pass: int = 1) -> Program:
    settings = [word for entry in overrides for word in ("--set", entry)]
    output = path.parent / "m.azp"
    made = azsim(
        *("compile", str(path), "-i", str(path.parent / "x.npz"), "--chip", "tiny"),
        *("--set", "abuf.capacity_kb=256", "--frames-per-pass", str(frames_per_pass)),
        *(*settings, "-o", str(output)),
    )
    assert (made.code, made.err) == (0, "")
    return load_program(output)


def test_the_screen_says_what_is_kept_and_what_it_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense_net(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    made = azsim(
        *("compile", "model.onnx", "-i", "x.npz", "--chip", "tiny", "-o", "m.azp"),
        *("--set", "weight_store.capacity_kb=1"),
    )
    assert (made.code, made.err) == (0, "")
    head, first, second = made.out.splitlines()[1:]
    found = re.fullmatch(
        r"weight store: (\d+) of 1,024 bytes, (\d+) bytes a step less from DRAM", head
    )
    assert found
    kept, saved = map(int, found.groups())
    assert 0 < kept == saved <= 1024
    parts = 0
    for line, layer in ((first, "dense0"), (second, "dense1")):
        row = re.fullmatch(
            rf"  {layer}: ([\d,]+) of 1,\d\d\d bytes kept, each saves 1\.00 a step", line
        )
        assert row, line
        parts += int(row[1].replace(",", ""))
    assert parts == kept


def test_no_store_no_words(tmp_path: Path) -> None:
    program = compiled(dense_net(tmp_path, 1), "weight_store.capacity_kb=0")
    assert placement_lines(program, 0) == []
    assert all(row.kept_bytes == row.saved_bytes == 0 for row in placements(program))


def test_what_is_fetched_most_is_kept_first(tmp_path: Path) -> None:
    """Tiles of the convolution are fetched for each chunk of positions, the dense ones once."""
    program = compiled(conv_net(tmp_path), "weight_store.capacity_kb=4")
    conv, dense = placements(program)
    assert (conv.layer, dense.layer) == ("conv", "dense")
    assert conv.benefit > 2.0
    assert dense.benefit == 1.0
    assert conv.stream_bytes > 4096
    assert conv.kept_bytes > 3000
    assert conv.saved_bytes == pytest.approx(conv.kept_bytes * conv.benefit)
    assert dense.kept_bytes <= 4096 - conv.kept_bytes


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("frames", [1, 4])
def test_rows_and_frames_share_one_fetch(tmp_path: Path, rows: int, frames: int) -> None:
    """However many beams (rows) and frames a step computes, each weight is fetched once."""
    program = compiled(dense_net(tmp_path, rows), frames_per_pass=frames)
    for row in placements(program):
        assert row.fetched_bytes == row.stream_bytes
