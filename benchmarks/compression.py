"""Size of weight streams against entropy, plain packing and, if it is installed, Arm's mlw codec.

    python benchmarks/compression.py [FILE.npy|FILE.npz|FILE.onnx ...] [--weights N] [--quick]

Without files: made-up weights (Gauss, Laplace, rows of different scale, ternary, uniform), trained
ones of benchmarks/trained, and those of the packages silero-vad and magika where installed.
All at 8, 6, 5, 4, 3, 2 bits and 0, 50, 75, 90 % zeros. mlw is `ethosu.mlw_codec` of ethos-u-vela
(`pip install -c constraints.txt 'azsim[bench]'`); it gets each tensor as one stream, without what
random access would need. Sizes of ours are whole payloads: headers, lane states, tables, padding.

The last lines name every tensor that misses an aim: mlw + 0.2 % (default tiles); entropy + 1.8 %
with tiles of 64K weights; plain packing + a word per tile. Tensors below 256K weights come in a
list of their own: there the TABLE record of 168 bytes and the lane states of a tile weigh.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray

from azsim.codec import encode_tensor, inspect_stream, load_weights_npy
from azsim.codec.inspect import entropy_bits

try:
    from ethosu import mlw_codec  # type: ignore[import-not-found]
except ImportError:
    mlw_codec = None

BITS = (8, 6, 5, 4, 3, 2)
ZEROS = (0.0, 0.5, 0.75, 0.9)
TRAINED = Path(__file__).parent / "trained"
PACKAGES = {
    "silero_vad": "data/silero_vad_16k_sequence.onnx",
    "magika": "models/standard_v3_3/model.onnx",
}
LEAST_WEIGHTS = 1 << 14
"""Smaller tensors of a model are left out: a table is 168 bytes."""

LARGE_WEIGHTS = 1 << 18
"""From here on a tensor is large enough for the aims to be meant."""

MLW_PERCENT, ENTROPY_PERCENT = 0.2, 1.8
Tensor = NDArray[np.int8]


def quantized(values: NDArray[np.floating], bits: int, zeros: float) -> Tensor:
    """Return a matrix on `bits` bits, one scale, at least the share `zeros` of it pruned.

    The scale puts the 99.99th percentile of the magnitudes at the largest integer. Two bits are
    -1, 0, 1: a weight is not 0 if it is above 0.7 of the mean magnitude (ternary weight networks).
    """
    size = np.abs(values).astype(np.float64)
    kept = size > np.quantile(size, zeros) if zeros else np.ones(size.shape, bool)
    most = 2 ** (bits - 1) - 1
    if bits == 2:
        grid = np.sign(values) * (size > 0.7 * size[size > 0].mean())
    else:
        scale = most / np.quantile(size[size > 0], 0.9999)
        grid = np.clip(np.round(values * scale), -most, most)
    return (grid * kept).astype(np.int8)


def made_up(count: int) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, matrix) of `count` independent weights each."""
    rng = np.random.default_rng(0)
    shape = (count // 1024, 1024)
    scale = np.exp(rng.normal(scale=0.5, size=(shape[0], 1)))
    kinds = {
        "gauss": rng.normal(size=shape),
        "laplace": rng.laplace(size=shape),
        "rows": rng.normal(size=shape) * scale,
    }
    for kind, values in kinds.items():
        yield from every_way(kind, values)
    ternary = rng.choice([-1, 1], shape) * (rng.random(shape) < 0.1)
    yield "ternary, 90 %", ternary.astype(np.int8)
    yield "uniform, 8 bit", rng.integers(-128, 128, shape).astype(np.int8)
    yield "all zero", np.zeros(shape, np.int8)


def every_way(name: str, values: NDArray[np.floating]) -> Iterator[tuple[str, Tensor]]:
    """Yield a matrix at all widths and shares of zeros."""
    for bits in BITS:
        for zeros in ZEROS:
            yield f"{name}, {bits} bit, {zeros:.0%}", quantized(values, bits, zeros)


def trained() -> Iterator[tuple[str, Tensor]]:
    """Yield the trained matrices of benchmarks/trained: pruned and trained on."""
    for zeros in ZEROS:
        with np.load(TRAINED / f"char_lstm_{round(100 * zeros)}.npz") as nets:
            for part in nets.files:
                for bits in BITS:
                    master = nets[part].astype(np.float64)
                    name = f"char lstm {part}, {bits} bit, {zeros:.0%}"
                    yield name, quantized(master, bits, 0.0)


def from_packages() -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of models in installed packages, pruned by magnitude, not trained on."""
    for package, inside in PACKAGES.items():
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            continue
        path = Path(found.submodule_search_locations[0]) / inside
        if path.is_file():
            yield from of_model(path, package)


def of_model(path: Path, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the larger float tensors of an ONNX file."""
    for number, tensor in enumerate(onnx.load(path).graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        constant = "basis" in tensor.name  # of a Fourier transform, not trained
        if values.dtype == np.float32 and values.size >= LEAST_WEIGHTS and not constant:
            rows = values.shape[0] if values.shape[0] > 1 else values.shape[1]
            yield from every_way(f"{name} {number}", values.reshape(rows, -1))


def of_file(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield what a file given by name holds."""
    if path.suffix == ".onnx":
        yield from of_model(path, path.stem)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                yield from every_way(f"{path.stem} {name}", arrays[name].astype(np.float64))
    else:
        yield path.name, load_weights_npy(path)


def plain_bits(weights: Tensor) -> int:
    """Return the least width that holds all weights in two's complement."""
    most = max(int(weights.max()), -1 - int(weights.min()), 0)
    return most.bit_length() + 1


def mlw_bits(weights: Tensor) -> float | None:
    """Return the bits per weight of mlw, or None if it is not installed."""
    if mlw_codec is None:
        return None
    return 8 * len(mlw_codec.encode(weights.ravel().tolist())) / weights.size


@dataclass(frozen=True)
class Row:
    """Sizes of one tensor in bits per weight; rates in weights per cycle; the aims it misses."""

    text: str
    weights: int
    missed: list[str]


def measured(name: str, weights: Tensor) -> Row:
    """Return the row of one tensor."""
    entropy, mlw, plain = entropy_bits(weights), mlw_bits(weights), plain_bits(weights)
    bitmap = encode_tensor(weights, profile="bitmap").words.size * 64 / weights.size
    streams = {
        tile: inspect_stream(encode_tensor(weights, profile="ans", tile=tile))
        for tile in (None, 16384, 65536)
    }
    default, small, large = (streams[tile] for tile in (None, 16384, 65536))
    sizes = [f"{entropy:7.3f}", "      -" if mlw is None else f"{mlw:7.3f}", f"{plain:5d}"]
    sizes += [f"{bitmap:7.3f}", f"{small.bits_per_weight:7.3f}", f"{large.bits_per_weight:7.3f}"]
    rates = f"{default.weights_per_cycle(64):7.1f} {default.weights_per_cycle(128):7.1f}"
    missed = []
    if mlw is not None:
        missed += over(name, "mlw", default.bits_per_weight, mlw, MLW_PERCENT)
    missed += over(name, "entropy", large.bits_per_weight, entropy, ENTROPY_PERCENT)
    for tile, stream in (("16K", small), ("64K", large)):
        if stream.total_bits > -(-weights.size // 256) * 256 * plain + 64 * stream.tiles:
            missed.append(f"{name}: {tile} tiles above plain packing and a word per tile")
    text = f"{name:<36} {weights.size:>8} {' '.join(sizes)} {rates}"
    return Row(text, weights.size, missed)


def over(name: str, what: str, size: float, mark: float, percent: float) -> list[str]:
    """Return the line that says `size` is more than `percent` % above `mark`, or nothing."""
    if size <= mark * (1 + percent / 100) + 1e-12:
        return []
    share = f"{100 * (size / mark - 1):+.2f} %" if mark else "above 0"
    return [f"{name}: {size:.4f}, {what} {mark:.4f}, {share}"]


def main() -> None:
    """Print one line per tensor, then those that miss an aim."""
    parser = argparse.ArgumentParser(description="Size of weight streams.")
    parser.add_argument("files", nargs="*", type=Path, help="int8 .npy, floats .npz, .onnx")
    parser.add_argument("--weights", type=int, default=1 << 20, help="weights per made-up tensor")
    parser.add_argument("--quick", action="store_true", help="made-up tensors of 64K weights only")
    options = parser.parse_args()
    sources: list[Iterator[tuple[str, Tensor]]] = [of_file(path) for path in options.files]
    if not sources:
        count = 1 << 16 if options.quick else max(1024, options.weights // 1024 * 1024)
        sources = [made_up(count)] + ([] if options.quick else [trained(), from_packages()])
    print("bits per weight; weights per cycle of the decoder (default tiles) by port width")
    if mlw_codec is None:
        print("mlw: not installed (pip install -c constraints.txt 'azsim[bench]')")
    heads = ("entropy", "mlw", "plain", "bitmap", "ans 16K", "ans 64K", "64", "128")
    widths = (7, 7, 5, 7, 7, 7, 7, 7)
    columns = " ".join(f"{head:>{w}}" for head, w in zip(heads, widths, strict=True))
    print(f"{'tensor':<36} {'weights':>8} {columns}")
    rows = []
    for source in sources:
        for name, weights in source:
            rows.append(measured(name, weights))
            print(rows[-1].text, flush=True)
    print_missed("of 256K weights and more", [r for r in rows if r.weights >= LARGE_WEIGHTS])
    print_missed("smaller", [r for r in rows if r.weights < LARGE_WEIGHTS])


def print_missed(what: str, rows: list[Row]) -> None:
    """Print the aims that `rows` miss."""
    missed = [line for row in rows for line in row.missed]
    tensors = sum(bool(row.missed) for row in rows)
    print(f"\n{len(rows)} tensors {what}; {tensors} miss an aim")
    for line in missed:
        print(f"  {line}")


if __name__ == "__main__":
    main()
