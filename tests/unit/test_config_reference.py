"""docs/config_reference.md is what the schema says."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsim.config import chip_names, reference
from azsim.config.load import schema_keys
from azsim.config.rules import RULES

pytestmark = pytest.mark.small


def test_the_page_in_the_repository_is_fresh() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render()


def test_every_key_rule_and_chip_stands_on_the_page() -> None:
    page = reference.render()
    for path, _ in schema_keys():
        assert f"`{'.'.join(path)}`" in page or f"## {path[0]}\n" in page, path
    assert page.count("\n* `") == len(RULES)
    for name in chip_names():
        assert f"| `{name}` |" in page


def test_bounds_are_written_the_way_the_schema_enforces_them() -> None:
    page = reference.render()
    assert "| `core.clock_mhz` | integer 1 to 10000 | `500` |" in page
    assert "| `dma_w.burst_bytes` | integer 8 to 4096, power of two | `128` |" in page
    assert "| `decoder.port_bits` | `64` or `128` | `128` |" in page
    assert (
        "| `mac_array.products_per_mac` | mapping: integer 1 to 8 to integer 1 to 64 | `{8: 1}` |"
        in page
    )


def test_check_notices_a_stale_page_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(reference, "PAGE", page)
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8") + "x", encoding="utf-8")
    capsys.readouterr()
    assert reference.main(["--check"]) == 1
    assert capsys.readouterr().err == (
        "docs/config_reference.md: must be what the schema says: run 'make docs'\n"
    )
    assert reference.main(["--what"]) == 2
