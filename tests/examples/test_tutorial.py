"""The tutorial: its commands work in order, print what it says, and are those of the notebook."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from command import REPOSITORY, process_environment

LEFT = {
    "model.onnx", "speech.wav", "plain", "small.onnx", "small", "plan.yaml", "sweep", "streamed",
    "stored", "trace.pftrace",
}  # fmt: skip


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/tutorial.py as a module."""
    spec = importlib.util.spec_from_file_location("tutorial", REPOSITORY / "tools/tutorial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tutorial"] = module
    spec.loader.exec_module(module)
    return module


def test_the_tutorial_runs_and_prints_what_it_says(tool: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**tool.environment(), **process_environment(tmp_path)}
    environment["PATH"] = tool.environment()["PATH"]
    text = tool.PAGE.read_text(encoding="utf-8")
    for step in tool.steps(text):
        assert tool.run_step(step, folder, environment) == ""
    assert {path.name for path in folder.iterdir()} == LEFT
    front = (folder / "sweep" / "front.csv").read_text(encoding="utf-8").splitlines()
    assert len(front) > 2
    assert (folder / "trace.pftrace").stat().st_size < 50 << 20


def test_a_wrong_tutorial_is_found(tool: ModuleType, tmp_path: Path) -> None:
    step = tool.Step("echo eight frames\n", "nine ...\n")
    wrong = tool.run_step(step, tmp_path, tool.environment())
    assert wrong == "echo eight frames\nmust print\nnine ...\nbut printed\neight frames\n"
    step = tool.Step("false\n", "")
    assert tool.run_step(step, tmp_path, tool.environment()) == "false\nexit code 1\n"


def test_the_notebook_is_the_page(tool: ModuleType) -> None:
    text = tool.NOTEBOOK.read_text(encoding="utf-8")
    assert text == tool.notebook_text(), "run 'make docs'"
    cells = nbformat.reads(text, as_version=4).cells
    scripts = [cell.source for cell in cells if cell.cell_type == "code"]
    assert len(scripts) == sum(1 for _ in tool.steps(tool.PAGE.read_text(encoding="utf-8")))
    assert all(script.startswith("%%bash\n") for script in scripts)
