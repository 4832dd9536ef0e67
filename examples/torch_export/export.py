"""Export the three nets of nets.py to ONNX, ready for `azsim run`.

    python examples/torch_export/export.py [FOLDER] [--torchscript]

Needs PyTorch and onnxscript (`pip install -e ".[torch]" -c constraints.txt`); the exported files
lie beside this script, so nobody needs either to run them. `--torchscript` takes PyTorch's older
exporter, which needs no onnxscript.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch
from nets import FEATURES, ConformerBlock, LstmEncoder, MobileNet

OPSET = 18
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Net:
    """A net, its input's shape, its states (name -> shape) and the audio time of a step."""

    module: type[torch.nn.Module]
    x: tuple[int, ...]
    states: dict[str, tuple[int, ...]] = field(default_factory=dict)
    frame_ms: float = 30.0


BLOCK = ConformerBlock
CACHE = (1, BLOCK.CONTEXT, BLOCK.WIDTH)
NETS = {
    "lstm_encoder": Net(LstmEncoder, (1, 1, FEATURES), {"h": (2, 1, 48), "c": (2, 1, 48)}),
    "conformer_block": Net(
        ConformerBlock,
        (1, BLOCK.FRAMES, BLOCK.WIDTH),
        {"keys": CACHE, "values": CACHE, "left": (1, BLOCK.WIDTH, BLOCK.TAPS - 1)},
        40.0 * BLOCK.FRAMES,
    ),
    "mobile_net": Net(MobileNet, (1, 3, 48, 48), frame_ms=100.0),
}


def settle(module: torch.nn.Module) -> None:
    """Give batch norms statistics and factors other than 0 and 1, as after training."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.running_mean.normal_(0.0, 0.1)
            part.running_var.uniform_(0.2, 0.6)
            part.weight.data.uniform_(0.7, 1.3)
            part.bias.data.normal_(0.0, 0.1)


def forget_origin(model: onnx.ModelProto) -> None:
    """Drop what PyTorch notes about each node: names of its classes and lines of source files."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (graph, *graph.node, *values):
        del part.metadata_props[:]
        part.doc_string = ""


def export(name: str, folder: Path, torchscript: bool = False) -> Path:
    """Write `name`.onnx into `folder`; return its path."""
    net = NETS[name]
    torch.manual_seed(7)
    module = net.module().eval()
    settle(module)
    path = folder / f"{name}.onnx"
    feeds = {"x": torch.randn(net.x)} | {n: torch.zeros(s) for n, s in net.states.items()}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            tuple(feeds.values()),
            str(path),
            input_names=list(feeds),
            output_names=["y", *(f"{state}_next" for state in net.states)],
            opset_version=OPSET,
            dynamo=not torchscript,
            **({} if torchscript else {"external_data": False, "verbose": False}),
        )
    model = onnx.load(path)
    forget_origin(model)
    states = {state: f"{state}_next" for state in net.states}
    properties = {"azsim.frame_ms": f"{net.frame_ms:g}"}
    if states:  # which output is which input of the next step: PyTorch cannot say
        properties["azsim.state"] = json.dumps(states)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


def main() -> None:
    """Export all nets into the folder that is named, or beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    parser.add_argument("--torchscript", action="store_true", help="PyTorch's older exporter")
    words = parser.parse_args()
    words.folder.mkdir(parents=True, exist_ok=True)
    for name in NETS:
        path = export(name, words.folder, words.torchscript)
        print(f"{path} {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
