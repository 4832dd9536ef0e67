"""What compression buys: one net at several widths and shares of zeros, with and without decoder.

    python examples/compression_pays.py

The chip `dense` is `az1` without decoder and zero skipping: it fetches raw int8 weights. The
weight store is switched off, so that all weights come from DRAM in every frame. The weights are
random and were never trained to be pruned: the SQNR falls faster than a trained net's would.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import azsim
from azsim.zoo import build_zoo, save_onnx

FRAMES, FEATURES = 20, 24
CASES = [("dense", 8, 0.0), ("az1", 8, 0.0), ("az1", 8, 0.5), ("az1", 5, 0.5), ("az1", 4, 0.7)]


def main() -> None:
    """Run every case and print one row for each."""
    print("chip   bits  zeros  cycles/frame  DRAM bytes/frame  bits/weight  SQNR")
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "frames.npz"
        noise = np.random.default_rng(1).normal(size=(FRAMES, 1, 1, FEATURES))
        np.savez(frames, noise.astype(np.float32))
        for chip, bits, sparsity in CASES:
            model = Path(name) / "tiny_lstm.onnx"
            save_onnx(build_zoo("tiny_lstm", None, 8, 0.0, 1), model)
            record = azsim.run(
                model,
                input=frames,
                chip=chip,
                overrides=["weight_store.capacity_kb=0"],
                bits=bits,
                sparsity=sparsity,
                cache=False,
            )
            print(row(record))


def row(record: azsim.RunRecord) -> str:
    """One run as a line of the table."""
    layers = [layer for layer in record.program.layers if layer.weights]
    weights = sum(layer.weights for layer in layers)
    stream_bits = 8 * sum(layer.stream_bytes for layer in layers)
    counters = record.counters
    (sqnr_db,) = record.sqnr_db.values()
    return (
        f"{record.chip.name:<6} {record.bits:4d}  {record.sparsity:5.0%}"
        f"  {counters.cycles / record.frames:12.0f}"
        f"  {counters.dram_bytes_read / record.frames:16.0f}"
        f"  {stream_bits / weights:11.2f}  {sqnr_db:4.1f} dB"
    )


if __name__ == "__main__":
    main()
