"""Memory that reading a model with large external weights takes, as a share of the weights.

python benchmarks/large_model.py [--mib N]

Writes a chain of MatMuls whose weights lie in one external file (2 GiB by default, sparse on the
disk), reads it in a process of its own, and compares that one's peak with that of a small model.
Needs Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from onnx import TensorProto, helper

MIB = 1 << 20
TENSORS = 8
READ = """
import sys
from azsim.frontend import read_onnx
graph = read_onnx(sys.argv[1])
weights = sum(v.data.nbytes for v in graph.values.values() if v.data is not None)
with open("/proc/self/status") as status:  # the peak since exec; that of rusage is the parent's
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(weights, 1024 * int(peak))
"""


def save_model(folder: Path, mib: int) -> Path:
    """Write a net of `TENSORS` equal square-ish matrices of `mib` MiB in all; return its path."""
    columns = 1024
    rows = mib * MIB // (4 * columns * TENSORS)
    nodes, tensors = [], []
    for k in range(TENSORS):
        tensor = TensorProto(name=f"W{k}", data_type=TensorProto.FLOAT, dims=(rows, columns))
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": "weights.bin", "offset": str(4 * rows * columns * k)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
        tensors.append(tensor)
        nodes.append(helper.make_node("MatMul", ["x", f"W{k}"], [f"y{k}"], name=f"fc{k}"))
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(mib * MIB)
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, rows))],
        [
            helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, (1, columns))
            for k in range(TENSORS)
        ],
        tensors,
    )
    path = folder / "large.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return path


def reading_bytes(path: Path) -> tuple[int, int]:
    """(bytes of weights, peak bytes of the process) of reading a model in a new process."""
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    weights, peak = done.stdout.split()
    return int(weights), int(peak)


def held_share(mib: int) -> float:
    """Peak beyond that of a small model, over the bytes of the weights."""
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        _, base = reading_bytes(save_model(Path(small), 1))
        weights, peak = reading_bytes(save_model(Path(large), mib))
    return (peak - base) / weights


def main() -> None:
    """Print the share for the wanted size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mib", type=int, default=2048, help="MiB of weights, 2048 at most")
    mib = parser.parse_args().mib
    print(f"{mib} MiB of weights: reading holds {held_share(mib):.2f} times their size")


if __name__ == "__main__":
    main()
