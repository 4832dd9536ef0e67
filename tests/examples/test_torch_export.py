"""The nets that PyTorch exported run bit-exact, near what onnxruntime computes from the file."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from command import REPOSITORY
from compiled import noise_db
from onnx_models import FLOAT

import azsim

FOLDER = REPOSITORY / "examples" / "torch_export"
# SQNR in dB by weight bits, less than 2 under what was measured; weights are rounded untrained
FLOORS_DB = {
    "lstm_encoder": {8: 45.0, 5: 38.5, 4: 35.0},
    "conformer_block": {8: 32.5, 5: 32.0, 4: 29.0},
    "mobile_net": {8: 43.0, 5: 25.5, 4: 20.0},
}
FRAMES = {"lstm_encoder": 20, "conformer_block": 10, "mobile_net": 2}


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.type.tensor_type.elem_type == FLOAT
    }


def streamed(path: Path, frames: np.ndarray) -> np.ndarray:
    """y of each frame by onnxruntime, states carried as the model's property says."""
    model = onnx.load(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    states = json.loads({p.key: p.value for p in model.metadata_props}.get("azsim.state", "{}"))
    carried = {name: np.zeros(shapes_of(model)[name], np.float32) for name in states}
    results = []
    for frame in frames:
        y, *after = session.run(["y", *states.values()], {"x": frame, **carried})
        carried = dict(zip(states, after, strict=True))
        results.append(y)
    return np.stack(results)


def write_frames(name: str, path: Path) -> np.ndarray:
    size = shapes_of(onnx.load(FOLDER / f"{name}.onnx"))["x"]
    frames = np.random.default_rng(9).normal(size=(FRAMES[name], *size)).astype(np.float32)
    np.savez(path, x=frames)
    return frames


@pytest.mark.parametrize("name", sorted(FLOORS_DB))
def test_exported_net(name: str, tmp_path: Path) -> None:
    model = FOLDER / f"{name}.onnx"
    frames = write_frames(name, tmp_path / "frames.npz")
    exact = streamed(model, frames)
    for bits, floor in FLOORS_DB[name].items():
        out = tmp_path / f"{bits}"
        record = azsim.run(
            model, input=tmp_path / "frames.npz", chip="az1", bits=bits, verify=True, out=out
        )
        assert record.verification is not None
        assert (record.verification.exact, record.verification.steps) == (len(frames),) * 2
        with np.load(out / "outputs.npz") as outputs:
            assert noise_db(exact, outputs["y"]) > floor, bits


def test_the_script_runs_what_its_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(FOLDER / "run.py"))
    assert script["FRAMES"].keys() == FLOORS_DB.keys()
    kept = script["FRAMES"].pop("lstm_encoder")
    script["FRAMES"].clear()
    script["FRAMES"]["lstm_encoder"] = kept
    script["main"](tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line, bits in zip(lines[1:], (8, 5, 4), strict=True):
        assert re.match(rf"lstm_encoder +{bits} +20/20 +\d+ +\d\d\.\d dB$", line), line
    assert (tmp_path / "lstm_encoder.npz").is_file()


def test_the_files_tell_nothing_of_the_machine_that_made_them() -> None:
    files = sorted(FOLDER.glob("*.onnx"))
    assert [path.stem for path in files] == sorted(FLOORS_DB)
    for path in files:
        assert path.stat().st_size < 300_000
        graph = onnx.load(path).graph
        assert not any(node.metadata_props or node.doc_string for node in graph.node)
