"""`azsim formats`: a model in every format a chip could have."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from command import azsim, tree
from compress_models import dense_net, frames_file, recurrent_net

from azsim.api import run


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return dense_net(tmp_path)


def test_every_format_is_what_a_run_of_it_gives(net: Path, tmp_path: Path) -> None:
    frames, out = frames_file(tmp_path, (1, 32), 2), tmp_path / "formats"
    words = ("-i", frames, "--tiles", "1024,16384", "--bits", "8,4", "-o", out, "--json")
    done = azsim("formats", net, *words)
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out)["formats"]
    assert [(r["profile"], r["tile"], r["bits"]) for r in rows] == [
        (p, t, b) for p in ("none", "bitmap", "ans") for t in (1024, 16384) for b in (8, 4)
    ]
    assert [r["own"] for r in rows].index(True) == 6  # bitmap, 16384, 8 bits
    assert sum(r["own"] for r in rows) == 1
    for row in (rows[0], rows[5], rows[11]):
        chip = [f"decoder.profile={row['profile']}", f"wbuf.slot_weights={row['tile']}"]
        record = run(net, input=frames, overrides=chip, bits=row["bits"], cache=False)
        assert row["stream_bytes"] == sum(la.stream_bytes for la in record.program.layers)
        assert row["cycles_per_frame"] == record.counters.cycles / 2
        assert row["decoder_cycles"] == int(record.program.tiles["decode_cycles"].sum())
        energy = record.energy.per_frame_pj()
        assert energy is not None
        assert row["energy_uj"] == pytest.approx(energy["nominal"] / 1e6)
    sizes = {(r["profile"], r["tile"], r["bits"]): r["stream_bytes"] for r in rows}
    assert sizes["ans", 16384, 4] < sizes["bitmap", 16384, 4] < sizes["none", 16384, 4]
    table = list(csv.DictReader((out / "FORMATS.csv").read_text().splitlines()))
    assert [int(row["stream_bytes"]) for row in table] == [r["stream_bytes"] for r in rows]
    assert (out / "formats.png").read_bytes()[:4] == b"\x89PNG"


def test_a_format_the_chip_cannot_have_is_a_row_with_the_reason(net: Path) -> None:
    words = ("--set", "mac_array.lanes=24", "--set", "wbuf.slot_weights=768", "--bits", 8)
    given = (net, *words, "--profiles", "bitmap", "--tiles")
    rows = json.loads(azsim("formats", *given, "768,16384", "--json").out)["formats"]
    assert (rows[0]["problem"], rows[0]["own"]) == ("", True)
    assert rows[1]["stream_bytes"] is None
    assert "wbuf.slot_weights: must be a multiple of mac_array.lanes" in rows[1]["problem"]
    shown = azsim("formats", *given, "768,16384").out.splitlines()
    assert shown[0].split()[:4] == ["profile", "tile", "bits", "bytes"]
    assert [line.split()[:4] for line in shown[1:3]] == [
        ["*", "bitmap", "768", "8"], ["-", "bitmap", "16384", "8"]
    ]  # fmt: skip
    assert shown[-1] == (
        "net.onnx on az1, one frame of noise; * the chip's own format, - a format it cannot have"
    )
    none = azsim("formats", *given, "16384")
    assert none.code == 2
    assert none.err.startswith(f"azsim: {net}: must fit the chip in one format at least: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--profiles", "zip"), "--profiles: must be of none, bitmap, ans, not zip"),
        (("--profiles", ","), "--profiles: must name at least one of none, bitmap, ans"),
        (("--tiles", "100"), "--tiles: must be multiples of 256 from 256 to 65536, not 100"),
        (("--tiles", ""), "--tiles: must name at least one tile size"),
        (("--tiles", "1e3"), "--tiles: must be whole numbers with commas, not '1e3'"),
        (("--bits", "8,7"), "--bits: must be of 8, 6, 5, 4, 3, 2, not 7"),
        (("-o", "{0}/net.onnx"), "{0}/net.onnx: must be a folder, not a file"),
    ],
)
def test_wrong_words(net: Path, tmp_path: Path, words: tuple, message: str) -> None:
    before = tree(tmp_path)
    done = azsim("formats", net, *(word.format(tmp_path) for word in words))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"azsim: {message.format(tmp_path)}\n"
    assert tree(tmp_path) == before


def test_what_all_steps_share_counts_once(tmp_path: Path) -> None:
    """Both directions of an LSTM over five steps have four matrices in all."""
    words = ("--profiles", "none", "--tiles", 16384, "--bits", 8, "--json")
    done = azsim("formats", recurrent_net(tmp_path), *words)
    (row,) = json.loads(done.out)["formats"]
    weights = 2 * 64 * (24 + 16) + 32 * 6
    assert row["stream_bytes"] == 2 * (64 * 24 + 64 * 16) + 256
    assert row["bits_per_weight"] == 8 * row["stream_bytes"] / weights
