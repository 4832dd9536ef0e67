"""The API reference: every public name has a page entry, and no page breaks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import azsim

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/api_docs.py as a module."""
    spec = importlib.util.spec_from_file_location("api_docs", REPOSITORY / "tools/api_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.main([str(tmp_path)]) == 0
    front = (tmp_path / "azsim.html").read_text(encoding="utf-8")
    for name in azsim.__all__:
        assert f'id="{name}"' in front, name
    assert "bits, sparsity" in front  # the arguments of azsim.run are explained
    pages = {path.stem for path in (tmp_path / "azsim").glob("*.html")}
    assert pages == {room.partition(".")[2] for room in tool.ROOMS} - {""}
