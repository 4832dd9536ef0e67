"""What a refused model file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsim.errors import ModelError
from azsim.frontend import read_onnx


def model_refusal(path: Path) -> str:
    """Text of the one-line refusal of a model file, without the path in front."""
    with pytest.raises(ModelError) as caught:
        read_onnx(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text.splitlines()) == 1
    return text.removeprefix(f"{path}: ")
