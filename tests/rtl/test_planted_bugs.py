"""Bugs that only a scenario made for them shows: large counts, two errors at once, resets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from azsim.rtl_check.runner import verify_rtl
from azsim.rtl_check.scenarios import recipes

RTL = Path(__file__).parents[2] / "rtl"

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")

BUGS = {
    "contexts of half the sections": (
        "ans-64", "many sections", "azsim_decoder_lanes",
        "contexts_q <= view_i[127:0]", "contexts_q <= {64'd0, view_i[63:0]}",
    ),
    "seven bits of the groups are compared": (
        "bitmap-64", "each bit of the groups", "azsim_decoder_header",
        "groups != groups_i)", "groups[6:0] != groups_i[6:0])",
    ),
    "LEN of thirteen bits": (
        "bitmap-128", "each bit of LEN", "azsim_decoder_sequencer",
        "rem_before = idle ? in_length_i", "rem_before = idle ? {1'b0, in_length_i[12:0]}",
    ),
    "a sum is not checked": (
        "ans-64", "rules of records", "azsim_decoder_tables",
        "word_q[0] && word_sum", "word_q[0] && word_q != 5'd11 && word_sum",
    ),
    "index of 31 bits": (
        "bitmap-64", "each bit of the number", "azsim_decoder",
        "~in_index_i ^ table_crc", "{1'b1, ~in_index_i[30:0]} ^ table_crc",
    ),
    "NO_TABLE goes before LENGTH": (
        "ans-64", "two errors in a header", "azsim_decoder_header",
        "else if (is_table_o != table_i)",
        "else if (lacks_table) error_o = azsim_decoder_pkg::ErrNoTable;\n"
        "    else if (is_table_o != table_i)",
    ),
    "a reset that waits for the clock": (
        "bitmap-64", "resets", "azsim_decoder_values",
        "always_ff @(posedge clk_i or negedge rst_ni)", "always_ff @(posedge clk_i)",
    ),
    "tables outlive a reset": (
        "ans-64", "resets with tables", "azsim_decoder_tables",
        "      written_q        <= '0;",
        "      written_q        <= (written_q === 4'bx) ? '0 : written_q;",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_subtle_bug_is_found_by_its_scenario(bug: str, tmp_path: Path) -> None:
    configuration, scenario, module, old, new = BUGS[bug]
    rtl_copy = tmp_path / "rtl"
    shutil.copytree(RTL, rtl_copy)
    path = rtl_copy / "decoder" / "src" / f"{module}.sv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    names = [name for name, _, _ in recipes(configuration.partition("-")[0])]
    label = f"{configuration}:1.{names.index(scenario)}"
    run = verify_rtl(1, rtl_copy, replay=label, output=tmp_path / "kept")
    mismatch = run.outcomes[0].result.mismatch
    assert mismatch is not None
    assert mismatch.scenario == scenario
    assert (run.kept[0] / "waves.fst").stat().st_size > 0


def test_a_register_that_the_reset_leaves_out_is_named(tmp_path: Path) -> None:
    """Also where no output can show it: every use of `fill_q` comes after it was written."""
    rtl_copy = tmp_path / "rtl"
    shutil.copytree(RTL, rtl_copy)
    path = rtl_copy / "decoder" / "src" / "azsim_decoder_sequencer.sv"
    text = path.read_text(encoding="utf-8")
    assert "      fill_q    <= '0;\n" in text
    path.write_text(text.replace("      fill_q    <= '0;\n", ""), encoding="utf-8")
    run = verify_rtl(1, rtl_copy, replay="bitmap-64:1.0", output=tmp_path / "kept")
    mismatch = run.outcomes[0].result.mismatch
    assert mismatch is not None
    named = "u_sequencer.fill_o, u_sequencer.fill_q"
    assert mismatch.text == f"a reset must set every register, and does not {named}"
