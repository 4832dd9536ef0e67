"""What a run holds while it prepares."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
from speech_models import save_speech_model

from azsim import api, preparing
from azsim.graph import Graph


@pytest.mark.parametrize("verify", [False, True])
def test_floats_are_let_go_once_they_are_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    save_speech_model(tmp_path)
    read, lower = api.read_model, preparing.lower_integers
    floats: list[weakref.ref[Graph]] = []

    def read_model(*given: Any) -> Graph:
        graph = read(*given)
        floats.append(weakref.ref(graph))
        return graph

    def lower_integers(*given: Any) -> Any:
        assert [held() for held in floats] == [None]
        return lower(*given)

    monkeypatch.setattr(api, "read_model", read_model)
    monkeypatch.setattr(preparing, "lower_integers", lower_integers)
    record = api.run(
        tmp_path / "model.onnx", input=tmp_path / "frames.npz", chip="tiny", verify=verify,
        cache=False,
    )  # fmt: skip
    assert len(floats) == 1
    assert (record.verification is not None) == verify
