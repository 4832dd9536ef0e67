"""The handshake properties of the decoder, proved; and that the proof can fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]
_SEARCH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool, path=_SEARCH) is None for tool in ("yosys", "yosys-smtbmc", "z3")),
    reason="needs yosys and z3",
)


@pytest.fixture(scope="module")
def formal() -> ModuleType:
    """tools/rtl_formal.py, which is no package."""
    spec = importlib.util.spec_from_file_location(
        "rtl_formal", REPOSITORY / "tools" / "rtl_formal.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rtl_formal"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("number", [0, 1, 2, 3], ids=lambda n: f"proof{n}")
def test_properties_hold(formal: ModuleType, number: int) -> None:
    """The proofs of profile ans take a minute: `make rtl-formal` does them."""
    assert formal.prove(formal.PROOFS[number]) == (True, True)


FAULTS = {
    "the window takes a word too many": (
        0, "azsim_decoder_sequencer", "10'(512 - PortBits)", "10'(513 - PortBits)",
    ),
    "a beat fires with too few bits": (
        0, "azsim_decoder_sequencer", "beat_bits_i} > fill_q", "beat_bits_i} > fill_q + 10'd1",
    ),
    "the output moves while it waits": (
        2, "azsim_decoder_values", "end else if (advance_i) begin", "end else begin",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(formal: ModuleType, fault: str, tmp_path: Path) -> None:
    number, module, old, new = FAULTS[fault]
    decoder = tmp_path / "decoder"
    shutil.copytree(REPOSITORY / "rtl" / "decoder", decoder)
    path = decoder / "src" / f"{module}.sv"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert formal.prove(formal.PROOFS[number], decoder) != (True, True)
