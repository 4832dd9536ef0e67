"""Damaged streams in the tens of thousands; and that the fuzzer sees a decoder that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from azsim.codec import words as word_decoder
from azsim.rtl_check import fuzz as fuzzer
from azsim_kernels import tile_errors


@pytest.mark.slow
def test_no_damage_is_delivered_as_good() -> None:
    findings = fuzzer.fuzz(20_000, seed=1)
    assert findings.complaints == []
    assert findings.mutations >= 20_000
    wanted = {*tile_errors.NAMES, "container refused", "container good"}
    assert set(findings.codes) == wanted


Change = Callable[[int, Any], int]
WRONG: dict[str, tuple[Change, str]] = {
    "an error that is not one": (
        lambda code, out: tile_errors.OK if code == tile_errors.BAD_CRC else code,
        "other weights delivered as good",
    ),
    "another code": (
        lambda code, out: tile_errors.TRAILING if code == tile_errors.LENGTH else code,
        "TRAILING, the reference says LENGTH",
    ),
    "weights of a bad tile": (
        lambda code, out: out.fill(1) or code if code else code,
        "delivers weights",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_decoder_is_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, complaint = WRONG[wrong]
    right = word_decoder.decode_tile

    def decode_tile(*args: Any) -> int:
        return change(int(right(*args)), args[-1])

    monkeypatch.setattr(word_decoder, "decode_tile", decode_tile)
    findings = fuzzer.fuzz(3_000, seed=2)
    assert any(complaint in line for line in findings.complaints), findings.complaints


def test_a_container_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "decode_tensor", lambda stream: np.zeros((1, 1), np.int8))
    findings = fuzzer.fuzz(500, seed=3)
    assert "container: other weights delivered as good" in findings.complaints
