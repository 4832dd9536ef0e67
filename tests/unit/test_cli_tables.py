"""What commands print: help that teaches, tables for 100 columns, the same lines in every pipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command import azsim
from onnx_models import ModelMaker
from test_docs import unknown_words

from azsim.api import azsim_version
from azsim.cli.app import full_app
from azsim.config import chip_names, load_chip
from azsim.frontend import support_table
from azsim.zoo import zoo_table


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe of a shell that says nothing of its width."""
    monkeypatch.delenv("COLUMNS", raising=False)


def words_of(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of the tree, as words."""
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += words_of(command, (*path, name))
    return found


COMMANDS = words_of(typer.main.get_command(full_app()))
MINE = [(), ("run",), ("demo",), ("compile",), ("disasm",), ("chips",), ("chips", "show")]
MINE += [("zoo",), ("zoo", "build"), ("ops",)]


def test_every_command_of_the_contract_is_there() -> None:
    assert set(MINE) <= set(COMMANDS)
    assert {("compress",), ("decompress",), ("inspect",)} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_every_command(words: tuple[str, ...]) -> None:
    done = azsim(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: {' '.join(('azsim', *words))}" in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def examples(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if re.match(r" +azsim [a-z]", line)]


@pytest.mark.parametrize(
    "words", [words for words in MINE if words not in {("ops",), ("demo",)}], ids=" ".join
)
def test_help_teaches_by_examples_that_exist(words: tuple[str, ...]) -> None:
    shown = examples(azsim(*words, "--help").out)
    assert shown
    for line in shown:
        call = re.split(r" [|>] |  +", line.removeprefix("azsim "))[0]
        assert unknown_words(shlex.split(call)) == [], line
    if words:
        assert any(line.startswith(f"azsim {' '.join(words)}") for line in shown)


def test_version() -> None:
    assert azsim("--version").out == f"azsim {azsim_version()}\n"


def lines_of(*words: str) -> list[str]:
    done = azsim(*words)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


@pytest.mark.parametrize("words", [("chips",), ("zoo",), ("ops",)], ids=" ".join)
def test_tables_fit_100_columns_and_use_them(words: tuple[str, ...]) -> None:
    widths = [len(line.rstrip()) for line in lines_of(*words)]
    assert 80 < max(widths) <= 100


def test_a_terminal_width_that_is_stated_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, lines_of("chips"))) <= 70


def test_chips_lists_each_chip_with_its_status() -> None:
    text = "\n".join(lines_of("chips"))
    for name in chip_names():
        chip = load_chip(name)
        row = rf"^{name} +{chip.status} +{chip.core.clock_mhz} +{chip.mac_array.lanes} x "
        assert re.search(row, text, re.MULTILINE), name
    assert text.endswith("no AZ silicon number has been published.")


def test_a_shown_chip_is_a_chip_file(tmp_path: Path) -> None:
    text = azsim("chips", "show", "az2", "--set", "mac_array.lanes=8").out
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_chip(path) == load_chip("az2", ["mac_array.lanes=8"])
    assert f"# config hash: {load_chip(path).config_hash()}\n" in text
    assert "# area proxy (assumed): " in text


def test_zoo_lists_each_net_with_its_size_and_where_its_shapes_are_from() -> None:
    lines = lines_of("zoo")
    assert len(lines) == 1 + len(zoo_table())
    for entry in zoo_table():
        (row,) = [line for line in lines if line.startswith(f"{entry.full_name} ")]
        assert f" {entry.label} " in row
        assert f" {entry.parameters / 1e6:.2f} M " in row
        assert f" {entry.macs / 1e6:.2f} M " in row
        assert f" {entry.frame_ms} ms " in row
    long = " ".join(lines_of("zoo", "--long"))
    for entry in zoo_table():
        assert f"{entry.full_name}: {entry.summary}" in re.sub(r"\s+", " ", long)


def test_ops_lists_each_operator() -> None:
    lines = lines_of("ops")
    for row in support_table():
        assert any(re.match(rf"│ {row.operator} ", line) for line in lines), row.operator


def test_zoo_build_says_what_it_wrote_and_writes_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = azsim("zoo", "build", "tiny_lstm", "--bits", "4", "--sparsity", "0.25", "-o", "t.onnx")
    assert done.out == "t.onnx: tiny_lstm, weights of 4 bits, 25% zeros, seed 1\n"
    again = azsim("zoo", "build", "tiny_lstm", "--bits", "4", "--sparsity", "0.25", "-o", "u.onnx")
    assert again.code == 0
    assert Path("t.onnx").read_bytes() == Path("u.onnx").read_bytes()


def test_disasm_prints_one_command_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    maker = ModelMaker()
    maker.input("x", [1, 5])
    maker.node("Gemm", ["x", maker.tensor("W", np.eye(5)), ""], ["y"], name="same")
    maker.output("y", [1, 5])
    maker.save(tmp_path, "m.onnx")
    np.savez("x.npz", x=np.ones((2, 1, 5), np.float32))
    made = azsim("compile", "m.onnx", "-i", "x.npz", "--chip", "tiny", "-o", "m.azp")
    assert re.fullmatch(
        r"m\.azp: (\d+) commands, 1 tiles, \d+ stream bytes, chip tiny \([0-9a-f]{16}\)\n"
        r"weight store: 48 of 4,096 bytes, 48 bytes a step less from DRAM\n"
        r"  same: 48 of 48 bytes kept, each saves 1\.00 a step\n",
        made.out,
    )
    commands = int(made.out.split()[1])
    lines = lines_of("disasm", "m.azp")
    assert len([line for line in lines if not line.startswith("#")]) == commands
    assert re.fullmatch(r"# program test for chip tiny \([0-9a-f]{16}\)", lines[0])
