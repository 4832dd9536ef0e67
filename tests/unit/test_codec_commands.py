"""`compress`, `decompress` and `inspect` on files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from azsim.cli import codec_commands
from azsim.cli.codec_commands import histogram_rows
from azsim.codec import encode_tensor, inspect_stream
from azsim.errors import AzsimError


def run(*arguments: str | Path) -> str:
    """Run a command; return its output, or raise what it raises."""
    app = typer.Typer()
    codec_commands.register(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def weights() -> np.ndarray:
    """Weights of 4 bits, half of them zero."""
    rng = np.random.default_rng(3)
    return (rng.integers(-8, 8, (40, 96)) * (rng.random((40, 96)) < 0.5)).astype(np.int8)


@pytest.mark.parametrize(
    "options", [(), ("--tile", "256"), ("--tile-shape", "8x32", "--tile-order", "column")]
)
def test_there_and_back(tmp_path: Path, weights: np.ndarray, options: tuple[str, ...]) -> None:
    source, packed, back = (tmp_path / name for name in ("W.npy", "W.azw", "back.npy"))
    np.save(source, weights)
    text = run("compress", source, *options, "-o", packed)
    assert re.fullmatch(
        rf"{re.escape(str(packed))}: 40 x 96 weights in \d+ tiles, \d+ bytes, "
        r"\d\.\d{3} bits per weight\n",
        text,
    )
    assert run("decompress", packed, "-o", back) == f"{back}: 40 x 96 weights\n"
    np.testing.assert_array_equal(np.load(back), weights)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["W.azw", "W.npy", "back.npy"]


def test_inspect_shows_the_statistics(tmp_path: Path, weights: np.ndarray) -> None:
    np.save(tmp_path / "W.npy", weights)
    run("compress", tmp_path / "W.npy", "--tile", "512", "-o", tmp_path / "W.azw")
    text = run("inspect", tmp_path / "W.azw")
    info = inspect_stream(encode_tensor(weights, tile=512))
    for label, value in codec_commands.stream_rows(info):
        assert re.search(rf"{re.escape(label)} *│ {re.escape(value)} ", text), label


def test_errors_are_left_to_the_caller(tmp_path: Path, weights: np.ndarray) -> None:
    source = tmp_path / "W.npy"
    np.save(source, weights)
    out = tmp_path / "W.azw"
    with pytest.raises(
        AzsimError, match=r"^--tile-shape: must be ROWSxCOLUMNS, such as 8x2048, not 8$"
    ):
        run("compress", source, "--tile-shape", "8", "-o", out)
    with pytest.raises(AzsimError, match=r"W\.npy: tile must be a multiple of 256 from 256 to"):
        run("compress", source, "--tile", "300", "-o", out)
    with pytest.raises(AzsimError, match=r"^[^\n]+W\.npy: must start with AZW1 and a header of"):
        run("inspect", source)
    assert not out.exists()


@pytest.mark.small
def test_statistics_by_hand() -> None:
    """One RAW tile (3 non-zeros of 3 bits) and one EMPTY tile."""
    weights = np.zeros((2, 256), np.int8)
    weights[0, [0, 65, 255]] = [3, -4, 1]
    info = inspect_stream(encode_tensor(weights, tile=256))
    assert info.modes == {"EMPTY": 1, "RAW+FIXED": 1}
    assert info.widths == {3: 1}
    assert tuple(info.parts.values()) == (0, 128, 0, 256, 9, 55)
    assert info.total_bits == 64 * 7
    assert info.bits_per_weight == 64 * 7 / 512
    assert info.beats == 6 + 1
    assert info.cycles == {64: 10 + 2, 128: 8 + 2}
    assert info.weights_per_cycle(64) == 512 / 12
    assert info.zero_share == 509 / 512
    p = np.array([509, 1, 1, 1]) / 512
    assert info.entropy_bits_per_weight == pytest.approx(-(p * np.log2(p)).sum())
    assert info.container_bytes == 40 + 3 * 4 + 4


@pytest.mark.small
@pytest.mark.parametrize(
    ("values", "label", "picture"),
    [
        ([0, 0, 0], None, ""),
        ([5], "5..5", "█"),
        ([-2, -2, -2, -2, -1, 0, 0, 0, 0, 0, 0, 1, 3, 3], "-2..3", "█▂ ▂ ▄"),
        ([-128, 0, 127, 127], "-128..127, 4 per bar", "▄" + 62 * " " + "█"),
    ],
)
def test_the_histogram_pictures_what_is_not_zero(
    values: list[int], label: str | None, picture: str
) -> None:
    counts = tuple(np.bincount(np.array(values) + 128, minlength=256).tolist())
    assert histogram_rows(counts) == ([] if label is None else [(label, picture)])
