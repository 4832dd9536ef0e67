"""Run the three exported nets on a chip: bit-exact against the integer reference.

    python examples/torch_export/run.py [FOLDER]

Writes random frames for each net (FOLDER, else a temporary one) and runs them with `verify` at
several weight widths. PyTorch is not needed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

import azsim

HERE = Path(__file__).resolve().parent
FRAMES = {"lstm_encoder": 20, "conformer_block": 12, "mobile_net": 2}


def write_frames(model: Path, path: Path) -> None:
    """Random frames for the net's input x: standard normal, frames first."""
    graph = onnx.load(model).graph
    shape = next(value for value in graph.input if value.name == "x").type.tensor_type.shape
    size = [dimension.dim_value for dimension in shape.dim]
    rng = np.random.default_rng(5)
    np.savez(path, x=rng.normal(size=(FRAMES[model.stem], *size)).astype(np.float32))


def main(folder: Path) -> None:
    """Run every net at every width and print a line for each."""
    print(f"{'net':<16} bits  {'bit-exact':>9} {'cycles/frame':>13} {'SQNR':>8}")
    for name in FRAMES:
        model, frames = HERE / f"{name}.onnx", folder / f"{name}.npz"
        write_frames(model, frames)
        for bits in (8, 5, 4):
            record = azsim.run(model, input=frames, chip="az1", bits=bits, verify=True)
            check = record.verification
            assert check is not None
            cycles = record.counters.cycles / record.frames
            exact, quality = f"{check.exact}/{check.steps}", record.sqnr_db["y"]
            print(f"{name:<16} {bits:>4}  {exact:>9} {cycles:>13.0f} {quality:>5.1f} dB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
